"""What the store and the engine do without the network, and what idling costs.

python -m tests.bench.run settle idle
"""

from __future__ import annotations

import asyncio
import time

from shared.clock import SystemClock
from shared.settings import Settings
from shared.store.ports import Claimed, Settlement
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from tests.bench.effort import Effort
from tests.bench.entries import CLASS, accept, delivery, settings, submission
from tests.bench.figure import Figure
from tests.bench.measure import cpu_seconds
from tests.support.installation import installation
from tests.support.redis_server import RedisServer
from workers.engine import Engine
from workers.leases import Lease

SETTLED = 30_000
IDLE_SECONDS = 10


async def _delivered(claimed: Claimed, lease: Lease) -> Settlement:
    """Delivery stubbed: the engine, the leases and the settlement are real."""
    assert lease.holds()
    return delivery(claimed)


async def _worked_off(used: Settings, spool: RedisSpool, count: int) -> float:
    queue = RedisQueue(used)
    engine = Engine(used, queue, SystemClock(), _delivered, 400)
    before = spool.depth().by_status[CLASS]["delivered"]
    began = time.perf_counter()
    task = asyncio.create_task(engine.run())
    engine.offer(CLASS, "bench")
    while spool.depth().by_status[CLASS]["delivered"] - before < count:
        await asyncio.sleep(0.02)
        assert time.perf_counter() - began < 120, "the queue does not drain"
    took = time.perf_counter() - began
    task.cancel()
    await queue.close()
    return count / took


def settle(effort: Effort) -> list[Figure]:
    """Claim and settle through the engine, one process, delivery stubbed."""
    figures = []
    server = RedisServer().start()
    try:
        used = settings(server.url)
        spool = RedisSpool(used)
        for destinations in (1, 10_000):
            rates = []
            for run in range(effort.runs):
                accept(spool, [submission(run * SETTLED + n, destinations) for n in range(SETTLED)])
                rates.append(asyncio.run(_worked_off(used, spool, SETTLED)))
            name = f"claim and settle, {destinations:,} destination{'s' * (destinations > 1)}"
            figures.append(Figure(name, tuple(rates), "/s", must=15_000))
        spool.close()
    finally:
        server.stop()
    return figures


def idle(effort: Effort) -> list[Figure]:
    """Processor time of a whole idle installation, inbox and supervisor included."""
    shares = []
    with installation("--inbox", "0") as up:
        pids = [pid for group in up["pids"].values() for pid in group]
        time.sleep(3)  # What starting has left to do.
        for _ in range(effort.runs):
            before, began = cpu_seconds(pids), time.perf_counter()
            time.sleep(IDLE_SECONDS)
            used = cpu_seconds(pids) - before
            shares.append(used / (time.perf_counter() - began) * 100)
    name = "idle system: 2 web, 2 workers, store, inbox, supervisor"
    return [Figure(name, tuple(shares), "% core", "lower", must=2, aim=1)]
