"""Destinations on Redis or Valkey, for people: read in pieces, so some milliseconds apart."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

import msgspec

from shared.hops import limit_keys, shared_part
from shared.ids import accepted_ms
from shared.model.message import CLASSES
from shared.model.turns import hop_and_application
from shared.store.connection import SyncRedis
from shared.store.operations import REFUSALS_DAYS, Destination, Outline, Refusal, deepest
from shared.store.pools import members_in, pause_of_pool
from shared.store.ports import Pause
from shared.store.redis_limits import limits_of
from shared.store.redis_sessions import open_sessions
from shared.store.scripts import PREFIX, SCRIPTS

T = TypeVar("T")
VIEW_BATCH = 1000
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


def pairs_of(flat: Sequence[bytes]) -> list[tuple[bytes, float]]:
    """(name, number) of what a sorted set gives with its scores."""
    return [(flat[at], float(flat[at + 1])) for at in range(0, len(flat), 2)]


def refusals_of(redis: SyncRedis, hops: Sequence[str], now_ms: int) -> dict[str, Refusal]:
    """Hop -> the last one, of those that have any."""
    today, found = now_ms // 86_400_000, dict[str, Refusal]()
    for day in range(today - REFUSALS_DAYS + 1, today + 1) if hops else ():
        values = redis.command("HMGET", f"{PREFIX}refusals:{day}", *hops)
        for hop, value in zip(hops, values, strict=True):
            if value is not None:
                at_ms, _, text = value.decode().partition("|")
                found[hop] = Refusal(int(at_ms), text)
    return found


class Outlines:
    """What counters tell of all destinations, read in a few round trips; of thousands, too.

    With `hops` only of these, and of what a pool among them has for members.
    """

    def __init__(self, redis: SyncRedis, now_ms: int, hops: Collection[str] | None = None) -> None:
        self._redis = redis
        self._now_ms = now_ms
        self._hops = None if hops is None else frozenset(hops)
        self._pools = _table(redis.command("HGETALL", f"{PREFIX}pools"))
        minute = now_ms // 60_000
        self._suspended, self._trouble = self._tables(("suspended", "trouble"), self._with_members)
        self._still = {*self._suspended, *self._trouble, *self._pools}
        """What may stand still; the others do not."""
        self._inflight, self._waiting, self._this, self._last = self._tables(
            ("inflight", "waiting", f"rate:{minute}", f"rate:{minute - 1}"), _with_classes
        )
        self._wakes = [
            {queue.decode(): int(at) for queue, at in pairs_of(each)}
            for each in redis.commands(
                [("ZRANGE", f"{PREFIX}wake:{c}", 0, -1, "WITHSCORES") for c in range(len(CLASSES))]
            )
        ]
        self._queues = self._queue_names()
        self._ready = self._read_ready()
        self._places = self._all_places()

    def _tables(
        self, names: Sequence[str], fields_of: Callable[[Collection[str]], list[str]]
    ) -> list[dict[str, bytes]]:
        """Hashes by hop, whole or what is wanted of them."""
        keys = [f"{PREFIX}{name}" for name in names]
        if self._hops is None:
            return [_table(each) for each in self._redis.commands([("HGETALL", k) for k in keys])]
        fields = fields_of(self._hops)
        if not fields:
            return [{} for _ in keys]
        answers = self._redis.commands([("HMGET", key, *fields) for key in keys])
        return [
            {field: value for field, value in zip(fields, each, strict=True) if value is not None}
            for each in answers
        ]

    def _with_members(self, hops: Collection[str]) -> list[str]:
        members = [each for hop in hops for each in members_in(self._pools.get(hop, b"").decode())]
        return [*hops, *members]

    def outlines(self) -> list[Outline]:
        """All of them, in no order."""
        return [self._outline(c, hop) for c, hop in self._places]

    def _all_places(self) -> list[tuple[int, str]]:
        """(class, hop) of every destination."""
        named = self._inflight.keys() | self._waiting.keys() | self._this.keys() | self._last.keys()
        found = {(int(each[0]), each[1:]) for each in named} | self._queues.keys()
        still = (self._suspended.keys() | self._trouble.keys()) - {hop for _, hop in found}
        found |= {(1, hop) for hop in still}
        return sorted(each for each in found if self._is_wanted(each[1]))

    def _is_wanted(self, hop: str) -> bool:
        return self._hops is None or hop in self._hops

    def _queue_names(self) -> dict[tuple[int, str], list[str]]:
        """(class, hop) -> the queues of its applications that have ready mail, in order."""
        rings = self._redis.commands(
            [("LRANGE", f"{PREFIX}ring:{c}", 0, -1) for c in range(len(CLASSES))]
        )
        found: dict[tuple[int, str], list[str]] = {}
        for c, ring in enumerate(rings):
            for queue in sorted({each.decode() for each in ring} | self._wakes[c].keys()):
                hop = hop_and_application(queue)[0]
                if self._is_wanted(hop):
                    found.setdefault((c, hop), []).append(queue)
        return found

    def _read_ready(self) -> dict[tuple[int, str], int]:
        """(class, queue) -> ready legs."""
        found: dict[tuple[int, str], int] = {}
        for c in range(len(CLASSES)):
            queues = [each for (of, _), names in self._queues.items() if of == c for each in names]
            for part in _batches(queues):
                lengths = self._redis.run(SCRIPTS["lengths"], [self._now_ms, b"", b"", c, *part])
                found.update(zip(((c, each) for each in part), lengths, strict=True))
        return found

    def _outline(self, c: int, hop: str) -> Outline:
        """One of them; there may be ten thousand, so it is short."""
        key, queues, wakes = f"{c}{hop}", self._queues.get((c, hop)), self._wakes[c]
        ready, woken, lately = 0, None, float(self._this.get(key, 0))
        if queues is not None:
            ready = sum([self._ready[c, each] for each in queues])
            woken = min([wakes[each] for each in queues if each in wakes], default=None)
        if key in self._last:
            lately += (1 - self._now_ms % 60_000 / 60_000) * int(self._last[key])
        return Outline(
            hop=hop,
            message_class=CLASSES[c],
            ready=ready,
            deferred=int(self._waiting.get(key, 0)),
            in_flight=int(self._inflight.get(key, 0)),
            per_minute=lately,
            wakes_ms=woken,
            pause=self._pause(hop) if hop in self._still else None,
        )

    def _pause(self, hop: str) -> Pause | None:
        own = pause_of(self._suspended.get(hop), self._trouble.get(hop), self._now_ms)
        packed = self._pools.get(hop)
        if packed is None:
            return own
        return pause_of_pool(own, [self._pause(each) for each in members_in(packed.decode())])


class View(Outlines):
    """Everything that is known of some destinations; of `hops`, or of all."""

    def __init__(self, redis: SyncRedis, now_ms: int, hops: Collection[str] | None) -> None:
        super().__init__(redis, now_ms, hops)
        self._oldest = self._read_oldest()
        names = sorted({hop for _, hop in self._places})
        self._sessions = open_sessions(redis, {shared_part(hop) for hop in names}, now_ms)
        self._refusals = refusals_of(redis, names, now_ms)
        keys = sorted({key for hop in names for key in limit_keys(hop)})
        self._limits = {each.key: each for each in limits_of(redis, keys, now_ms)}

    def destinations(self) -> list[Destination]:
        """In no order."""
        return [self._destination(c, hop) for c, hop in self._places]

    def _read_oldest(self) -> dict[tuple[int, str], list[bytes]]:
        """(class, hop) -> the first ready leg of each application, and the longest deferred."""
        asked = [
            ((c, hop), ("LINDEX", f"{PREFIX}ready:{c}:{queue}", 0))
            for c, hop in self._places
            for queue in self._queues.get((c, hop), ())
        ] + [
            ((c, hop), ("ZRANGE", f"{PREFIX}waiting:{c}:{hop}", 0, 0))
            for c, hop in self._places
            if f"{c}{hop}" in self._waiting
        ]
        found: dict[tuple[int, str], list[bytes]] = {}
        for part in _batches(asked):
            answers = self._redis.commands([command for _, command in part])
            for (place, _), answer in zip(part, answers, strict=True):
                first = answer[:1] if isinstance(answer, list) else [answer]
                found.setdefault(place, []).extend(each for each in first if each is not None)
        return found

    def _destination(self, c: int, hop: str) -> Destination:
        """One of them."""
        ready = {
            hop_and_application(each)[1]: self._ready[c, each]
            for each in self._queues.get((c, hop), ())
        }
        accepted = [accepted_ms(each) for each in self._oldest.get((c, hop), ())]
        limits = tuple(self._limits[key] for key in limit_keys(hop))
        own = limits[0].effective
        return Destination(
            **msgspec.structs.asdict(self._outline(c, hop)),
            oldest_ms=self._now_ms - min(accepted) if accepted else None,
            limit=own.limit,
            applications=deepest(ready),
            override=own.override,
            slowed=own.slowed,
            used=limits[0].used,
            connections=self._sessions.get(shared_part(hop), 0),
            refusal=self._refusals.get(hop),
            limits=limits,
        )


def _table(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}


def _with_classes(hops: Collection[str]) -> list[str]:
    """The fields of these hops in a hash by class and hop."""
    return [f"{c}{hop}" for c in range(len(CLASSES)) for hop in hops]


def _batches(many: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(many), VIEW_BATCH):
        yield many[start : start + VIEW_BATCH]
