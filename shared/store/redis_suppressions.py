"""The suppression list on Redis or Valkey: `shared.store.suppressions.Suppressions`.

What changes it is a script, and waits for `store.replicas` as an accept does; what only reads takes
the values as they are stored, place by place. What cannot be read (`suppression_records`) is passed
by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import msgspec

from shared.clock import Clock, SystemClock
from shared.model.message import UnknownFormat
from shared.model.suppression import Suppression
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.suppression_records import (
    FIELDS,
    HASHES,
    Adding,
    checked_cursor,
    identity_of,
    part_of,
    place_of,
    position_of,
    unpack_entries,
)
from shared.store.suppressions import Page, Unsuppressed
from shared.store.tickets import template

_NAME = f"{PREFIX}suppressed"
_FEWEST, _FEW = 16, 256
"""Fields of a hash that are read at once; one that has no more than the latter is read whole."""
_AT_ONCE = 32
"""Hashes whose lengths are asked together."""
_MOST_READS = 64
"""For one page: whoever asks for an application's few entries among millions gets a short one."""


class RedisSuppressions:
    """`shared.store.suppressions.Suppressions` on a server."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, *, connections: int | None = None
    ) -> None:
        self._clock = clock
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=settings.store.timeout_seconds,
            connections=connections or settings.web.threads + 4,
        )
        self._head: list[Value] = [template(), settings.worker.quantum]
        self._replicas = settings.store.replicas

    def _run(self, name: str, *arguments: Value) -> Any:
        now = b"" if self._clock is None else self._clock.now_ms()
        return self._redis.run_replicated(
            SCRIPTS[name], [now, *self._head, *arguments], self._replicas
        )

    def add(self, entries: Sequence[Suppression], *, together: bool = False) -> list[bool]:
        """See the port."""
        adding = Adding(entries, together=together)
        while arguments := adding.arguments():
            adding.answered(self._run("suppress", *arguments))
        return adding.are_new()

    def remove(self, address: str, application: str, list_name: str) -> bool:
        """See the port."""
        identity = identity_of(address, application, list_name)
        payload = msgspec.msgpack.encode(Unsuppressed(address, application, list_name))
        return bool(self._run("unsuppress", place_of(address), identity, payload))

    def find(self, address: str) -> list[Suppression]:
        """See the port."""
        place = place_of(address)
        packed = self._redis.command("HGET", f"{_NAME}:{place[0]}", place[1:])
        found = [each for each in self._live(packed) if each.address == address]
        return sorted(found, key=lambda each: (each.application, each.list))

    def _live(self, packed: bytes | None) -> list[Suppression]:
        now = (self._clock or SystemClock()).now_ms()
        with suppress(UnknownFormat):
            entries = unpack_entries(packed) if packed else []
            return [each for each in entries if each.expires_ms is None or each.expires_ms > now]
        return []

    def page(self, cursor: str, limit: int, application: str | None = None) -> Page:
        """See the port."""
        start = checked_cursor(cursor)
        number, field = int(start[:2], 16), int(start[2:6], 16)
        found: list[Suppression] = []
        lengths: dict[int, int] = {}
        reads, last = 0, ""
        while number < HASHES:
            if reads >= _MOST_READS:
                return Page(tuple(found), f"{number:02x}{field:04x}")
            if number not in lengths:
                lengths = self._lengths(number)
            most = _FEW if application is not None else max(_FEWEST, min(_FEW, limit))
            values, number, field = self._read(number, field, lengths[number], most)
            reads += bool(values)
            for position, entry in self._in_order(values, application):
                if position <= start:
                    continue
                if len(found) == limit:
                    return Page(tuple(found), last)
                found.append(entry)
                last = position
        return Page(tuple(found))

    def _in_order(
        self, values: list[bytes], application: str | None
    ) -> Iterator[tuple[str, Suppression]]:
        """The entries of some places, which are in order, with their positions."""
        named = b"" if application is None else part_of(application)
        for packed in values:
            entries = self._live(packed) if named in packed else []
            if application is not None:
                entries = [each for each in entries if each.application == application]
            yield from sorted(((position_of(each), each) for each in entries), key=itemgetter(0))

    def _lengths(self, number: int) -> dict[int, int]:
        """How many fields this hash and some further ones have."""
        numbers = range(number, min(number + _AT_ONCE, HASHES))
        answers = self._redis.commands([("HLEN", f"{_NAME}:{each}") for each in numbers])
        return dict(zip(numbers, answers, strict=True))

    def _read(
        self, number: int, field: int, length: int, most: int
    ) -> tuple[list[bytes], int, int]:
        """Values of a hash from a field on, and the hash and the field where it goes on."""
        name = f"{_NAME}:{number}"
        if length == 0:
            return [], number + 1, 0
        if length <= _FEW:
            flat = self._redis.command("HGETALL", name)
            pairs = zip(flat[0::2], flat[1::2], strict=True)
            return [packed for _, packed in sorted(pairs)], number + 1, 0
        end = min(field + most, FIELDS)
        fields = [each.to_bytes(2, "big") for each in range(field, end)]
        values = [each for each in self._redis.command("HMGET", name, *fields) if each is not None]
        return values, number + end // FIELDS, end % FIELDS

    def count(self) -> int:
        """See the port."""
        return int(self._redis.command("HGET", _NAME, "entries") or 0)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
