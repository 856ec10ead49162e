"""The stages of a delivery, in order. Read this first.

A claimed leg goes through expire -> suppressed -> route, or resolve where it is delivered directly
-> content -> what its copy has of its own -> render -> sign -> transmit -> classify -> settle. Each
stage is one file; this one only joins them. It gives a `Settlement` for every leg and raises only
what is a fault of ours, which the engine's shell logs.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
import structlog

from shared.classification.classification import Classification
from shared.clock import Clock
from shared.compression import unpack_content
from shared.errors import StoreError
from shared.hops import member_of
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import (
    Leg,
    LegFlag,
    message_of,
)
from shared.model.message import Content, Head, NewerFormat, UnknownFormat
from shared.parting import portioned
from shared.render import needs_smtputf8, parts
from shared.settings import Settings
from shared.store.ports import Claimed, Queue, Settlement
from shared.store.unreadable import REST_MS, dead
from workers import lines, suppressed
from workers.classify import Verdict
from workers.conclude import Conclude
from workers.copies import Copies
from workers.engine import release
from workers.leases import Lease
from workers.references import Copy, References
from workers.resolve import Onward, Resolve
from workers.route import NextHop, NextHops
from workers.shapes import Shapes
from workers.sign import Dkim, Signed
from workers.smtp import Envelope, Reply, Stage, Transaction

LEAVE_LOOP_BYTES = 256 * 1024
"""Rendering more than this takes long enough to be done beside the loop."""
SLOW_HTML_BYTES = 8 * 1024
"""The same, where a plain text is derived from the HTML: the slowest page known (cells of one
character) takes 1.25 ms a KB, so 10 ms, and 26 with a garbage collection in it."""
OVERDUE_MS = 250
"""A leg whose time ended in our hands goes back; the store, whose clock counts, expires it."""

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
        shapes: Shapes | None = None,
        references: References | None = None,
    ) -> None:
        """Without `resolve` there is no direct delivery, without `references` all copies of a
        message are alike."""
        self._resolve = resolve
        self._metrics = metrics or WorkerMetrics()
        self._retry = settings.retry
        self._queue = queue
        self._clock = clock
        self._next_hops = next_hops
        self._shapes = shapes or Shapes(clock)
        self._conclude = Conclude(settings, queue, clock, self._metrics, resolve, self._shapes)
        self.signer = signer
        self.references = references or References()
        self._copies = Copies(clock)

    def classify_by(self, classification: Classification) -> None:
        """What replies mean, from now on."""
        self._conclude.classification = classification

    async def deliver(self, claimed: Claimed, lease: Lease) -> Settlement:
        """Work one claimed leg; the engine settles the answer."""
        early = self._early(claimed, lease)
        if early is not None:
            return early
        onward = await self._onward(claimed)
        if not isinstance(onward, Onward):
            return onward
        next_hop = onward.next_hop
        try:
            content = await self._content(claimed)
            legs = parts(claimed.leg, claimed.head, content)
            if legs:
                return await self._split(claimed, legs)
            claimed = suppressed.without(claimed)  # A split is of all: each part is asked again.
            indices = claimed.leg.open_indices()
            copy = self.references.copy(
                message_of(claimed.leg_id), claimed.head, content, claimed.leg.hop, indices
            )
            signed = await self._build(claimed, content, next_hop, copy)
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
        transaction = await self._transmit(claimed, lease, signed, next_hop, copy, utf8)
        if transaction.seven_bit_only:
            signed = await self._build(claimed, content, next_hop, copy, seven_bit=True)
            transaction = await self._transmit(claimed, lease, signed, next_hop, copy, utf8)
        if transaction.seven_bit_only:
            transaction = _no_seven_bit_form(indices)
        unsigned = next_hop.signed and not signed.signatures
        return await self._conclude.transaction(claimed, transaction, onward, unsigned, began_ms)

    def _early(self, claimed: Claimed, lease: Lease) -> Settlement | None:
        """What becomes of a leg of which nothing is to be sent, now or at all."""
        if 0 < claimed.leg.give_up_ms <= self._clock.now_ms():
            return release(claimed, OVERDUE_MS)
        if suppressed.all_are(claimed):
            return self._conclude.suppressed(claimed)
        if self._conclude.troubles.has_stopped(member_of(claimed.leg.hop), lease.since):
            return release(claimed)
        return None

    async def _onward(self, claimed: Claimed) -> Onward | Settlement:
        """Where it goes; or what has become of it, when it does not go on."""
        leg = claimed.leg
        next_hop = self._next_hops.find(member_of(leg.hop))
        if next_hop is not None:
            legs = self._portions(leg, claimed.head)
            return Onward(next_hop, {}) if len(legs) == 1 else await self._split(claimed, legs)
        resolve = self._resolve
        found = await resolve.leg(leg, claimed.head) if resolve is not None else None
        if isinstance(found, Onward):
            await self._tell_limit(leg.hop)
            return found
        if isinstance(found, Verdict):
            return self._conclude.settle(claimed, found)
        if found is None:
            found = self._next_hops.reroute(leg, claimed.head)
        return await self._split(claimed, found)

    def _portions(self, leg: Leg, head: Head) -> tuple[Leg, ...]:
        """A leg to a relay: as many recipients in each as that takes at once."""
        indices = leg.open_indices()
        if len(indices) == 1:
            return (leg,)
        hops = dict.fromkeys(indices, leg.hop)
        apart = self._shapes.apart(hops, head) | self.references.alone(head, hops)
        if not apart and len(indices) <= self._shapes.most_recipients(leg.hop):
            return (leg,)
        return portioned(leg, hops, self._shapes.most_recipients, apart)

    async def _tell_limit(self, hop: str) -> None:
        """The store may not know a site's limits, where another process has sent its mail there."""
        limits = self._shapes.untold(hop)
        self._shapes.told(limits)  # Others of its legs need not, meanwhile.
        try:
            await self._queue.limits(limits)
        except StoreError:
            self._shapes.not_told(limits)  # The next one tells.

    async def _split(self, claimed: Claimed, legs: tuple[Leg, ...]) -> Settlement:
        """Others take its place."""
        replaced = False
        limits = self._shapes.limits(leg.hop for leg in legs)
        try:
            replaced = await self._queue.split(claimed.leg_id, claimed.fence, legs, limits)
        except StoreError as error:
            _log.warning("leg_not_split", reason=error, **lines.about(claimed.leg_id, claimed.head))
        # Refused once the split has ended this claim.
        return msgspec.structs.replace(release(claimed), replaced=replaced)

    async def _content(self, claimed: Claimed) -> Content:
        kept = self._copies.content(claimed)
        if kept is not None:
            return kept
        packed = claimed.content
        if packed is None:
            packed = await self._queue.content(message_of(claimed.leg_id))
        if packed is None:
            raise UnknownFormat("the content is missing")
        if claimed.head.content_bytes > LEAVE_LOOP_BYTES:
            content = await asyncio.to_thread(unpack_content, packed)
        else:
            content = unpack_content(packed)
        self._copies.keep(claimed, content)
        return content

    async def _build(
        self,
        claimed: Claimed,
        content: Content,
        next_hop: NextHop,
        copy: Copy,
        *,
        seven_bit: bool = False,
    ) -> Signed:
        """Render and sign; beside the loop when that takes long."""
        slow = LEAVE_LOOP_BYTES if content.text is not None else SLOW_HTML_BYTES
        if claimed.head.content_bytes > slow:
            built = await asyncio.to_thread(
                self._built, claimed, content, next_hop, copy, seven_bit
            )
        else:
            built = self._built(claimed, content, next_hop, copy, seven_bit)
        signed, render_seconds, sign_seconds = built
        self._metrics.stage["render"].observe(render_seconds)
        if next_hop.signed:
            self._metrics.stage["sign"].observe(sign_seconds)
        return signed

    def _built(
        self, claimed: Claimed, content: Content, next_hop: NextHop, copy: Copy, seven_bit: bool
    ) -> tuple[Signed, float, float]:
        """The message, and the seconds that rendering and signing took."""
        began = time.perf_counter()
        rendered = self._copies.rendered(claimed, content, seven_bit=seven_bit)
        data = b"\r\n".join((*copy.lines, rendered.message))
        ready = time.perf_counter()
        if not next_hop.signed:
            return Signed(data, 0), ready - began, 0.0
        domain, skip = claimed.head.sender.domain, next_hop.unsigned_headers
        signed = self.signer.sign(data, domain, skip, rendered.body_hash)
        return signed, ready - began, time.perf_counter() - ready

    async def _transmit(
        self,
        claimed: Claimed,
        lease: Lease,
        signed: Signed,
        next_hop: NextHop,
        copy: Copy,
        utf8: bool,
    ) -> Transaction:
        head, indices = claimed.head, claimed.leg.open_indices()
        envelope = Envelope(
            copy.return_path,
            tuple([(index, head.recipients[index].email) for index in indices]),
            utf8,
            not signed.message.isascii(),
            message_of(claimed.leg_id).hex(),
            claimed.leg.application,
        )
        if LegFlag.HOLD in claimed.leg.flags:
            lease.at_dot = lambda so_far: self._conclude.at_dot(
                claimed, indices, so_far, next_hop.direct
            )
        began = time.perf_counter()
        try:
            return await next_hop.transport.send(
                envelope, signed.message, lease, urgent=head.message_class == "critical"
            )
        finally:
            self._metrics.stage["transmit"].observe(time.perf_counter() - began)


def _no_seven_bit_form(indices: tuple[int, ...]) -> Transaction:
    """For a server with SMTPUTF8 and without the 8BITMIME it implies: no later attempt differs."""
    reply = Reply(554, "5.6.3", "the server takes no 8-bit lines, and the headers have some")
    return Transaction(Stage.MAIL, recipients=dict.fromkeys(indices, reply))
