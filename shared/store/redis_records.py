"""Records and the audit trail on Redis or Valkey: one hash a kind, one script that changes.

Takes and gives the values of `shared.store.records`. Failures are the `StoreError` family.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.clock import Clock, SystemClock
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.model.message import UnknownFormat, check_format
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value
from shared.store.records import ANY, ENTRY_ID, MOST_AUDITED, MOST_CHANGES, Audited, Change
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.tickets import template

_END = struct.Struct(">d")
SMALL_BYTES = 16 * 1024
"""What one write may store even where the store is full: a user, a session, not an attachment."""
_FORMAT = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Audited).decode


class RedisRecords:
    """`shared.store.records.Records` on a server. With a `clock` the script uses its time."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._given = clock
        self._clock = clock or SystemClock()
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=max(2.0, settings.store.timeout_seconds),
            connections=settings.web.threads + 4,
        )
        self._template = template()

    def get(self, kind: str, key: bytes) -> bytes | None:
        """See the port."""
        return self._standing(self._look("HGET", _name(kind), key))

    def some(self, kind: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See the port."""
        if not keys:
            return []
        found = self._look("HMGET", _name(kind), *keys)
        return [self._standing(each) for each in found]

    def all(self, kind: str) -> dict[bytes, bytes]:
        """See the port."""
        found = self._look("HGETALL", _name(kind))
        pairs = zip(found[::2], found[1::2], strict=True)
        standing = {key: self._standing(value) for key, value in pairs}
        return {key: value for key, value in standing.items() if value is not None}

    def write(self, changes: Sequence[Change], audited: Sequence[Audited] = ()) -> bool:
        """See the port."""
        if len(changes) > MOST_CHANGES:
            raise ValueError(f"{len(changes)} changes; at most {MOST_CHANGES}")
        now = b"" if self._given is None else self._given.now_ms()
        given: list[Value] = [now, self._template, self._settings.worker.quantum, len(changes)]
        for change in changes:
            given += _arguments(change)
        given += [bytes((_FORMAT,)) + _encode(entry) for entry in audited]
        given.append(MOST_AUDITED)
        replicas = self._settings.store.replicas
        script = SCRIPTS["records" if size_of(changes) <= SMALL_BYTES else "records_large"]
        return bool(self._redis.run_replicated(script, given, replicas))

    def trail(self, before: str = "", limit: int = 100) -> list[Audited]:
        """See the port."""
        if before and not re.fullmatch(ENTRY_ID, before):
            return []
        newest = f"({before}" if before else "+"
        found = self._look("XREVRANGE", f"{PREFIX}audit", newest, "-", "COUNT", limit)
        return [entry for identifier, fields in found if (entry := _entry(identifier, fields[1]))]

    def _look(self, *command: Value) -> Any:
        try:
            return self._redis.command(*command)
        except OutcomeUnknown as error:  # A look changes nothing.
            raise StoreUnavailable("the store did not answer") from error

    def _standing(self, packed: bytes | None) -> bytes | None:
        if packed is None or len(packed) < _END.size:
            return None
        (ends,) = _END.unpack_from(packed)
        return None if ends and ends <= self._clock.now_ms() else packed[_END.size :]

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def size_of(changes: Sequence[Change]) -> int:
    """The bytes that are to be stored."""
    return sum(len(change.value or b"") for change in changes)


def _name(kind: str) -> str:
    return f"{PREFIX}records:{kind}"


def _arguments(change: Change) -> list[Value]:
    expected: Value = b"*"
    if change.expected is not ANY:
        expected = b"-" if change.expected is None else b"=" + change.expected
    value = b"-" if change.value is None else b"=" + change.value
    return [change.kind, change.key, expected, value, change.ends_ms or 0]


def _entry(identifier: bytes, packed: bytes) -> Audited | None:
    """The entry; None when this release cannot read it."""
    try:
        check_format("audit", packed, _FORMAT)
        found = _decode(packed[1:])
    except (UnknownFormat, msgspec.MsgspecError, ValueError):
        return None
    text = identifier.decode()
    return msgspec.structs.replace(found, id=text, at_ms=int(text.partition("-")[0]))
