"""The stages of a delivery, in order. Read this first.

A claimed leg goes through expire -> route, or resolve where it is delivered directly -> content ->
render -> sign -> transmit -> classify -> settle. Each stage is one file; this one only joins them.
It gives a `Settlement` for every leg and raises only what is a fault of ours, which the engine's
shell logs.
"""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
import structlog

from shared.clock import Clock
from shared.compression import unpack_content
from shared.errors import StoreError
from shared.hops import member_of
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import (
    Attempt,
    Leg,
    LegFlag,
    RecipientReply,
    message_of,
    pack_attempt,
    pack_history,
)
from shared.model.message import Content, Head, NewerFormat, UnknownFormat
from shared.model.status import OPEN, Status
from shared.settings import Settings
from shared.store.attempts import attempt_counter
from shared.store.ports import Claimed, Queue, Settlement, Verb
from shared.store.unreadable import REST_MS, dead
from workers import lines
from workers.classify import Verdict, category, outcomes
from workers.engine import release
from workers.leases import Lease
from workers.render import needs_smtputf8, parts, render
from workers.resolve import Onward, Resolve, not_secure
from workers.retry import next_wait_ms
from workers.route import NextHop, NextHops
from workers.sign import Dkim, Signed
from workers.smtp import Envelope, Reply, Stage, Transaction
from workers.smtp.types import LEASE_LOST
from workers.trouble import Troubles

LEAVE_LOOP_BYTES = 256 * 1024
"""Rendering more than this takes long enough to be done beside the loop."""
SLOW_HTML_BYTES = 8 * 1024
"""The same, where a plain text is derived from the HTML: the slowest page known (cells of one
character) takes 1.25 ms a KB, so 10 ms, and 26 with a garbage collection in it."""
OVERDUE_MS = 250
"""A leg whose time ended in our hands goes back; the store, whose clock counts, expires it."""

ENDED_AT_DOT = "worker ended at the final dot"
_log = structlog.get_logger(__name__)


