"""The spool's blocking half on Redis or Valkey: accept, look, change, count.

Takes and gives the values of `shared.store.ports`. Everything that changes is one script, so it
happens whole or not at all. Failures are the `StoreError` family.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from shared.clock import Clock, SystemClock
from shared.compression import pack_content
from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.hops import POOL
from shared.model.leg import Leg, LegState, counted, leg_id, pack_leg
from shared.model.message import CLASSES, UnknownFormat, pack_head, unpack_head
from shared.model.status import BY_LETTER
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.attempts import split_attempts
from shared.store.connection import SyncRedis, Value, info
from shared.store.pools import members_in, pause_of_pool
from shared.store.ports import (
    Accepted,
    AcceptKind,
    Changed,
    ChangeKind,
    Depth,
    Event,
    Health,
    Pause,
    Stored,
    Submission,
)
from shared.store.quotas import WINDOWS, Use, Window
from shared.store.redis_operations import pause_of
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.tickets import template
from shared.store.unreadable import readable_leg, readable_legs, shown

MAX_SCRIPT_ITEMS = 100
MAX_SCRIPT_BYTES = 1024 * 1024
"""A script holds everybody up while it runs: 100 items cost about 2 ms."""

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


def _size(packed: Sequence[Value]) -> int:
    return sum(len(part) for part in packed if isinstance(part, bytes))


def chunks(packed: Sequence[list[Value]]) -> Iterator[Sequence[list[Value]]]:
    """Runs of at most 100 items and 1 MB; a larger item travels alone."""
    start, size = 0, 0
    for index, item in enumerate(packed):
        length = _size(item)
        if index > start and (
            index - start >= MAX_SCRIPT_ITEMS or size + length > MAX_SCRIPT_BYTES
        ):
            yield packed[start:index]
            start, size = index, 0
        size += length
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
        if replicas:
            return self._redis.run_replicated(SCRIPTS["accept"], given, replicas)
        return self._redis.run(SCRIPTS["accept"], given)

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
        return msgspec.structs.replace(stored, pauses=self._pauses(legs)), stored_head or b""

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

    def _pauses(self, legs: Sequence[Leg]) -> dict[str, Pause]:
        """Which hops of ready legs stand still."""
        hops = sorted({leg.hop for leg in legs if leg.state is LegState.READY})
        if not hops:
            return {}
        members = self._members(hops)
        asked = sorted({*hops, *(each for pool in members.values() for each in pool)})
        answers = self._redis.commands(
            [("HMGET", f"{PREFIX}{kind}", *asked) for kind in ("suspended", "trouble")]
        )
        found = zip(asked, *answers, strict=True)
        now_ms = (self._clock or SystemClock()).now_ms()
        each = {hop: pause_of(suspended, trouble, now_ms) for hop, suspended, trouble in found}
        pauses = {
            hop: pause_of_pool(each[hop], [each[member] for member in members.get(hop, ())])
            for hop in hops
        }
        return {hop: pause for hop, pause in pauses.items() if pause is not None}

    def _members(self, hops: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The members of those that are pools."""
        pools = [hop for hop in hops if hop.startswith(POOL)]
        if not pools:
            return {}
        packed = self._redis.command("HMGET", f"{PREFIX}pools", *pools)
        found = zip(pools, packed, strict=True)
        return {pool: members_in(text.decode()) for pool, text in found if text is not None}

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
        return _depth(self._run("depth"))

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
        return self._judge(facts, length if acknowledged else 0)

    def _judge(self, facts: dict[str, str], backlog: int) -> Health:
        store = self._settings.store
        used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
        aof = int(facts.get("aof_current_size", 0))
        free = _free(store.data_dir)
        reasons = []
        if facts.get("loading", "0") != "0":
            reasons.append("store_loading")
        if facts.get("role", "master") != "master":
            reasons.append("store_read_only")
        if facts.get("aof_last_write_status", "ok") != "ok":
            reasons.append("store_write_error")
        if int(facts.get("connected_slaves", 0)) < store.replicas:
            reasons.append("store_replicas")
        if most and used > most * store.memory_ratio:
            reasons.append("store_memory")
        if store.data_dir and (free is None or free < aof * 1.2 + store.disk_reserve_bytes):
            reasons.append("store_disk")
        if backlog > store.events_max:
            reasons.append("events_backlog")
        return Health(tuple(reasons), used, most, aof, free)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _free(folder: str) -> int | None:
    """Free bytes of the disk that holds a directory; None when it is not named or not there."""
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:
        return None


def _accepted(reply: bytes, item: list[Value]) -> Accepted:
    """One answer of the accept script: `a`, `m`, `o` and the use, or `r`, scheduled, id."""
    if reply == b"m":
        return Accepted(AcceptKind.MISMATCH, b"")
    if reply[:1] == b"r":
        return Accepted(AcceptKind.REPLAYED, reply[2:], reply[1:2] == b"1")
    if reply[:1] == b"o":
        return Accepted(AcceptKind.OVER_QUOTA, b"", full=_use(reply[1:].decode()))
    identifier = item[0]
    return Accepted(
        AcceptKind.ACCEPTED,
        identifier if isinstance(identifier, bytes) else b"",
        item[5] == b"1",
    )


def _use(text: str) -> Use:
    name, used, reset_ms, wait_ms = text.split(" ")
    window = msgspec.convert(name, Window)
    return Use(window, int(used), int(reset_ms), int(wait_ms))


def _depth(reply: Any) -> Depth:
    """The depth script's answer as a value."""
    flat, live, events, finished, dead, held, suspended, troubled, *by_class = reply
    numbers = {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}
    accepted: dict[str, int] = {}
    by_status: dict[str, dict[str, int]] = {}
    ready: dict[str, int] = {}
    for index, name in enumerate(CLASSES):
        accepted[name] = numbers.pop(f"a:{index}", 0)
        ready[name] = numbers.pop(f"r:{index}", 0)
        by_status[name] = {
            status.value: numbers.pop(f"s:{index}:{letter}", 0)
            for letter, status in BY_LETTER.items()
        }
    attempts, counters = split_attempts(numbers)
    return Depth(
        attempts=attempts,
        accepted=accepted,
        by_status=by_status,
        ready_legs=ready,
        counters=counters,
        oldest_ready_ms={
            name: age for name, age in zip(CLASSES, by_class[2::3], strict=True) if age >= 0
        },
        deferred_legs=dict(zip(CLASSES, by_class[0::3], strict=True)),
        leased_legs=dict(zip(CLASSES, by_class[1::3], strict=True)),
        live_workers=live,
        events_length=events,
        dead_legs=dead,
        held_legs=held,
        suspended_hops=suspended,
        troubled_hops=troubled,
        finished_messages=finished,
    )
