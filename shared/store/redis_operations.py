"""The port of operators on Redis or Valkey. What changes is one script; views are read in pieces.

A view may mix moments some milliseconds apart: it is for people. Failures are the `StoreError`
family.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

from shared.clock import Clock, SystemClock
from shared.errors import StoreError
from shared.hops import DestinationLimit, shared_part
from shared.ids import accepted_ms
from shared.model.leg import counted, message_of
from shared.model.message import CLASSES, MessageClass
from shared.model.status import Status
from shared.model.turns import hop_and_application
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value, info
from shared.store.limits import (
    BY_OPERATOR,
    Fields,
    Override,
    in_window,
    pack_override,
    windows,
)
from shared.store.operations import Aside, Destination, Place, SetAside, Vitals, deepest
from shared.store.pools import members_in, pause_of_pool
from shared.store.ports import Pause
from shared.store.redis_sessions import open_sessions
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.tickets import template
from shared.store.unreadable import readable_leg, shown, stand_in_leg

REDRIVE_BATCH = 100
VIEW_BATCH = 1000
_SETS: dict[Aside, str] = {"dead": "dead", "uncertain": "held"}
_STATUSES: dict[Aside, Status] = {"dead": Status.DEAD, "uncertain": Status.UNCERTAIN}
_TROUBLE = struct.Struct(">dBd18s")


def pause_of(suspended: bytes | None, trouble: bytes | None, now_ms: int) -> Pause | None:
    """The pause behind a hop's entries in `suspended` and `trouble` (lua/prelude.lua)."""
    if suspended is not None:
        until, _, reason = suspended.decode().partition("|")
        if int(until) == 0 or int(until) > now_ms:
            return Pause("suspended", int(until) or None, reason)
    if trouble is not None:
        until_ms, strikes, since_ms, _ = _TROUBLE.unpack_from(trouble)
        reason = trouble[_TROUBLE.size :].decode()
        return Pause("trouble", int(until_ms), reason, strikes, int(since_ms))
    return None


