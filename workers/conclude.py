"""The last stages of a delivery: classify -> settle. From a transaction to what is stored of it.

Gives a `Settlement` for every leg. What is the server's trouble, or its wish for less, is told to
the store, for all workers; no recipient is charged for it.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Sequence

import msgspec
import structlog

from shared.addresses import canonical
from shared.classification.classification import Classification
from shared.clock import Clock
from shared.errors import StoreError
from shared.hops import member_of
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import Attempt, Leg, LegFlag, RecipientReply, pack_attempt, pack_history
from shared.model.status import OPEN, Status
from shared.model.suppression import Suppression
from shared.routing import mail_domain
from shared.settings import Settings
from shared.shaping.rules import ASKED_FOR_LESS
from shared.store.attempts import attempt_counter
from shared.store.outcomes import What, outcome_counter
from shared.store.ports import Claimed, Queue, Settlement, Verb
from workers import lines, suppressed
from workers.brake import Brake, Braked
from workers.classify import Reader, Verdict, category, outcomes, room_for, takes_one_domain
from workers.engine import release
from workers.resolve import Onward, Resolve, not_secure
from workers.retry import next_wait_ms
from workers.shapes import Shapes
from workers.smtp import Stage, Transaction
from workers.smtp.gate import NO_SESSION
from workers.smtp.types import LEASE_LOST
from workers.throttle import Refusal, Throttle, asked_for_less, refusals
from workers.trouble import FIRST_MS, Troubles

ENDED_AT_DOT = "worker ended at the final dot"
LEFT_OVER = "too many recipients for one transaction"
_DAY_MS = 86_400_000
_DELIVERED = Status.DELIVERED.letter

_log = structlog.get_logger(__name__)


class Conclude:
    """The last stages, with what they need."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        clock: Clock,
        metrics: WorkerMetrics,
        resolve: Resolve | None,
        shapes: Shapes,
    ) -> None:
        self._retry = settings.retry
        self._bounces = settings.bounces
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self._resolve = resolve
        self._shapes = shapes
        self.troubles = Troubles(queue, clock, metrics)
        self._brake = Brake(clock)
        self.classification = Classification(settings)

    def at_dot(
        self, claimed: Claimed, indices: tuple[int, ...], so_far: Transaction, direct: bool
    ) -> tuple[tuple[Status, ...], Attempt]:
        """What is known of a leg to be held in case this process dies at the final dot."""
        leg = claimed.leg
        so_far = msgspec.structs.replace(so_far, trouble=ENDED_AT_DOT)
        hop = member_of(claimed.leg.hop)
        verdict = outcomes(so_far, indices, direct=direct, reader=lambda: self._reader(hop))
        verdict = _with(verdict, suppressed.replies(claimed))
        bounced = {
            reply.recipient for reply in verdict.replies if reply.status == Status.BOUNCED.letter
        }
        statuses = tuple(  # Of who is suppressed it is that already.
            Status.BOUNCED if index in bounced else status
            for index, status in zip(leg.indices(), leg.statuses, strict=True)
        )
        attempt = self._attempt(leg, verdict)
        return statuses, attempt

    def suppressed(self, claimed: Claimed) -> Settlement:
        """Nobody in it is sent to."""
        return self.settle(claimed, Verdict((), False))

    def _attempt(self, leg: Leg, verdict: Verdict) -> Attempt:
        at_ms, hop = self._clock.now_ms(), member_of(leg.hop)
        return Attempt(at_ms, hop, verdict.replies, verdict.note, verdict.bytes_sent)

    async def transaction(
        self,
        claimed: Claimed,
        transaction: Transaction,
        onward: Onward,
        unsigned: bool,
        began_ms: int,
    ) -> Settlement:
        if transaction.trouble in (LEASE_LOST, NO_SESSION) and not transaction.dot_sent:
            return release(claimed)
        indices, hop = claimed.leg.open_indices(), member_of(claimed.leg.hop)
        verdict = outcomes(
            transaction,
            indices,
            direct=onward.next_hop.direct,
            reader=lambda: self._reader(hop),
        )
        if verdict.relay_trouble and onward.must_be_secure and transaction.stage is Stage.TLS:
            return await self._not_secure(claimed, transaction, onward, verdict.note)
        refused = refusals(transaction)  # As a rule nothing: then there is nothing more to ask.
        throttle = self._throttle(refused, hop) if refused else None
        spared = throttle.spares(verdict) if throttle is not None else frozenset()
        if verdict.relay_trouble or (spared and len(spared) == len(verdict.replies)):
            return await self.troubles.settle(claimed, verdict, throttle)
        if throttle is not None:
            verdict = msgspec.structs.replace(verdict, throttled=spared)
            words = lines.words(claimed, verdict, throttle.reply)
            await self.troubles.asked_for_less(hop, throttle, words)
        braked = self._brake.heard(hop, _delivered(verdict), len(verdict.dead))
        if refused:
            self._learn(transaction, hop)
            await self._suppress(claimed, verdict, braked)
        if onward.note:
            noted = "; ".join(filter(None, (verdict.note, onward.note)))
            verdict = msgspec.structs.replace(verdict, note=noted)
        self._time(claimed, verdict, began_ms)
        counted = []
        if transaction.dot_sent and unsigned:
            counted.append("unsigned")
        if transaction.dot_sent and "plain text" in transaction.protection:
            counted.append("without_tls")
        return self.settle(claimed, verdict, tuple(counted), answered=throttle is None)

    def _reader(self, hop: str) -> Reader:
        return Reader(self.classification, self._shapes.of(hop).provider)

    async def _suppress(self, claimed: Claimed, verdict: Verdict, braked: Braked | None) -> None:
        """Put dead addresses on the list of the application, before anybody hears that they have
        bounced. A store that does not answer holds up no outcome: the next message finds out."""
        if not verdict.dead or self._bounces.suppress == "off":
            return
        if braked is not None:
            self._withhold(braked, len(verdict.dead))
            return
        now, days = self._clock.now_ms(), self._bounces.suppress_days
        head = claimed.head
        entries = [
            Suppression(
                canonical(head.recipients[reply.recipient].email),
                application=head.application,
                reason="bounce",
                source="smtp",
                at_ms=now,
                expires_ms=now + days * _DAY_MS if days else None,
                detail=f"{reply.code} {reply.enhanced}".rstrip(),
            )
            for reply in verdict.replies
            if reply.recipient in verdict.dead
        ]
        try:
            await self._queue.suppress(entries)
        except StoreError as error:
            about = lines.about(claimed.leg_id, head)
            _log.warning("addresses_not_suppressed", count=len(entries), reason=error, **about)

    def _withhold(self, braked: Braked, count: int) -> None:
        """Suppress nobody: the server says of nearly all that they do not exist."""
        self._metrics.suppressions_withheld += count
        if braked.tell:
            _log.warning(
                "suppression_braked", hop=braked.hop, called_dead=braked.dead,
                delivered=braked.delivered,
            )  # fmt: skip

    def _throttle(self, refused: Sequence[Refusal], hop: str) -> Throttle | None:
        provider = self._shapes.of(hop).provider
        return asked_for_less(refused, self._shapes.shaping.rules, provider)

    def _learn(self, transaction: Transaction, hop: str) -> None:
        """What the next message need not find out about the server."""
        taken = room_for(transaction)
        if taken:
            self._shapes.learn(hop, taken)
        if takes_one_domain(transaction):
            self._shapes.learn_one_domain(hop)

    async def _not_secure(
        self, claimed: Claimed, transaction: Transaction, onward: Onward, note: str
    ) -> Settlement:
        """TLS was a must and did not come about; a policy counts only if it still holds."""
        if self._resolve is not None and await self._resolve.is_other(onward):
            return release(claimed)
        await self.troubles.of_site(member_of(claimed.leg.hop), note)
        verdict = not_secure(onward, transaction, claimed.leg.open_indices())
        return self.settle(claimed, verdict)

    def _time(self, claimed: Claimed, verdict: Verdict, began_ms: int) -> None:
        """How long the message has waited for its first attempt, and for its delivery."""
        head = claimed.head
        since = head.accepted_ms if head.send_at_ms is None else head.send_at_ms
        if claimed.leg.attempts == 0 and not claimed.leg.history:
            waited = max(0, began_ms - since) / 1000
            self._metrics.first_attempt[head.message_class].observe(waited)
        took = max(0, self._clock.now_ms() - since) / 1000
        for reply in verdict.replies:
            if reply.status == _DELIVERED:
                self._metrics.delivery[head.message_class].observe(took)

    def settle(
        self,
        claimed: Claimed,
        verdict: Verdict,
        counted: tuple[str, ...] = (),
        *,
        answered: bool = False,
    ) -> Settlement:
        leg = claimed.leg
        hold = LegFlag.HOLD in leg.flags
        spared = suppressed.replies(claimed)
        if spared:
            verdict = _without(verdict, claimed.suppressed)
        by_index = {reply.recipient: reply for reply in (*verdict.replies, *spared)}
        statuses = tuple(
            _status(by_index.get(index), status, hold)
            for index, status in zip(leg.indices(), leg.statuses, strict=True)
        )
        attempt = self._attempt(leg, verdict)
        of_attempts = tuple(
            attempt_counter(leg.message_class, reply.status, self._category(reply, verdict, leg))
            for reply in verdict.replies
        )
        waiting = {
            index for index, status in zip(leg.indices(), statuses, strict=True) if status in OPEN
        }
        at_once = not waiting.isdisjoint(verdict.left_over)
        charged = not at_once and not (waiting and waiting <= verdict.denied | verdict.throttled)
        # It may have arrived: another relay gets it only when somebody says so.
        uncertain = any(reply.status == Status.UNCERTAIN.letter for reply in verdict.replies)
        if verdict.denied:
            counted = (*counted, "relay_troubles")
            self.troubles.complain(member_of(leg.hop), "refuses to relay to some recipients")
        attempts = leg.attempts + (charged and bool(verdict.replies))
        retry_ms = 0
        if waiting and not at_once:
            denied = not waiting.isdisjoint(verdict.denied)
            retry_ms = self._wait_ms(claimed, attempts, charged=charged, denied=denied)
        lines.attempt(claimed, verdict, attempts, retry_ms)
        kept = self._kept(claimed, attempt, verdict, spared)
        return Settlement(
            claimed.leg_id,
            claimed.fence,
            Verb.SETTLE,
            statuses,
            attempts,
            pack_history((*leg.history, *kept), leg.earlier),
            pack_attempt(_told(attempt, spared)),
            retry_ms,
            counted + of_attempts + self._outcomes(claimed, by_index.values()),
            answered,
            uncertain,
            refusal=lines.refusal(claimed, verdict),
        )

    def _kept(
        self,
        claimed: Claimed,
        attempt: Attempt,
        verdict: Verdict,
        spared: tuple[RecipientReply, ...],
    ) -> tuple[Attempt, ...]:
        """What the leg keeps of this: why some are sent nothing, and the attempt, if there was."""
        kept = _parts(attempt, verdict) if verdict.replies else ()
        if not spared:
            return kept
        note = suppressed.NOTE
        none = Attempt(attempt.at_ms, attempt.hop, spared, note, charged=False)
        return (none, *kept)

    def _outcomes(self, claimed: Claimed, replies: Iterable[RecipientReply]) -> tuple[str, ...]:
        """A counter for everybody whose outcome is known now."""
        head, hop, names = claimed.head, claimed.leg.hop, []
        for reply in replies:
            what = _OUTCOMES.get(reply.status)
            if what is not None:
                domain = mail_domain(head.recipients[reply.recipient])
                site = self._shapes.site(hop, domain)
                names.append(outcome_counter(head.application, site, what))
        return tuple(names)

    def _category(self, reply: RecipientReply, verdict: Verdict, leg: Leg) -> str:
        meaning = verdict.meanings.get(reply.recipient)
        if meaning is None and reply.code // 100 in (4, 5):  # What we say ourselves, of DNS.
            meaning = self._reader(member_of(leg.hop)).of(reply)
        return category(reply, meaning)

    def _wait_ms(self, claimed: Claimed, attempts: int, *, charged: bool, denied: bool) -> int:
        """Until the next attempt: by the schedule, what the relay's trouble costs, or the time
        behind others where the destination stands still."""
        if not charged:
            return self.troubles.aside_ms(claimed) if denied else FIRST_MS
        jitter = random.random()  # noqa: S311  # Jitter.
        return next_wait_ms(attempts, claimed.leg.message_class, self._retry, jitter)


