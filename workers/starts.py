"""Claimed legs on their way to a slot: started in groups, then worked in the order of their claim.

That a delivery starts is committed before it does (`Queue.start`), for a group at a time: those
that have a slot, and as many again that will have one soon. A leg whose lease is lost, or for which
nobody answered, is let go. Legs that have crashed a worker do not come here: they must not be
marked before their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from shared.errors import StoreError
from shared.store.ports import Claimed, Queue
from workers.leases import Lease

GROUP = 100
"""Legs of one start script."""
LEAST_AHEAD = 50
"""Started legs that wait for a slot: the store may take its time to answer."""

Leg = tuple[Claimed, Lease]

_log = structlog.get_logger(__name__)


class Starts:
    """Claimed -> started -> in a slot."""

    def __init__(
        self,
        queue: Queue,
        slots: int,
        work: Callable[[Claimed, Lease], None],
        let_go: Callable[[Claimed], None],
    ) -> None:
        self._queue = queue
        self._slots = self._free = slots
        self._ahead = max(slots, LEAST_AHEAD)
        self._work = work
        self._let_go = let_go
        self._claimed: deque[Leg] = deque()
        self._started: deque[Leg] = deque()
        self._wanted = asyncio.Event()

    def resize(self, slots: int) -> None:
        """Work so many legs at a time from now on."""
        self._free += slots - self._slots
        self._slots = slots
        self._ahead = max(slots, LEAST_AHEAD)
        self._advance()

    def put(self, claimed: Claimed, lease: Lease) -> None:
        """A leg to start; `work` is called when it has a slot."""
        self._claimed.append((claimed, lease))
        if len(self._started) < self._ahead:
            self._wanted.set()

    def freed(self) -> None:
        """A leg has left its slot."""
        self._free += 1
        self._advance()

    def _advance(self) -> None:
        while self._free > 0 and self._started:
            claimed, lease = self._started.popleft()
            if lease.holds():
                self._free -= 1
                self._work(claimed, lease)
            else:
                self._let_go(claimed)
        if self._claimed and 2 * len(self._started) < self._ahead:
            self._wanted.set()

    async def run(self) -> None:
        """Start groups until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            room = max(0, self._free) + self._ahead - len(self._started)
            count = min(len(self._claimed), room, GROUP)
            if count > 0:
                await self._start([self._claimed.popleft() for _ in range(count)])
                self._advance()

    async def _start(self, group: list[Leg]) -> None:
        try:
            answers = await self._queue.start([(leg.leg_id, leg.fence) for leg, _ in group])
        except StoreError as error:
            _log.warning("starts_not_committed", legs=len(group), reason=str(error))
            answers = [False] * len(group)
        except asyncio.CancelledError:
            self._claimed.extendleft(reversed(group))
            raise
        for (claimed, lease), held in zip(group, answers, strict=True):
            if held:
                self._started.append((claimed, lease))
            else:
                self._let_go(claimed)

    def stop(self) -> None:
        """Let everything go that has no slot yet."""
        for waiting in (self._started, self._claimed):
            while waiting:
                self._let_go(waiting.popleft()[0])
