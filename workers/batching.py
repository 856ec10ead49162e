"""Outcomes on their way to the store, gathered: never given up while the process lives.

What arrives while one script runs goes into the next. Under load a script waits a few milliseconds
for more, which costs the store and this process a third less for each; an outcome that comes alone
is settled at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from shared.errors import StoreError
from shared.metrics.worker import WorkerMetrics
from shared.store.ports import Queue, Settled, Settlement

BATCH = 100
ENOUGH = 25
GATHER_SECONDS = 0.005
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Settler:
    """Outcomes on their way to the store."""

    def __init__(
        self,
        queue: Queue,
        settled: Callable[[Settlement, Settled], None],
        more_than: Callable[[int], bool],
        metrics: WorkerMetrics,
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._settled = settled
        self._more_than = more_than
        self._waiting: list[Settlement] = []
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, settlement: Settlement) -> None:
        """Settle soon; `settled` is called with the answer."""
        self._waiting.append(settlement)
        self._arrived.set()
        self._idle.clear()

    async def drained(self) -> None:
        """Return when everything put so far is settled."""
        await self._idle.wait()

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            await self._arrived.wait()
            if len(self._waiting) < ENOUGH and self._more_than(len(self._waiting)):
                await asyncio.sleep(GATHER_SECONDS)
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not self._waiting:
                self._arrived.clear()
            answers = await self._apply(batch)
            for settlement, answer in zip(batch, answers, strict=True):
                self._settled(settlement, answer)
            if not self._waiting:
                self._idle.set()

    async def _apply(self, batch: list[Settlement]) -> list[Settled]:
        """Ask until the store answers: settling twice is harmless, losing an outcome is not."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.perf_counter()
            try:
                answers = await self._queue.settle(batch)
                self._metrics.stage["settle"].observe(time.perf_counter() - began)
                return answers
            except StoreError as error:
                self._metrics.failed("settle")
                _log.warning("settle_waits_for_store", legs=len(batch), reason=error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
