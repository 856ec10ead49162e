"""The spool's blocking half on Redis or Valkey: accept, look, change, count.

Takes and gives the values of `shared.store.ports`. Everything that changes is one script, so it
happens whole or not at all. Failures are the `StoreError` family.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from shared.clock import Clock, SystemClock
from shared.compression import pack_content
from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.model.leg import LegState, counted, leg_id, pack_leg
from shared.model.message import UnknownFormat, pack_head, unpack_head
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value, info
from shared.store.events import Event
from shared.store.figures import Depth, Health
from shared.store.health import depth_of, judged
from shared.store.ports import Accepted, AcceptKind, Changed, ChangeKind, Stored, Submission
from shared.store.quotas import WINDOWS, Use, Window
from shared.store.redis_pauses import kept_of, pauses_of
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.suppression_records import MOST_ASKED_BYTES, pack_check
from shared.store.suppressions import check_of
from shared.store.tickets import template
from shared.store.unreadable import readable_leg, readable_legs, shown

MAX_SCRIPT_ITEMS = 100
MAX_SCRIPT_BYTES = 1024 * 1024
MAX_SCRIPT_LEGS = 400
"""A script holds everybody up while it runs: 100 items cost about 2 ms, and so do 400 legs."""

_FEW_LEGS = 8
"""How many to look for at first, where a message cannot tell how many it has."""

IDEMPOTENCY_WIDTH_MS = 6 * 3_600_000
IDEMPOTENCY_KEPT = 5
"""Records stand in hashes of six hours each, five of them: kept for 24 to 30 hours."""

_CHANGES = {
    b"c": ChangeKind.CHANGED,
    b"f": ChangeKind.IN_FLIGHT,
    b"t": ChangeKind.TOO_LATE,
    b"n": ChangeKind.NOT_FOUND,
}


def pack_submission(submission: Submission) -> list[Value]:
    """The arguments of the accept script for one submission."""
    message = submission.message
    content, size = pack_content(message.content)
    head = msgspec.structs.replace(message.head, content_bytes=size)
    key = submission.idempotency
    scheduled = any(leg.state is LegState.WAITING for leg in submission.legs)
    return [
        message.id,
        pack_head(head),
        content,
        key.key if key else b"",
        key.fingerprint if key else b"",
        b"1" if scheduled else b"0",
        b"0" if head.deliver_by_ms is None else b"1",
        _pack_quota(submission),
        pack_check(check_of(head)),
        len(submission.legs),
        *(pack_leg(leg) for leg in submission.legs),
    ]


def _pack_quota(submission: Submission) -> bytes:
    """The accept script's argument about the quota."""
    quota, head = submission.quota, submission.message.head
    if quota is None:
        return b""
    numbers = (len(head.recipients), quota.month, quota.day, quota.minute)
    return b"%d %d %d %d " % numbers + head.application.encode()


_CHECK = 8
_BEFORE_LEGS = 10
"""Arguments of one submission: what the suppression list is asked; those before its legs."""


def _size(packed: Sequence[Value]) -> int:
    return sum(len(part) for part in packed if isinstance(part, bytes))


def chunks(packed: Sequence[list[Value]]) -> Iterator[Sequence[list[Value]]]:
    """Runs of at most 100 items, 400 legs, 1 MB, and 1,000 addresses or so that the suppression
    list is asked about; a larger item travels alone."""
    start, size, legs, asked = 0, 0, 0, 0
    for index, item in enumerate(packed):
        length, more, check = _size(item), len(item) - _BEFORE_LEGS, item[_CHECK]
        asks = len(check) if isinstance(check, bytes) else 0
        if index > start and (
            index - start >= MAX_SCRIPT_ITEMS
            or legs + more > MAX_SCRIPT_LEGS
            or size + length > MAX_SCRIPT_BYTES
            or asked + asks > MOST_ASKED_BYTES
        ):
            yield packed[start:index]
            start, size, legs, asked = index, 0, 0, 0
        size += length
        legs += more
        asked += asks
    if start < len(packed):
        yield packed[start:]


