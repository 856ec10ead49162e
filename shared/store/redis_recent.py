"""Recent messages on Redis or Valkey: `shared.store.recent.Recent`.

A stretch of the list at a time: its ids by one script, then the heads, then the legs of those whose
head has what is sought; where a status is sought, first legs come before heads. Each is one round
trip of many small commands, between which the store serves others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.clock import Clock
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.ids import accepted_ms
from shared.model.leg import FORMAT, leg_id, letters_of, salvage_leg, siblings_of
from shared.model.message import Head, NewerFormat, UnknownFormat
from shared.model.status import Status
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value
from shared.store.recent import MOST_SCANNED, Entry, RecentPage, Sought
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.sought import Seeker
from shared.store.tickets import template
from shared.store.unreadable import readable_head

_STRETCH = 500
"""Messages looked at together when few are found: some 300 KB of heads."""
_ID = 16
_READABLE = bytes((FORMAT,))


class _Row(NamedTuple):
    position: int
    message_id: bytes
    head: Head


class RedisRecent:
    """`shared.store.recent.Recent` on a server."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._clock = clock
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=settings.store.timeout_seconds,
            connections=settings.web.threads + 4,
        )
        self._head: list[Value] = [template(), settings.worker.quantum]

    def recent(self, before: int | None, most: int) -> RecentPage:
        """See the port."""
        return self.search(Sought(), before, most)

    def search(
        self, sought: Sought, before: int | None, most: int, scan: int = MOST_SCANNED
    ) -> RecentPage:
        """See the port."""
        try:
            return self._search(Seeker(sought), before, most, scan)
        except OutcomeUnknown as error:  # A look changes nothing.
            raise StoreUnavailable("the store did not answer") from error

    def _search(self, seeker: Seeker, before: int | None, most: int, scan: int) -> RecentPage:
        found: list[Entry] = []
        looked_at: int | None = None
        stretch = most
        while scan > 0 and len(found) < most:
            first, floor, ids = self._stretch(seeker, before, min(stretch, scan))
            entries = self._entries(seeker, self._wanted(seeker, ids, first))
            found += entries[: most - len(found)]
            if len(found) >= most:  # What is behind the last one has not been looked at.
                last = found[-1]
                further = last.position if last.position > floor else None
                return RecentPage(tuple(found), further, accepted_ms(last.message_id))
            looked_at = accepted_ms(ids[0]) if ids else looked_at
            if first <= floor:
                return RecentPage(tuple(found), None, looked_at)
            before, scan, stretch = first, scan - len(ids), _STRETCH
        return RecentPage(tuple(found), before, looked_at)

    def _stretch(
        self, seeker: Seeker, before: int | None, most: int
    ) -> tuple[int, int, list[bytes]]:
        """The position of the first id, the first that may be, and the ids, oldest first."""
        now = b"" if self._clock is None else self._clock.now_ms()
        bounds = (before, most, seeker.latest_ms, seeker.earliest_ms)
        given: list[Value] = [b"" if each is None else each for each in bounds]
        first, floor, ids = self._redis.run(SCRIPTS["recent"], [now, *self._head, *given])
        return first, floor, [ids[at : at + _ID] for at in range(0, len(ids), _ID)]

    def _may_be(self, seeker: Seeker, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Without those whose one leg has not the status that is sought: most have not, and to look
        at letters takes less than to read heads."""
        if not seeker.letter:
            return ids
        packed = self._fields("leg", [leg_id(each, 0) for each in ids])
        return [
            each
            for each in ids
            if (leg := packed.get(leg_id(each, 0))) and _may_have(leg, seeker.letter)
        ]

    def _wanted(self, seeker: Seeker, ids: Sequence[bytes], first: int) -> list[_Row]:
        """Those whose head is there, readable, and has what is sought; the newest first."""
        packed = self._fields("head", self._may_be(seeker, ids))
        rows: list[_Row] = []
        for at in range(len(ids) - 1, -1, -1):
            head = readable_head(packed.get(ids[at]))
            if head is not None and seeker.wants(head):
                rows.append(_Row(first + at, ids[at], head))
        return rows

    def _entries(self, seeker: Seeker, rows: Sequence[_Row]) -> list[Entry]:
        """The same with their statuses, where these are as sought."""
        packed = self._legs(rows)
        entries: list[Entry] = []
        for row in rows:
            if leg_id(row.message_id, 0) not in packed:
                continue  # Forgotten since its head was read.
            statuses = _statuses(len(row.head.recipients), _packed_legs(row, packed))
            if seeker.wants_statuses(statuses):
                entries.append(Entry(row.position, row.message_id, row.head, statuses))
        return entries

    def _legs(self, rows: Sequence[_Row]) -> dict[bytes, bytes]:
        found = self._fields("leg", [leg_id(row.message_id, 0) for row in rows])
        further: list[bytes] = []
        for row in rows:
            count = _legs_of(row, found.get(leg_id(row.message_id, 0)))
            further += (leg_id(row.message_id, number) for number in range(1, count))
        return found | self._fields("leg", further) if further else found

    def _fields(self, what: str, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those that are there, in one round trip."""
        by_bucket: dict[int, list[bytes]] = defaultdict(list)
        for each in ids:
            by_bucket[each[15]].append(each)
        answers = self._redis.commands(
            [("HMGET", f"{PREFIX}{what}:{at}", *fields) for at, fields in by_bucket.items()]
        )
        pairs = zip(by_bucket.values(), answers, strict=True)
        return {
            field: value
            for fields, values in pairs
            for field, value in zip(fields, values, strict=True)
            if value is not None
        }

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _legs_of(row: _Row, packed: bytes | None) -> int:
    """How many legs to ask for: one, where that has everybody; else as many as there can be."""
    most = len(row.head.recipients)
    if packed is None:
        return 0
    return 1 if len(letters_of(packed)) == most else most


def _may_have(packed: bytes, letter: bytes) -> bool:
    """Whether a message may have a status by its first leg: has it, has others, or cannot tell."""
    return letter in letters_of(packed) or packed[:1] != _READABLE or siblings_of(packed) != 1


def _packed_legs(row: _Row, packed: dict[bytes, bytes]) -> Iterator[bytes]:
    for number in range(len(row.head.recipients)):
        value = packed.get(leg_id(row.message_id, number))
        if value is None:
            return
        yield value


def _statuses(count: int, legs: Iterable[bytes]) -> tuple[Status, ...]:
    """The status of each recipient. As elsewhere (`shared.store.unreadable`), those whose leg is
    damaged are dead, and those whose leg is of a newer release are queued."""
    found: dict[int, Status] = {}
    rest = Status.DEAD
    for packed in legs:
        try:
            leg = salvage_leg(packed)
        except NewerFormat:
            rest = Status.QUEUED
        except UnknownFormat:
            pass
        else:
            found.update(zip(leg.indices(), leg.statuses, strict=True))
    return tuple(found.get(at, rest) for at in range(count))
