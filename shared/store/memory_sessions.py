"""The in-memory twin of SMTP sessions over all workers: the rules of `lua/session.lua`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from shared.hops import DestinationLimit, limit_keys
from shared.store.memory_state import State
from shared.store.sessions import LEASE_MS, Answer, Asked

AGAIN_MS = 250
LEAST_MS, LONGEST_MS = 20, 500
FRESH_MS = 1200
PATIENCE_MS = 2000
PROMISE_MS = 1000
STALL_MS = 3000

Who = tuple[str, str]
"""Process and hop."""


class _Found(msgspec.Struct):
    """A key of a limit, as one asker finds it."""

    key: str
    limit: DestinationLimit
    since: int
    waits: bool
    room: int
    tat: float = 0.0
    early: float | None = None
    """The rate is what is short: how far before its time the next session may begin, ms."""
    idle: int = 0
    due: int = 0


class _Sharing(msgspec.Struct):
    """What the others at a key have and lack."""

    total: int
    sharers: int
    share: int
    lacking: int = 0
    before: int = 0
    """What those lack that have waited for longer."""
    longest: int = 0


class MemorySessions:
    """`shared.store.sessions.Sessions` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._leases: dict[str, int] = {}
        self._open: dict[Who, int] = {}
        self._wanted: dict[str, dict[Who, tuple[int, int]]] = {}
        """By key: since when it waits, and when it last asked."""
        self._told: dict[str, tuple[int, Who]] = {}
        self._begun: dict[str, float] = {}

    async def ask(self, process: str, asked: Sequence[Asked]) -> list[Answer]:
        """See the port."""
        with self._state.lock:
            self._reap(process)
            answers = [self._ask((process, each.hop), each) for each in asked]
            if any(who[0] == process for who in self._open):
                self._leases[process] = self._state.now() + LEASE_MS
            else:
                self._leases.pop(process, None)
        return answers

    async def leave(self, process: str) -> None:
        """See the port."""
        with self._state.lock:
            self._forget(process)

    def open_at(self, key: str) -> int:
        """Sessions open over all workers, by key of a limit."""
        now = self._state.now()
        pairs = self._at(key).items()
        return sum(count for who, count in pairs if self._leases.get(who[0], 0) > now)

    def _at(self, key: str) -> dict[Who, int]:
        return {who: count for who, count in self._open.items() if key in limit_keys(who[1])}

    def _note(self, who: Who, count: int) -> None:
        self._open.pop(who, None)
        if count:
            self._open[who] = count

    def _forget(self, process: str) -> None:
        self._leases.pop(process, None)
        for who in [each for each in self._open if each[0] == process]:
            del self._open[who]

    def _reap(self, process: str) -> None:
        now = self._state.now()
        if not self._leases:
            return
        renewed = max(self._leases.values()) - LEASE_MS
        if now - renewed > STALL_MS or renewed > now:
            self._leases = dict.fromkeys(self._leases, now + LEASE_MS)
            return
        for each in [name for name, ends in self._leases.items() if ends <= now]:
            if each != process:
                self._forget(each)

    def _ask(self, who: Who, asked: Asked) -> Answer:
        self._note(who, asked.held)
        found = []
        for key in limit_keys(who[1]):
            limit = self._state.limits.of(key)
            if limit is not None and (limit.connections or limit.connections_per_second):
                found.append(self._find(key, limit, who, asked))
        granted = max(0, min([asked.more, *(each.room for each in found)]))
        waits = [self._book(each, who, granted, asked.more) for each in found]
        self._note(who, asked.held + granted)
        return Answer(
            granted,
            max(waits, default=0),
            max([each.idle for each in found], default=0),
            max([each.due for each in found], default=0),
        )  # fmt: skip

    def _find(self, key: str, limit: DestinationLimit, who: Who, asked: Asked) -> _Found:
        now, most, more = self._state.now(), limit.connections, asked.more
        wanted = self._wanted.setdefault(key, {})
        for each in [name for name, (_, last) in wanted.items() if abs(now - last) > FRESH_MS]:
            del wanted[each]
        since = 0 if asked.urgent else wanted.get(who, (now, now))[0]
        found = _Found(key, limit, since, who in wanted, more)
        sharing = self._sharing(key, most, who, since)
        if most:
            found.room = min(found.room, most - sharing.total)
        if limit.connections_per_second:
            interval = 1000 / limit.connections_per_second
            burst = max(1, 100 / interval) + 0.5
            found.tat = max(now, self._begun.get(key, 0))
            free = max(0, math.floor((now - found.tat) / interval + burst + 1e-6))
            if free < found.room:
                found.room, found.early = free, (burst - 1) * interval
        if asked.held >= sharing.share:
            found.room -= sharing.lacking
        elif sharing.lacking:
            found.room = min(found.room - sharing.before, sharing.share - asked.held)
        if most and asked.held:
            self._to_end(found, sharing, who, asked.held)
        return found

    def _sharing(self, key: str, most: int, who: Who, since: int) -> _Sharing:
        now, has = self._state.now(), self._at(key)
        others = {name: at for name, (at, _) in self._wanted[key].items() if name != who}
        sharers = len({*has, *others, who})
        found = _Sharing(sum(has.values()), sharers, max(1, most // sharers))
        for name, at in others.items():
            lack = found.share - has.get(name, 0)
            if lack > 0:
                found.lacking += lack
                found.longest = max(found.longest, now - at)
                found.before += lack if at < since else 0
        return found

    def _to_end(self, found: _Found, sharing: _Sharing, who: Who, held: int) -> None:
        now, most = self._state.now(), found.limit.connections
        over = max(0, sharing.total - most)
        short = over + max(0, sharing.lacking - max(0, most - sharing.total))
        found.idle = min(held, short)
        until, told = self._told.get(found.key, (0, who))
        if not short or (until > now and told != who):
            return
        patience = over or sharing.longest >= PATIENCE_MS
        if held > sharing.share:
            found.due = min(short, held - sharing.share)
        elif sharing.sharers > most and patience:
            found.due = 1
        if found.due and until <= now:
            self._told[found.key] = (now + PROMISE_MS, who)

    def _book(self, found: _Found, who: Who, granted: int, more: int) -> int:
        """When to ask for the others; 0: not here."""
        now, wanted, again = self._state.now(), self._wanted[found.key], 0
        rate = found.limit.connections_per_second
        tat = found.tat + granted * 1000 / rate if rate else 0.0
        if granted < more and found.room < more:
            again = AGAIN_MS
            if found.early is not None:
                wait = math.ceil(tat - found.early - now - 1e-6)
                again = max(LEAST_MS, min(LONGEST_MS, wait))
            wanted[who] = (now if granted else found.since, now)
        elif found.waits:
            wanted.pop(who, None)
        if rate and granted:
            self._begun[found.key] = tat
        return again
