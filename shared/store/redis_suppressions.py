"""The suppression list on Redis or Valkey: `shared.store.suppressions.Suppressions`."""

from __future__ import annotations

from collections.abc import Sequence

from shared.clock import Clock
from shared.errors import StoreError
from shared.model.suppression import Suppression
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis
from shared.store.suppressions import Page


class RedisSuppressions:
    """`shared.store.suppressions.Suppressions` on a server."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._clock = clock
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=settings.store.timeout_seconds,
            connections=settings.web.threads + 4,
        )

    def add(self, entries: Sequence[Suppression]) -> list[bool]:
        """See the port."""
        raise StoreError("not there yet")

    def remove(self, address: str, application: str, list_name: str) -> bool:
        """See the port."""
        raise StoreError("not there yet")

    def find(self, address: str) -> list[Suppression]:
        """See the port."""
        raise StoreError("not there yet")

    def page(self, cursor: str, limit: int, application: str | None = None) -> Page:
        """See the port."""
        raise StoreError("not there yet")

    def count(self) -> int:
        """See the port."""
        return 0

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