class Pipeline:
    """The stages, with what they need."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        clock: Clock,
        next_hops: NextHops,
        signer: Dkim,
        metrics: WorkerMetrics | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """Without `resolve` there is no direct delivery."""
        self._resolve = resolve
        self._metrics = metrics or WorkerMetrics()
        self._retry = settings.retry
        self._queue = queue
        self._clock = clock
        self._next_hops = next_hops
        self._troubles = Troubles(queue, clock)
        self.signer = signer

    async def deliver(self, claimed: Claimed, lease: Lease) -> Settlement:
        """Work one claimed leg; the engine settles the answer."""
        if 0 < claimed.leg.give_up_ms <= self._clock.now_ms():
            return release(claimed, OVERDUE_MS)
        onward = await self._onward(claimed)
        if not isinstance(onward, Onward):
            return onward
        next_hop, indices = onward.next_hop, claimed.leg.open_indices()
        try:
            content = await self._content(claimed)
            legs = parts(claimed.leg, claimed.head, content)
            if legs:
                return await self._split(claimed, legs)
            signed = await self._build(claimed.head, content, next_hop)
        except NewerFormat:
            return release(claimed, REST_MS)  # A worker of that release may take it.
        except UnknownFormat as error:
            _log.error(
                "message_unreadable", reason=str(error), **lines.about(claimed.leg_id, claimed.head)
            )
            return dead(claimed.leg_id, claimed.leg, self._clock.now_ms())
        except StoreError as error:
            _log.warning(
                "content_not_read", reason=error, **lines.about(claimed.leg_id, claimed.head)
            )
            return release(claimed)
        utf8 = needs_smtputf8(claimed.head, content, indices)
        began_ms = self._clock.now_ms()
        transaction = await self._transmit(claimed, lease, signed, next_hop, indices, utf8)
        if transaction.seven_bit_only:
            signed = await self._build(claimed.head, content, next_hop, seven_bit=True)
            transaction = await self._transmit(claimed, lease, signed, next_hop, indices, utf8)
        if transaction.seven_bit_only:
            transaction = _no_seven_bit_form(indices)
        unsigned = next_hop.signed and not signed.signatures
        return await self._conclude(claimed, transaction, onward, unsigned, began_ms)

    async def _onward(self, claimed: Claimed) -> Onward | Settlement:
        """Where it goes; or what has become of it, when it does not go on."""
        next_hop = self._next_hops.find(member_of(claimed.leg.hop))
        if next_hop is not None:
            return Onward(next_hop, {})
        resolve = self._resolve
        found = await resolve.leg(claimed.leg, claimed.head) if resolve is not None else None
        if isinstance(found, Onward):
            return found
        if isinstance(found, Verdict):
            return self._settle(claimed, found)
        if found is None:
            found = self._next_hops.reroute(claimed.leg, claimed.head)
        return await self._split(claimed, found)

    async def _split(self, claimed: Claimed, legs: tuple[Leg, ...]) -> Settlement:
        """Others take its place."""
        replaced = False
        try:
            replaced = await self._queue.split(claimed.leg_id, claimed.fence, legs)
        except StoreError as error:
            _log.warning("leg_not_split", reason=error, **lines.about(claimed.leg_id, claimed.head))
        # Refused once the split has ended this claim.
        return msgspec.structs.replace(release(claimed), replaced=replaced)

    async def _content(self, claimed: Claimed) -> Content:
        packed = claimed.content
        if packed is None:
            packed = await self._queue.content(message_of(claimed.leg_id))
        if packed is None:
            raise UnknownFormat("the content is missing")
        if claimed.head.content_bytes > LEAVE_LOOP_BYTES:
            return await asyncio.to_thread(unpack_content, packed)
        return unpack_content(packed)

    async def _build(
        self, head: Head, content: Content, next_hop: NextHop, *, seven_bit: bool = False
    ) -> Signed:
        """Render and sign; beside the loop when that takes long."""
        if head.content_bytes > (LEAVE_LOOP_BYTES if content.text is not None else SLOW_HTML_BYTES):
            built = await asyncio.to_thread(self._built, head, content, next_hop, seven_bit)
        else:
            built = self._built(head, content, next_hop, seven_bit)
        signed, render_seconds, sign_seconds = built
        self._metrics.stage["render"].observe(render_seconds)
        if next_hop.signed:
            self._metrics.stage["sign"].observe(sign_seconds)
        return signed

    def _built(
        self, head: Head, content: Content, next_hop: NextHop, seven_bit: bool
    ) -> tuple[Signed, float, float]:
        """The message, and the seconds that rendering and signing took."""
        began = time.perf_counter()
        data = render(head, content, seven_bit=seven_bit)
        rendered = time.perf_counter()
        if not next_hop.signed:
            return Signed(data, 0), rendered - began, 0.0
        signed = self.signer.sign(data, head.sender.domain, next_hop.unsigned_headers)
        return signed, rendered - began, time.perf_counter() - rendered

    async def _transmit(
        self,
        claimed: Claimed,
        lease: Lease,
        signed: Signed,
        next_hop: NextHop,
        indices: tuple[int, ...],
        utf8: bool,
    ) -> Transaction:
        head = claimed.head
        envelope = Envelope(
            head.return_path,
            tuple([(index, head.recipients[index].email) for index in indices]),
            utf8,
            not signed.message.isascii(),
            message_of(claimed.leg_id).hex(),
            claimed.leg.application,
        )
        if LegFlag.HOLD in claimed.leg.flags:
            lease.at_dot = lambda so_far: self._at_dot(claimed, indices, so_far, next_hop.direct)
        began = time.perf_counter()
        try:
            return await next_hop.transport.send(
                envelope, signed.message, lease, urgent=head.message_class == "critical"
            )
        finally:
            self._metrics.stage["transmit"].observe(time.perf_counter() - began)

    def _at_dot(
        self, claimed: Claimed, indices: tuple[int, ...], so_far: Transaction, direct: bool
    ) -> tuple[tuple[Status, ...], Attempt]:
        """What is known of a leg to be held in case this process dies at the final dot."""
        leg = claimed.leg
        so_far = msgspec.structs.replace(so_far, trouble=ENDED_AT_DOT)
        verdict = outcomes(so_far, indices, direct=direct)
        bounced = {
            reply.recipient for reply in verdict.replies if reply.status == Status.BOUNCED.letter
        }
        statuses = tuple(
            Status.BOUNCED if index in bounced else status
            for index, status in zip(leg.indices(), leg.statuses, strict=True)
        )
        attempt = self._attempt(leg, verdict)
        return statuses, attempt

    def _attempt(self, leg: Leg, verdict: Verdict) -> Attempt:
        at_ms, hop = self._clock.now_ms(), member_of(leg.hop)
        return Attempt(at_ms, hop, verdict.replies, verdict.note, verdict.bytes_sent)

    async def _conclude(
        self,
        claimed: Claimed,
        transaction: Transaction,
        onward: Onward,
        unsigned: bool,
        began_ms: int,
    ) -> Settlement:
        if transaction.trouble == LEASE_LOST and not transaction.dot_sent:
            return release(claimed)
        indices = claimed.leg.open_indices()
        verdict = outcomes(transaction, indices, direct=onward.next_hop.direct)
        if verdict.relay_trouble and onward.must_be_secure and transaction.stage is Stage.TLS:
            return await self._not_secure(claimed, transaction, onward, verdict.note)
        if verdict.relay_trouble:
            return await self._troubles.settle(claimed, verdict)
        if onward.note:
            noted = "; ".join(filter(None, (verdict.note, onward.note)))
            verdict = msgspec.structs.replace(verdict, note=noted)
        self._time(claimed, verdict, began_ms)
        counted = []
        if transaction.dot_sent and unsigned:
            counted.append("unsigned")
        if transaction.dot_sent and "plain text" in transaction.protection:
            counted.append("without_tls")
        return self._settle(claimed, verdict, tuple(counted), answered=True)

    async def _not_secure(
        self, claimed: Claimed, transaction: Transaction, onward: Onward, note: str
    ) -> Settlement:
        """TLS was a must and did not come about; a policy counts only if it still holds."""
        if self._resolve is not None and await self._resolve.is_other(onward):
            return release(claimed)
        await self._troubles.of_site(member_of(claimed.leg.hop), note)
        verdict = not_secure(onward, transaction, claimed.leg.open_indices())
        return self._settle(claimed, verdict)

    def _time(self, claimed: Claimed, verdict: Verdict, began_ms: int) -> None:
        """How long the message has waited for its first attempt, and for its delivery."""
        head = claimed.head
        since = head.accepted_ms if head.send_at_ms is None else head.send_at_ms
        if claimed.leg.attempts == 0 and not claimed.leg.history:
            waited = max(0, began_ms - since) / 1000
            self._metrics.first_attempt[head.message_class].observe(waited)
        took = max(0, self._clock.now_ms() - since) / 1000
        for reply in verdict.replies:
            if reply.status == Status.DELIVERED.letter:
                self._metrics.delivery[head.message_class].observe(took)

    def _settle(
        self,
        claimed: Claimed,
        verdict: Verdict,
        counted: tuple[str, ...] = (),
        *,
        answered: bool = False,
    ) -> Settlement:
        leg = claimed.leg
        hold = LegFlag.HOLD in leg.flags
        by_index = {reply.recipient: reply for reply in verdict.replies}
        statuses = tuple(
            _status(by_index.get(index), status, hold)
            for index, status in zip(leg.indices(), leg.statuses, strict=True)
        )
        attempt = self._attempt(leg, verdict)
        of_attempts = tuple(
            attempt_counter(leg.message_class, reply.status, category(reply))
            for reply in verdict.replies
        )
        waiting = {
            index for index, status in zip(leg.indices(), statuses, strict=True) if status in OPEN
        }
        charged = not waiting or not waiting <= verdict.denied
        # It may have arrived: another relay gets it only when somebody says so.
        uncertain = any(reply.status == Status.UNCERTAIN.letter for reply in verdict.replies)
        if verdict.denied:
            counted = (*counted, "relay_troubles")
            self._troubles.complain(member_of(leg.hop), "refuses to relay to some recipients")
        attempts = leg.attempts + charged
        retry_ms = self._wait_ms(claimed, attempts, charged) if waiting else 0
        lines.attempt(claimed, verdict, attempts, retry_ms)
        return Settlement(
            claimed.leg_id,
            claimed.fence,
            Verb.SETTLE,
            statuses,
            attempts,
            pack_history((*leg.history, attempt), leg.earlier),
            pack_attempt(attempt),
            retry_ms,
            counted + of_attempts,
            answered,
            uncertain,
        )

    def _wait_ms(self, claimed: Claimed, attempts: int, charged: bool) -> int:
        """Until the next attempt: by the schedule, or what the relay's trouble costs."""
        if not charged:
            return self._troubles.aside_ms(claimed)
        jitter = random.random()  # noqa: S311  # Jitter.
        return next_wait_ms(attempts, claimed.leg.message_class, self._retry, jitter)


def _no_seven_bit_form(indices: tuple[int, ...]) -> Transaction:
    """For a server with SMTPUTF8 and without the 8BITMIME it implies: no later attempt differs."""
    reply = Reply(554, "5.6.3", "the server takes no 8-bit lines, and the headers have some")
    return Transaction(Stage.MAIL, recipients=dict.fromkeys(indices, reply))


_STATUS = {status.letter: status for status in Status}


def _status(reply: RecipientReply | None, before: Status, hold: bool) -> Status:
    """What the recipient's status becomes; an uncertain one is tried again unless it is held."""
    if reply is None:
        return before
    after = _STATUS[reply.status]
    if after is Status.UNCERTAIN and not hold:
        return Status.DEFERRED
    return after
