"""Two pumps at once move each due entry once."""

from __future__ import annotations

import asyncio
import time

from shared.clock import ManualClock
from shared.settings import Settings, StoreSettings
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from tests.support.redis_server import RedisServer
from tests.support.stores import RedisTestStore, settings


def test_two_pumps_one_entry(own_redis_server: RedisServer) -> None:
    used = Settings(store=StoreSettings(redis_url=own_redis_server.url, timeout_seconds=10))
    clock = ManualClock(time.time_ns() // 1_000_000 - 60_000)
    store = RedisTestStore(settings(own_redis_server.url), clock)
    store.spool.accept([store.submission(send_in_ms=1000) for _ in range(1000)])
    store.close()

    async def race() -> tuple[int, int]:
        queues = [RedisQueue(used) for _ in range(4)]
        moved = 0
        for _ in range(2):
            pumped = await asyncio.gather(
                *(queue.pump(f"w{at}") for at, queue in enumerate(queues))
            )
            moved += sum(each.due for each in pumped)
        claimed = 0
        while legs := (await queues[0].claim("transactional", limit=200, quantum=200)).legs:
            claimed += len(legs)
        for queue in queues:
            await queue.close()
        return moved, claimed

    assert asyncio.run(race()) == (1000, 1000)
    spool = RedisSpool(used)
    assert spool.depth().by_status["transactional"]["queued"] == 1000
    assert [event.kind for event in spool.events(limit=2000)] == ["accepted"] * 1000
    spool.close()
