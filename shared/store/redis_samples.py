"""Figures by minute on Redis or Valkey: `shared.store.samples.Samples`.

One list, read from its end; the pump appends to it. What this release cannot read is passed over.
"""

from __future__ import annotations

from contextlib import suppress

from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.model.message import UnknownFormat
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis
from shared.store.samples import MOST_SAMPLES, Sample, unpack_sample
from shared.store.scripts import PREFIX


class RedisSamples:
    """`shared.store.samples.Samples` on a server."""

    def __init__(self, settings: Settings) -> None:
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=settings.store.timeout_seconds,
            connections=settings.web.threads + 4,
        )

    def samples(self, most: int = MOST_SAMPLES) -> list[Sample]:
        """See the port."""
        if most <= 0:
            return []
        try:
            packed = self._redis.command("LRANGE", f"{PREFIX}samples", -most, -1)
        except OutcomeUnknown as error:  # A look changes nothing.
            raise StoreUnavailable("the store did not answer") from error
        found: list[Sample] = []
        for each in packed:
            with suppress(UnknownFormat):
                found.append(unpack_sample(each))
        return found

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