def _parts(attempt: Attempt, verdict: Verdict) -> tuple[Attempt, ...]:
    """An attempt as a leg keeps it: apart what charges nobody, of those who go on in the next
    transaction, or when the server takes mail again."""
    spared = verdict.left_over | verdict.throttled
    if not spared:
        return (attempt,)
    why = LEFT_OVER if verdict.left_over else ASKED_FOR_LESS
    note = "; ".join(filter(None, (attempt.note, why)))
    tried = tuple(each for each in attempt.replies if each.recipient not in spared)
    others = tuple(each for each in attempt.replies if each.recipient in spared)
    return (
        msgspec.structs.replace(attempt, replies=tried),
        msgspec.structs.replace(attempt, replies=others, note=note, charged=False),
    )


def _told(attempt: Attempt, spared: tuple[RecipientReply, ...]) -> Attempt:
    """What the event tells: of all."""
    if not spared:
        return attempt
    return msgspec.structs.replace(attempt, replies=attempt.replies + spared)


def _with(verdict: Verdict, replies: tuple[RecipientReply, ...]) -> Verdict:
    return msgspec.structs.replace(verdict, replies=verdict.replies + replies)


def _without(verdict: Verdict, indices: Container[int]) -> Verdict:
    """For the others: DNS may have been asked for all."""
    replies = tuple(each for each in verdict.replies if each.recipient not in indices)
    return msgspec.structs.replace(verdict, replies=replies)


def _delivered(verdict: Verdict) -> int:
    """How many recipients. A loop, which takes a quarter of what `sum` does: it is always asked."""
    count = 0
    for reply in verdict.replies:
        if reply.status == _DELIVERED:
            count += 1
    return count


_STATUS = {status.letter: status for status in Status}
_OUTCOMES: dict[str, What] = {
    Status.DELIVERED.letter: "delivered",
    Status.BOUNCED.letter: "bounced",
    Status.SUPPRESSED.letter: "suppressed",
}


def _status(reply: RecipientReply | None, before: Status, hold: bool) -> Status:
    """What the recipient's status becomes; an uncertain one is tried again unless it is held."""
    if reply is None:
        return before
    after = _STATUS[reply.status]
    if after is Status.UNCERTAIN and not hold:
        return Status.DEFERRED
    return after
