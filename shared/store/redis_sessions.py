"""SMTP sessions over all workers, on Redis or Valkey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.clock import Clock
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import AsyncRedis, SyncRedis, Value
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.sessions import LEASE_MS, Answer, Asked

BATCH = 50
"""Hops of one script: about a millisecond where all are limited."""


class RedisSessions:
    """`shared.store.sessions.Sessions` on a server. With a `clock` the script uses its time."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._clock = clock
        self._redis = AsyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=max(2.0, settings.store.timeout_seconds),
            connections=1,
        )

    async def _run(self, process: str, lease_ms: int, *arguments: Value) -> list[int]:
        now = b"" if self._clock is None else self._clock.now_ms()
        head = [now, b"", b"", process, lease_ms]
        found: list[int] = await self._redis.run(SCRIPTS["session"], [*head, *arguments])
        return found

    async def ask(self, process: str, asked: Sequence[Asked]) -> list[Answer]:
        """See the port."""
        answers: list[Answer] = []
        for start in range(0, max(1, len(asked)), BATCH):
            flat: list[Value] = []
            for each in asked[start : start + BATCH]:
                flat += (each.hop, each.held, each.more, int(each.urgent))
            found = await self._run(process, LEASE_MS, *flat)
            answers += [Answer(*found[at : at + 4]) for at in range(0, len(found), 4)]
        return answers

    async def leave(self, process: str) -> None:
        """See the port."""
        await self._run(process, 0)

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.close()


def open_sessions(redis: SyncRedis, keys: Iterable[str], now_ms: int) -> dict[str, int]:
    """Sessions open over all workers, by key of a limit, of those that have any."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    live, *tables = redis.commands(
        [
            ("ZRANGEBYSCORE", f"{PREFIX}session_holders", f"({now_ms}", "+inf"),
            *(("HGETALL", f"{PREFIX}sessions:{key}") for key in wanted),
        ]
    )
    processes = set(live)
    found = {}
    for key, table in zip(wanted, tables, strict=True):
        pairs = zip(table[::2], table[1::2], strict=True)
        count = sum(int(each) for who, each in pairs if who.partition(b"|")[0] in processes)
        if count:
            found[key] = count
    return found
