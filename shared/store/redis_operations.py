"""The port of operators on Redis or Valkey. What changes is one script; views are read in pieces.

A view may mix moments some milliseconds apart: it is for people. Failures are the `StoreError`
family.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from shared.clock import Clock, SystemClock
from shared.errors import StoreError
from shared.model.leg import counted, message_of
from shared.model.message import CLASSES, MessageClass
from shared.model.status import Status
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value, info
from shared.store.limits import (
    BY_OPERATOR,
    Limited,
    Override,
    pack_override,
)
from shared.store.operations import (
    Aside,
    Destination,
    Line,
    Move,
    Outline,
    Place,
    Refusal,
    SetAside,
    Vitals,
    Waiting,
)
from shared.store.redis_destinations import Outlines, View, pairs_of, refusals_of
from shared.store.redis_limits import limits_of
from shared.store.redis_lines import entries, packed_moves
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.tickets import template
from shared.store.unreadable import readable_leg, shown, stand_in_leg

REDRIVE_BATCH = 100
_SETS: dict[Aside, str] = {"dead": "dead", "uncertain": "held"}
_STATUSES: dict[Aside, Status] = {"dead": Status.DEAD, "uncertain": Status.UNCERTAIN}


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

    def limits(self, keys: Sequence[str] | None = None) -> list[Limited]:
        """See the port."""
        return limits_of(self._redis, keys, self._now())

    def refusals(self, hops: Sequence[str]) -> dict[str, Refusal]:
        """See the port."""
        return refusals_of(self._redis, hops, self._now())

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

    def line(self, line: Line, skip: int, most: int, *, heads: bool = False) -> list[Waiting]:
        """See the port."""
        return entries(self._redis, line, skip, most, heads=heads)

    def move(self, line: Line, moves: Sequence[Move], *, now: bool = False) -> list[bool]:
        """See the port."""
        return [done == 1 for done in self._run("move", *packed_moves(line, moves, now=now))]

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
            return pairs_of(self._redis.command("ZREVRANGE", key, 0, limit - 1, "WITHSCORES"))
        since, last = before
        same = self._redis.command("ZREVRANGEBYSCORE", key, since, since, "WITHSCORES")
        found = [pair for pair in pairs_of(same) if pair[0] < last][:limit]
        if len(found) < limit:
            rest = ("-inf", "WITHSCORES", "LIMIT", 0, limit - len(found))
            found += pairs_of(self._redis.command("ZREVRANGEBYSCORE", key, f"({since}", *rest))
        return found

    def destinations(self, hops: Collection[str] | None = None) -> list[Destination]:
        """See the port."""
        view = View(self._redis, self._now(), hops)
        return sorted(view.destinations(), key=lambda each: (-each.depth, each.hop))

    def outlines(self) -> list[Outline]:
        """See the port."""
        view = Outlines(self._redis, self._now())
        return sorted(view.outlines(), key=lambda each: (-each.depth, each.hop))

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