class RedisSpool:
    """`shared.store.ports.Spool` on a server. With a `clock` the scripts use its time."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, *, connections: int | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=settings.store.timeout_seconds,
            connections=connections or settings.web.threads + 4,
        )
        self._template = template()

    def _head_arguments(self) -> list[Value]:
        now = b"" if self._clock is None else self._clock.now_ms()
        return [now, self._template, self._settings.worker.quantum]

    def _run(self, name: str, *arguments: Value) -> Any:
        return self._redis.run(SCRIPTS[name], [*self._head_arguments(), *arguments])

    def _store(self, arguments: Sequence[Value]) -> Any:
        """Run the accept script; durable when this returns."""
        given = [*self._head_arguments(), IDEMPOTENCY_WIDTH_MS, IDEMPOTENCY_KEPT, *arguments]
        replicas = self._settings.store.replicas
        return self._redis.run_replicated(SCRIPTS["accept"], given, replicas)

    def accept(self, submissions: Sequence[Submission]) -> list[Accepted | Exception]:
        """See the port."""
        answers: list[Accepted | Exception] = []
        for chunk in chunks([pack_submission(each) for each in submissions]):
            arguments = [part for item in chunk for part in item]
            try:
                replies = self._store(arguments)
            except StoreError as error:
                answers += [error] * len(chunk)
                rest = len(submissions) - len(answers)
                answers += [StoreUnavailable("an earlier part was not answered")] * rest
                return answers
            answers += [_accepted(reply, item) for reply, item in zip(replies, chunk, strict=True)]
        return answers

    def get(self, message_id: bytes) -> Stored | None:
        """See the port."""
        stored, _ = self._load(message_id)
        return stored

    def _load(self, message_id: bytes) -> tuple[Stored | None, bytes]:
        bucket = message_id[15]
        stored_head, first = self._redis.commands(
            [
                ("HGET", f"{PREFIX}head:{bucket}", message_id),
                ("HGET", f"{PREFIX}leg:{bucket}", leg_id(message_id, 0)),
            ]
        )
        if first is None:
            return None, b""
        packed = [first, *self._further_legs(message_id, first)]
        head, legs = shown(message_id, stored_head, readable_legs(message_id, stored_head, packed))
        stored = Stored(message_id, head, tuple(counted(leg) for leg in legs))
        now_ms = (self._clock or SystemClock()).now_ms()
        pauses = pauses_of(self._redis, legs, now_ms)
        kept = kept_of(self._redis, [leg for leg in legs if leg.hop not in pauses], now_ms)
        stored = msgspec.structs.replace(stored, pauses=pauses, kept=kept)
        return stored, stored_head or b""

    def _further_legs(self, message_id: bytes, first: bytes) -> list[bytes]:
        """The other legs of a message; as many as there are where the first one cannot tell."""
        leg = readable_leg(message_id, first)
        count, found = leg.legs if leg else _FEW_LEGS, list[bytes]()
        while len(found) + 1 < count:
            ids = [leg_id(message_id, number) for number in range(len(found) + 1, count)]
            part = self._redis.command("HMGET", f"{PREFIX}leg:{message_id[15]}", *ids)
            found += [each for each in part if each is not None]
            if leg is None and None not in part:
                count *= 2
            else:
                break
        return found

    def content(self, message_id: bytes) -> bytes | None:
        """See the port."""
        found: bytes | None = self._redis.command(
            "HGET", f"{PREFIX}body:{message_id[15]}", message_id
        )
        return found

    def cancel(self, message_id: bytes) -> Changed:
        """See the port."""
        kind = _CHANGES[self._run("cancel", message_id)]
        return Changed(kind, self.get(message_id))

    def reschedule(self, message_id: bytes, send_at_ms: int, give_up_ms: int) -> Changed:
        """See the port."""
        while True:
            stored, packed = self._load(message_id)
            if stored is None:
                return Changed(ChangeKind.NOT_FOUND)
            try:
                head = unpack_head(packed)
            except UnknownFormat:
                return Changed(ChangeKind.TOO_LATE, stored)
            head = msgspec.structs.replace(head, send_at_ms=send_at_ms, give_up_ms=give_up_ms)
            answer = self._run(
                "reschedule", message_id, packed, pack_head(head), send_at_ms, give_up_ms
            )
            if answer != b"a":  # Another reschedule came between: read the head again.
                return Changed(_CHANGES[answer], self.get(message_id))

    def events(self, after: str = "0", limit: int = 1000) -> list[Event]:
        """See the port."""
        entries = self._redis.command("XRANGE", f"{PREFIX}events", f"({after}", "+", "COUNT", limit)
        return [
            Event(identifier.decode(), kind.decode(), leg, payload)
            for identifier, (_, kind, _, leg, _, payload) in entries
        ]

    def uses(self, application: str) -> tuple[Use, ...]:
        """See the port."""
        flat = self._run("quota", application, *WINDOWS)
        each = zip(WINDOWS, flat[0::3], flat[1::3], flat[2::3], strict=True)
        return tuple(Use(*fields) for fields in each)

    def depth(self) -> Depth:
        """See the port."""
        return depth_of(self._run("depth"))

    def health(self) -> Health:
        """See the port."""
        try:
            memory, persistence, replication, length, acknowledged = self._redis.commands(
                [
                    ("INFO", "memory"),
                    ("INFO", "persistence"),
                    ("INFO", "replication"),
                    ("XLEN", f"{PREFIX}events"),
                    ("EXISTS", f"{PREFIX}events:acknowledged"),
                ]
            )
        except OutcomeUnknown as error:
            raise StoreUnavailable("the store did not answer") from error
        facts = info(memory) | info(persistence) | info(replication)
        return judged(facts, length if acknowledged else 0, self._settings.store)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _accepted(reply: bytes, item: list[Value]) -> Accepted:
    """One answer of the accept script: `a`, `m`, `o` and the use, or `r`, scheduled, id; behind
    `a` and the id the indices of those that are suppressed."""
    if reply == b"m":
        return Accepted(AcceptKind.MISMATCH, b"")
    if reply[:1] == b"r":
        return Accepted(
            AcceptKind.REPLAYED, reply[2:18], reply[1:2] == b"1", suppressed=_indices(reply[18:])
        )
    if reply[:1] == b"o":
        return Accepted(AcceptKind.OVER_QUOTA, b"", full=_use(reply[1:].decode()))
    identifier = item[0]
    return Accepted(
        AcceptKind.ACCEPTED,
        identifier if isinstance(identifier, bytes) else b"",
        item[5] == b"1",
        suppressed=_indices(reply[1:]),
    )


def _indices(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(packed) // 2}H", packed)


def _use(text: str) -> Use:
    name, used, reset_ms, wait_ms = text.split(" ")
    window = msgspec.convert(name, Window)
    return Use(window, int(used), int(reset_ms), int(wait_ms))
