"""An orderly stop: whatever is under way when it is asked for ends before it does, settled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.clock import ManualClock, SystemClock
from shared.model.leg import LegState
from shared.model.status import Status
from shared.settings import Settings
from shared.store.ports import Claimed, Settlement, Verb
from tests.support.stores import MemoryTestStore
from workers.engine import Engine
from workers.leases import Lease


class Gate:
    """A queue one of whose methods waits, once asked, until it is let through."""

    def __init__(self, queue: Any, method: str) -> None:
        self._queue = queue
        self._method = method
        self.asked = asyncio.Event()
        self.through = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._queue, name)
        if name != self._method:
            return real

        async def gated(*arguments: Any, **options: Any) -> Any:
            answer = await real(*arguments, **options)
            self.asked.set()
            await self.through.wait()
            return answer

        return gated


async def deliver(claimed: Claimed, lease: Lease) -> Settlement:
    """It takes a moment, as a transaction does."""
    await asyncio.sleep(0.05)
    return Settlement(claimed.leg_id, claimed.fence, Verb.SETTLE, (Status.DELIVERED,), 1)


@pytest.mark.parametrize("method", ["claim", "start"])
def test_what_a_store_still_answers_is_not_left_behind(method: str) -> None:
    settings = Settings()
    store = MemoryTestStore(settings, ManualClock())
    message_id = store.accept()

    async def work() -> None:
        gate = Gate(store.queue(), method)
        queue: Any = gate
        engine = Engine(settings, queue, SystemClock(), deliver, 4)
        running = asyncio.create_task(engine.run())
        engine.offer("transactional", "ticket")
        await asyncio.wait_for(gate.asked.wait(), 5)
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0.02)
        assert not stopping.done()
        gate.through.set()
        await asyncio.wait_for(stopping, 5)
        running.cancel()

    asyncio.run(work())
    stored = store.spool.get(message_id)
    assert stored is not None
    assert stored.legs[0].state is LegState.READY, "given back, not left under a lease"
