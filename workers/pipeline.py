"""The stages of a delivery, in order. Read this first.

A claimed leg goes through expire -> route -> content -> render -> sign -> transmit -> classify ->
settle. Each stage is one file; this one only joins them. It gives a `Settlement` for every leg and
raises only what is a fault of ours, which the engine's shell logs.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

import msgspec
import structlog

from shared.clock import Clock
from shared.compression import unpack_content
from shared.config import Settings
from shared.errors import StoreError
from shared.model.leg import Attempt, LegFlag, RecipientReply, message_of, pack_history
from shared.model.message import Content, UnknownFormat
from shared.model.status import OPEN, Status
from shared.store.ports import Claimed, Queue, Settlement, Verb
from workers.backoff import Backoff
from workers.classify import Verdict, interrupted, outcomes
from workers.engine import release
from workers.leases import Lease
from workers.render import needs_smtputf8, render
from workers.retry import next_wait_ms
from workers.route import reroute
from workers.sign import Signer
from workers.smtp import Envelope, Transaction

LEAVE_LOOP_BYTES = 256 * 1024
"""Rendering more than this takes long enough to be done beside the loop."""

_encode = msgspec.msgpack.Encoder().encode
_log = structlog.get_logger(__name__)


class Transport(Protocol):
    """What transmits: `workers.smtp.Pool`, or a stand-in of the benchmarks."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction; its troubles are values in the answer."""
        ...


class Pipeline:
    """The stages, with what they need."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        clock: Clock,
        transport: Transport,
        signer: Signer,
    ) -> None:
        self._retry = settings.retry
        self._queue = queue
        self._clock = clock
        self._transport = transport
        self._signer = signer
        self._backoff = Backoff(clock)

    async def deliver(self, claimed: Claimed, lease: Lease) -> Settlement:
        """Work one claimed leg; the engine settles the answer."""
        if claimed.leg.give_up_ms <= self._clock.now_ms():
            return self._settle_all(claimed, Status.EXPIRED, "gave up")
        replacements = reroute(claimed.leg)
        if replacements:
            try:
                await self._queue.split(claimed.leg_id, claimed.fence, replacements)
            except StoreError as error:
                _log.warning("leg_not_rerouted", reason=str(error))
            return release(claimed)  # Refused once the split has ended this claim.
        try:
            message = await self._message(claimed)
        except UnknownFormat as error:
            _log.error("message_unreadable", leg=claimed.leg_id.hex(), reason=str(error))
            return self._settle_all(claimed, Status.DEAD, "unreadable")
        except StoreError as error:
            _log.warning("content_not_read", reason=str(error))
            return release(claimed)
        return await self._transmit(claimed, lease, message)

    async def _message(self, claimed: Claimed) -> bytes:
        """Content -> render -> sign."""
        packed = claimed.content
        if packed is None:
            packed = await self._queue.content(message_of(claimed.leg_id))
        if packed is None:
            raise UnknownFormat("the content is missing")
        if claimed.head.content_bytes > LEAVE_LOOP_BYTES:
            return await asyncio.to_thread(self._build, claimed, packed)
        return self._build(claimed, packed)

    def _build(self, claimed: Claimed, packed: bytes) -> bytes:
        content: Content = unpack_content(packed)
        return self._signer.sign(render(claimed.head, content), claimed.head)

    async def _transmit(self, claimed: Claimed, lease: Lease, message: bytes) -> Settlement:
        head, leg = claimed.head, claimed.leg
        indices = leg.open_indices()
        envelope = Envelope(
            head.return_path,
            tuple((index, head.recipients[index].email) for index in indices),
            needs_smtputf8(head),
        )
        try:
            transaction = await self._transport.send(
                envelope, message, lease, urgent=head.message_class == "critical"
            )
        except asyncio.CancelledError:
            if not lease.dot_due:
                raise
            verdict = interrupted(indices)  # The final dot may be out: that must not be hidden.
        else:
            verdict = outcomes(transaction, indices)
        if verdict.relay_trouble:
            return await self._suspend(claimed, verdict)
        self._backoff.well(leg.hop)
        return self._settle(claimed, verdict)

    async def _suspend(self, claimed: Claimed, verdict: Verdict) -> Settlement:
        """The relay's trouble is not the message's: it keeps its attempts and its place."""
        hop = claimed.leg.hop
        seconds = self._backoff.trouble(hop)
        if seconds is not None:
            _log.warning("relay_trouble", hop=hop, reason=verdict.note, suspended_seconds=seconds)
            try:
                await self._queue.suspend(hop, int(seconds * 1000))
            except StoreError:
                return release(claimed, int(seconds * 1000))
        return release(claimed)

    def _settle_all(self, claimed: Claimed, status: Status, note: str) -> Settlement:
        """One status for every recipient that is still open, without a reply."""
        replies = tuple(
            RecipientReply(index, status.letter) for index in claimed.leg.open_indices()
        )
        return self._settle(claimed, Verdict(replies, False, note))

    def _settle(self, claimed: Claimed, verdict: Verdict) -> Settlement:
        leg = claimed.leg
        hold = bool(leg.flags & LegFlag.HOLD)
        by_index = {reply.recipient: reply for reply in verdict.replies}
        statuses = tuple(
            _status(by_index.get(index), status, hold)
            for index, status in zip(leg.indices(), leg.statuses, strict=True)
        )
        attempt = Attempt(self._clock.now_ms(), leg.hop, verdict.replies, verdict.note)
        attempts = leg.attempts + 1
        again = any(status in OPEN for status in statuses)
        jitter = random.random()  # noqa: S311  # Jitter.
        return Settlement(
            claimed.leg_id,
            claimed.fence,
            Verb.SETTLE,
            statuses,
            attempts,
            pack_history((*leg.history, attempt)),
            _encode(attempt),
            next_wait_ms(attempts, self._retry, jitter) if again else 0,
        )


_STATUS = {status.letter: status for status in Status}


def _status(reply: RecipientReply | None, before: Status, hold: bool) -> Status:
    """What the recipient's status becomes; an uncertain one is tried again unless it is held."""
    if reply is None:
        return before
    after = _STATUS[reply.status]
    if after is Status.UNCERTAIN and not hold:
        return Status.DEFERRED
    return after
