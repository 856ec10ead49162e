"""Destinations on Redis or Valkey, for people: read in pieces, so some milliseconds apart."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from shared.hops import limit_keys, shared_part
from shared.ids import accepted_ms
from shared.model.message import CLASSES
from shared.model.turns import hop_and_application
from shared.store.connection import SyncRedis
from shared.store.operations import REFUSALS_DAYS, Destination, Refusal, deepest
from shared.store.pools import members_in, pause_of_pool
from shared.store.ports import Pause
from shared.store.redis_limits import limits_of
from shared.store.redis_sessions import open_sessions
from shared.store.scripts import PREFIX

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


class View:
    """Everything that is known of destinations, read in a few round trips."""

    def __init__(self, redis: SyncRedis, now_ms: int) -> None:
        self._redis = redis
        self._now_ms = now_ms
        minute = now_ms // 60_000
        names = ("suspended", "trouble", "pools", "inflight", "waiting",
                 f"rate:{minute}", f"rate:{minute - 1}")  # fmt: skip
        hashes = redis.commands([("HGETALL", f"{PREFIX}{name}") for name in names])
        (self._suspended, self._trouble, self._pools, self._inflight, self._waiting,
         self._this, self._last) = [_table(each) for each in hashes]  # fmt: skip
        self._rings = [
            {queue.decode() for queue in each}
            for each in redis.commands(
                [("LRANGE", f"{PREFIX}ring:{c}", 0, -1) for c in range(len(CLASSES))]
            )
        ]
        self._wakes = [
            {queue.decode(): int(at) for queue, at in pairs_of(each)}
            for each in redis.commands(
                [("ZRANGE", f"{PREFIX}wake:{c}", 0, -1, "WITHSCORES") for c in range(len(CLASSES))]
            )
        ]
        self._queues = self._queue_names()
        self._ready = self._read_ready()
        self._oldest_deferred = self._read_deferred()
        hops = {shared_part(hop) for _, hop in self.places()}
        self._sessions = open_sessions(redis, hops, now_ms)
        self._refusals = refusals_of(redis, sorted({hop for _, hop in self.places()}), now_ms)
        keys = {key for _, hop in self.places() for key in limit_keys(hop)}
        self._limits = {each.key: each for each in limits_of(redis, sorted(keys), now_ms)}

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
        limits = tuple(self._limits[key] for key in limit_keys(hop))
        own = limits[0].effective
        return Destination(
            hop,
            CLASSES[c],
            sum(ready.values()),
            int(self._waiting.get(key, 0)),
            int(self._inflight.get(key, 0)),
            self._now_ms - min(accepted) if accepted else None,
            int(self._this.get(key, 0)) + share * int(self._last.get(key, 0)),
            own.limit,
            min(wakes, default=None),
            self._pause(hop),
            deepest(ready),
            own.override,
            own.slowed,
            limits[0].used,
            self._sessions.get(shared_part(hop), 0),
            refusal=self._refusals.get(hop),
            limits=limits,
        )

    def _pause(self, hop: str) -> Pause | None:
        own = pause_of(self._suspended.get(hop), self._trouble.get(hop), self._now_ms)
        members = members_in(self._pools.get(hop, b"").decode())
        return pause_of_pool(own, [self._pause(member) for member in members])


def _table(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}


def _batches(places: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    for start in range(0, len(places), VIEW_BATCH):
        yield places[start : start + VIEW_BATCH]
