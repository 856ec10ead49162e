"""API keys on Redis or Valkey: one hash, public id -> packed key. Secrets are only hashed."""

from __future__ import annotations

import msgspec

from shared.clock import Clock, SystemClock
from shared.model.message import UnknownFormat
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis
from shared.store.keys import ApiKey
from shared.store.scripts import PREFIX

_NAME = f"{PREFIX}keys"
_USED = f"{PREFIX}keys:used"
"""HASH: public id -> when it was used last, in ms."""
_FORMAT = b"\x01"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ApiKey).decode


def _pack(key: ApiKey) -> bytes:
    return _FORMAT + _encode(key)


def _unpack(packed: bytes) -> ApiKey:
    if packed[:1] != _FORMAT:
        raise UnknownFormat(f"key format {packed[:1].hex()}")
    return _decode(packed[1:])


class RedisKeys:
    """`shared.store.ports.Keys` on a server."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=settings.store.timeout_seconds,
            connections=settings.web.threads + 4,
        )

    def add(self, key: ApiKey) -> None:
        """See the port."""
        self._redis.command("HSET", _NAME, key.id, _pack(key))

    def find(self, key_id: str) -> ApiKey | None:
        """See the port."""
        packed = self._redis.command("HGET", _NAME, key_id)
        return None if packed is None else _unpack(packed)

    def all(self) -> list[ApiKey]:
        """See the port."""
        keys = [_unpack(packed) for packed in self._redis.command("HVALS", _NAME)]
        return sorted(keys, key=lambda key: (key.created_ms, key.id))

    def revoke(self, key_id: str) -> bool:
        """See the port."""
        key = self.find(key_id)
        if key is None:
            return False
        if key.revoked_ms is None:
            self.add(msgspec.structs.replace(key, revoked_ms=self._clock.now_ms()))
        return True

    def used(self, key_id: str, at_ms: int) -> None:
        """See the port."""
        self._redis.command("HSET", _USED, key_id, at_ms)

    def last_used(self) -> dict[str, int]:
        """See the port."""
        flat = self._redis.command("HGETALL", _USED)
        return {key.decode(): int(at) for key, at in zip(flat[::2], flat[1::2], strict=True)}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