class RedisOperations:
    """`shared.store.operations.Operations` on a server. With a `clock` the scripts use its time."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._clock = clock
        self._quantum = settings.worker.quantum
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=max(5.0, settings.store.timeout_seconds),
            connections=4,
        )
        self._template = template()

    def _run(self, name: str, *arguments: Value) -> Any:
        now = b"" if self._clock is None else self._clock.now_ms()
        return self._redis.run(SCRIPTS[name], [now, self._template, self._quantum, *arguments])

    def suspend(self, hop: str, until_ms: int | None, reason: str) -> None:
        """See the port."""
        self._run("suspend", hop, until_ms or 0, reason)

    def resume(self, hop: str) -> bool:
        """See the port."""
        return bool(self._run("resume", hop))

    def set_limit(self, key: str, override: Override) -> None:
        """See the port."""
        self._run("limit", f"{BY_OPERATOR}{key}", pack_override(override))

    def clear_limit(self, key: str) -> bool:
        """See the port."""
        return bool(self._run("limit", f"{BY_OPERATOR}{key}", ""))

    def flush(self, hop: str, message_class: MessageClass, most: int) -> int:
        """See the port."""
        moved, c = 0, CLASSES.index(message_class)
        while moved < most:
            step = int(self._run("flush", c, hop, min(REDRIVE_BATCH, most - moved)))
            if step == 0:
                break
            moved += step
        return moved

    def requeue(self, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        """See the port."""
        return self._redrive("q", legs)

    def drop(self, legs: Sequence[bytes]) -> list[bool]:
        """See the port."""
        return self._redrive("c", [(leg, 0) for leg in legs])

    def _redrive(self, letter: str, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        answers: list[bool] = []
        for start in range(0, len(legs), REDRIVE_BATCH):
            flat = [part for leg in legs[start : start + REDRIVE_BATCH] for part in leg]
            answers += [done == 1 for done in self._run("redrive", letter, *flat)]
        return answers

    # -- views ------------------------------------------------------------------------------

    def aside(self, kind: Aside, limit: int, before: Place | None = None) -> list[SetAside]:
        """See the port."""
        found = self._places(f"{PREFIX}{_SETS[kind]}", limit, before)
        if not found:
            return []
        packed = self._redis.commands(
            [
                command
                for leg_id, _ in found
                for command in (
                    ("HGET", f"{PREFIX}leg:{leg_id[15]}", leg_id),
                    ("HGET", f"{PREFIX}head:{leg_id[15]}", message_of(leg_id)),
                )
            ]
        )
        rows = zip(found, packed[::2], packed[1::2], strict=True)
        return [
            _set_aside(kind, leg_id, int(since), leg, head)
            for (leg_id, since), leg, head in rows
            if leg is not None  # Decided by somebody else meanwhile, and forgotten.
        ]

    def _places(self, key: str, limit: int, before: Place | None) -> list[tuple[bytes, float]]:
        """(leg id, since) of a sorted set, backwards; equal times are ordered by id."""
        if before is None:
            return _pairs(self._redis.command("ZREVRANGE", key, 0, limit - 1, "WITHSCORES"))
        since, last = before
        same = self._redis.command("ZREVRANGEBYSCORE", key, since, since, "WITHSCORES")
        found = [pair for pair in _pairs(same) if pair[0] < last][:limit]
        if len(found) < limit:
            rest = ("-inf", "WITHSCORES", "LIMIT", 0, limit - len(found))
            found += _pairs(self._redis.command("ZREVRANGEBYSCORE", key, f"({since}", *rest))
        return found

    def destinations(self) -> list[Destination]:
        """See the port."""
        view = _View(self._redis, self._now())
        found = [view.destination(c, hop) for c, hop in view.places()]
        return sorted(found, key=lambda each: (-each.ready - each.deferred, each.hop))

    def vitals(self) -> Vitals:
        """See the port."""
        began = time.perf_counter()
        self._redis.command("TIME")  # PING is refused by a server that cannot write.
        took = time.perf_counter() - began
        names = ("server", "clients", "stats", "persistence", "replication")
        facts: dict[str, str] = {}
        for text in self._redis.commands([("INFO", name) for name in names]):
            facts |= info(text)
        return Vitals(
            took,
            int(facts.get("uptime_in_seconds", 0)),
            int(facts.get("connected_clients", 0)),
            int(facts.get("connected_slaves", 0)),
            int(facts.get("total_commands_processed", 0)),
            int(facts.get("evicted_keys", 0)),
            int(facts.get("aof_delayed_fsync", 0)),
            facts.get("aof_last_write_status", "ok") == "ok",
            facts.get("aof_last_bgrewrite_status", "ok") == "ok",
            self._durable(facts.get("aof_enabled") == "1"),
        )

    def _durable(self, appends: bool) -> bool | None:
        try:
            _, policy = self._redis.command("CONFIG", "GET", "appendfsync")
        except (StoreError, ValueError):  # Hosted ones forbid the question.
            return None if appends else False
        return appends and policy == b"always"

    def _now(self) -> int:
        return (self._clock or SystemClock()).now_ms()

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _set_aside(
    kind: Aside, leg_id: bytes, since_ms: int, packed: bytes, head: bytes | None
) -> SetAside:
    message = message_of(leg_id)
    leg = readable_leg(message, packed) or stand_in_leg(message, head, [], _STATUSES[kind])
    found, (leg,) = shown(message, head, [leg])
    return SetAside(leg_id, kind, since_ms, counted(leg), found)


def _pairs(flat: Sequence[bytes]) -> list[tuple[bytes, float]]:
    return [(flat[at], float(flat[at + 1])) for at in range(0, len(flat), 2)]


class _View:
    """Everything that is known of destinations, read in a few round trips."""

    def __init__(self, redis: SyncRedis, now_ms: int) -> None:
        self._redis = redis
        self._now_ms = now_ms
        minute = now_ms // 60_000
        names = ("suspended", "trouble", "limits", "pools", "inflight", "waiting",
                 f"rate:{minute}", f"rate:{minute - 1}")  # fmt: skip
        hashes = redis.commands([("HGETALL", f"{PREFIX}{name}") for name in names])
        (self._suspended, self._trouble, limits, self._pools, self._inflight, self._waiting,
         self._this, self._last) = [_table(each) for each in hashes]  # fmt: skip
        self._limits = Fields(limits)
        self._rings = [
            {queue.decode() for queue in each}
            for each in redis.commands(
                [("LRANGE", f"{PREFIX}ring:{c}", 0, -1) for c in range(len(CLASSES))]
            )
        ]
        self._wakes = [
            {queue.decode(): int(at) for queue, at in _pairs(each)}
            for each in redis.commands(
                [("ZRANGE", f"{PREFIX}wake:{c}", 0, -1, "WITHSCORES") for c in range(len(CLASSES))]
            )
        ]
        self._queues = self._queue_names()
        self._ready = self._read_ready()
        self._oldest_deferred = self._read_deferred()
        hops = {shared_part(hop) for _, hop in self.places()}
        self._sessions = open_sessions(redis, hops, now_ms)

    def places(self) -> list[tuple[int, str]]:
        """(class, hop) of every destination."""
        named = self._inflight.keys() | self._waiting.keys() | self._this.keys() | self._last.keys()
        found = {(int(each[0]), each[1:]) for each in named} | self._queues.keys()
        still = (self._suspended.keys() | self._trouble.keys()) - {hop for _, hop in found}
        return sorted(found | {(1, hop) for hop in still})

    def _queue_names(self) -> dict[tuple[int, str], set[str]]:
        """(class, hop) -> the queues of its applications that have ready mail."""
        found: dict[tuple[int, str], set[str]] = {}
        for c in range(len(CLASSES)):
            for queue in self._rings[c] | self._wakes[c].keys():
                found.setdefault((c, hop_and_application(queue)[0]), set()).add(queue)
        return found

    def _read_ready(self) -> dict[tuple[int, str], tuple[int, bytes | None]]:
        """(class, queue) -> ready legs, and the first of them."""
        queues = [(c, each) for (c, _), names in self._queues.items() for each in sorted(names)]
        found: dict[tuple[int, str], tuple[int, bytes | None]] = {}
        for part in _batches(queues):
            keys = [f"{PREFIX}ready:{c}:{queue}" for c, queue in part]
            answers = self._redis.commands(
                [command for key in keys for command in (("LLEN", key), ("LINDEX", key, 0))]
            )
            found.update(zip(part, zip(answers[::2], answers[1::2], strict=True), strict=True))
        return found

    def _read_deferred(self) -> dict[tuple[int, str], bytes]:
        """(class, hop) -> the longest deferred leg."""
        places = [(int(each[0]), each[1:]) for each in self._waiting]
        found: dict[tuple[int, str], bytes] = {}
        for part in _batches(places):
            answers = self._redis.commands(
                [("ZRANGE", f"{PREFIX}waiting:{c}:{hop}", 0, 0) for c, hop in part]
            )
            found |= {place: each[0] for place, each in zip(part, answers, strict=True) if each}
        return found

    def destination(self, c: int, hop: str) -> Destination:
        """One of them."""
        queues = sorted(self._queues.get((c, hop), ()))
        ready = {hop_and_application(each)[1]: self._ready[c, each][0] for each in queues}
        first = [self._ready[c, each][1] for each in queues] + [self._oldest_deferred.get((c, hop))]
        accepted = [accepted_ms(each) for each in first if each is not None]
        wakes = [self._wakes[c][each] for each in queues if each in self._wakes[c]]
        key = f"{c}{hop}"
        share = 1 - self._now_ms % 60_000 / 60_000
        limits = self._limits.effective(shared_part(hop), self._now_ms)
        return Destination(
            hop,
            CLASSES[c],
            sum(ready.values()),
            int(self._waiting.get(key, 0)),
            int(self._inflight.get(key, 0)),
            self._now_ms - min(accepted) if accepted else None,
            int(self._this.get(key, 0)) + share * int(self._last.get(key, 0)),
            limits.limit,
            min(wakes, default=None),
            self._pause(hop),
            deepest(ready),
            limits.override,
            limits.slowed,
            self._used(shared_part(hop), limits.limit),
            self._sessions.get(shared_part(hop), 0),
        )

    def _used(self, key: str, limit: DestinationLimit) -> dict[str, int]:
        """Legs of each window that has a limit."""
        found = {}
        for window, _ in windows(limit):
            parts = self._redis.command("HGETALL", f"{PREFIX}used:{window}:{key}")
            found[window] = in_window(window, dict(_numbers(parts)), self._now_ms)
        return found

    def _pause(self, hop: str) -> Pause | None:
        own = pause_of(self._suspended.get(hop), self._trouble.get(hop), self._now_ms)
        members = members_in(self._pools.get(hop, b"").decode())
        return pause_of_pool(own, [self._pause(member) for member in members])


def _table(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}


def _numbers(flat: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    return ((int(flat[at]), int(flat[at + 1])) for at in range(0, len(flat), 2))


def _batches(places: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    for start in range(0, len(places), VIEW_BATCH):
        yield places[start : start + VIEW_BATCH]
