"""Small writes to the store, gathered: what arrives while one script runs goes into the next.

`Settler` applies outcomes and never gives one up while the process lives; `Starter` commits that a
delivery starts, and answers whether the lease still holds. Neither adds a wait of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from shared.clock import Clock
from shared.errors import StoreError
from shared.store.ports import Claimed, Queue, Settled, Settlement

BATCH = 100
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Settler:
    """Outcomes on their way to the store."""

    def __init__(self, queue: Queue, settled: Callable[[Settlement, Settled], None]) -> None:
        self._queue = queue
        self._settled = settled
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
            try:
                return await self._queue.settle(batch)
            except StoreError as error:
                _log.warning("settle_waits_for_store", legs=len(batch), reason=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Starter:
    """Deliveries about to start."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._waiting: list[tuple[Claimed, asyncio.Future[bool]]] = []
        self._arrived = asyncio.Event()

    async def started(self, claimed: Claimed) -> bool:
        """Commit that this delivery starts; False when the lease is lost or nobody answered."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((claimed, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not self._waiting:
                self._arrived.clear()
            legs = [(claimed.leg_id, claimed.fence) for claimed, _ in batch]
            try:
                answers = await self._queue.start(legs)
            except StoreError as error:
                _log.warning("starts_not_committed", legs=len(batch), reason=str(error))
                answers = [False] * len(batch)
            for (_, future), held in zip(batch, answers, strict=True):
                if not future.done():  # Its leg may have been cancelled meanwhile.
                    future.set_result(held)
