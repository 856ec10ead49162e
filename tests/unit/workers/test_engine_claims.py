"""A leg that its own worker claims anew, before the store has answered for the claim before."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.clock import ManualClock, SystemClock
from shared.model.status import Status
from shared.settings import Settings
from shared.store.ports import Claimed, Settlement, Verb
from tests.support.stores import MemoryTestStore
from workers.engine import Engine, release
from workers.leases import Lease


class SlowToSettle:
    """A queue that settles only once it may."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self.may_settle = asyncio.Event()
        self.settled = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def settle(self, settlements: Any) -> Any:
        await self.may_settle.wait()
        answers = await self._queue.settle(settlements)
        self.settled.set()
        return answers


def test_the_newer_claim_stays_leased_when_the_split_one_is_answered() -> None:
    """Else nobody renews it: a slow server's answer then comes too late, and the mail twice."""
    settings = Settings()
    store = MemoryTestStore(settings, ManualClock())
    message_id = store.accept()

    async def work() -> None:
        queue: Any = SlowToSettle(store.queue())
        again, answered = asyncio.Event(), asyncio.Event()

        async def deliver(claimed: Claimed, lease: Lease) -> Settlement:
            if claimed.leg.hop == "relay":
                moved = (msgspec.structs.replace(claimed.leg, hop="mx:site.test"),)
                assert await queue.split(claimed.leg_id, claimed.fence, moved)
                return msgspec.structs.replace(release(claimed), replaced=True)
            again.set()
            await answered.wait()
            assert lease.holds()
            return Settlement(claimed.leg_id, claimed.fence, Verb.SETTLE, (Status.DELIVERED,), 1)

        engine = Engine(settings, queue, SystemClock(), deliver, 4)
        running = asyncio.create_task(engine.run())
        engine.offer("transactional", "ticket")
        await asyncio.sleep(0)
        while not again.is_set():
            engine.offer("transactional", "another")
            await asyncio.sleep(0.005)
        queue.may_settle.set()
        await asyncio.wait_for(queue.settled.wait(), 5)
        await asyncio.sleep(0)
        assert (engine.in_hand, engine.working, len(engine.leases)) == (1, 1, 1)
        answered.set()
        await asyncio.wait_for(engine.stop(), 5)
        running.cancel()

    asyncio.run(work())
    stored = store.spool.get(message_id)
    assert stored is not None
    assert stored.legs[0].statuses == (Status.DELIVERED,)
