"""The pump's loop: one backward arrow, deferred -> ready, run by every worker process.

The work is one script (`shared/store/lua/pump.lua`); this only decides when. A store that does not
answer is tried again at the next run.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from shared.errors import StoreError
from shared.metrics.worker import WorkerMetrics
from shared.store.ports import Pumped, Queue

SHORTEST_SECONDS = 0.25
LONGEST_SECONDS = 0.45

_log = structlog.get_logger(__name__)


class Pump:
    """Runs the pump with jitter, so that many processes do not run it in step."""

    def __init__(
        self, queue: Queue, worker_id: str, alive: Callable[[], None], metrics: WorkerMetrics
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self.answered_at = time.monotonic()
        """When the store has last answered."""
        self._worker_id = worker_id
        self._alive = alive

    async def run(self) -> None:
        """Pump until cancelled; `alive` is called each time and may raise to end the process."""
        while True:
            self._alive()
            more = False
            try:
                pumped = await self._queue.pump(self._worker_id)
                more = pumped.more
                self.answered_at = time.monotonic()
                self._report(pumped)
            except StoreError as error:
                self._metrics.failed("pump")
                _log.warning("pump_waits_for_store", reason=error)
            if not more:
                wait = random.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)  # noqa: S311  # Jitter.
                await asyncio.sleep(wait)

    def _report(self, pumped: Pumped) -> None:
        if pumped.crashed or pumped.dead:
            _log.warning("leases_ran_out", crashed=pumped.crashed, dead=pumped.dead)
        if pumped.events_trimmed:
            _log.warning(
                "events_lost", count=pumped.events_trimmed, why="no recorder reads the stream"
            )
