"""How this worker process is: alive, ready, and its gauges, told on a listener of its own.

Alive is a loop that turns. Ready is a store that answers, and no stop that was asked for. A worker
that is not ready delivers nothing new, but may still be ending what it has begun.
"""

from __future__ import annotations

import asyncio
import time

from shared.metrics.server import OperatorServer
from shared.metrics.worker import WorkerMetrics
from workers.engine import Engine
from workers.hops import Hops
from workers.pump import Pump

TICK_SECONDS = 1.0
STALLED_SECONDS = 30.0
SILENT_SECONDS = 5.0
"""The pump asks the store a few times a second."""


class Vitals:
    """Read by the listener's threads, written by the loop."""

    def __init__(self, engine: Engine, hops: Hops, pump: Pump) -> None:
        self._engine = engine
        self._hops = hops
        self._pump = pump
        self._ticked = time.monotonic()

    async def run(self) -> None:
        """Show that the loop turns, until cancelled."""
        while True:
            self._ticked = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)

    def dead(self) -> list[str]:
        """Why the process should be started again; empty when it need not."""
        return ["loop_stalled"] if time.monotonic() - self._ticked > STALLED_SECONDS else []

    def unready(self) -> list[str]:
        """Why it takes no mail now; empty when it does."""
        reasons = self.dead()
        if self._engine.stopping:
            reasons.append("stopping")
        if time.monotonic() - self._pump.answered_at > SILENT_SECONDS:
            reasons.append("store_unreachable")
        return reasons

    def gauges(self) -> dict[str, tuple[str, int]]:
        """name -> (text, value)."""
        return {
            "smtp_sessions": ("Sessions open or being set up.", self._hops.sessions),
            "smtp_sessions_waited_for": (
                "Sessions that wait for a limit over all workers.",
                self._hops.sessions_waited_for,
            ),
            "legs_in_hand": ("Legs claimed and not settled.", self._engine.in_hand),
            "legs_working": ("Legs being worked.", self._engine.working),
        }


def listen(address: str, metrics: WorkerMetrics, vitals: Vitals) -> OperatorServer | None:
    """Answer on `address`; None when it is empty. Raises `ConfigError`."""
    if not address:
        return None
    server = OperatorServer(
        address,
        "worker.listen",
        metrics.registry(vitals.gauges),
        dead=vitals.dead,
        unready=vitals.unready,
    )
    server.start()
    return server
