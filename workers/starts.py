"""Claimed legs on their way to a slot: started in groups, then worked, class critical first.

That a delivery starts is committed before it does (`Queue.start`), for a group at a time: those
that have a slot, and some that will have one soon. A leg whose lease is lost, or for which nobody
answered, is let go. Legs that have crashed a worker do not come here: they must not be marked
before their turn. Critical legs have slots beyond those of the others, so that they wait for none.
Applications take turns here too: what one has in hand must not stand before another's mail. One
that has no leg in a slot waits for none, within bounds: sessions take from all that have one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import islice

import msgspec
import structlog

from shared.errors import StoreError
from shared.metrics.worker import WorkerMetrics
from shared.store.ports import Claimed, Queue
from shared.store.suppressions import Started, Starting, check_of
from workers.leases import Lease
from workers.turns import Turns

GROUP = 100
"""Legs of one start script."""
LEAST_AHEAD = 50
"""Started legs that wait for a slot: the store may take its time to answer."""
CRITICAL_SHARE = 4
"""One slot more for critical legs for each so many slots."""

NEWCOMERS_SHARE = 2
"""The same for applications that have no leg in a slot."""
LOOKED_AT = 100
"""Applications in a line that are looked at for one of these."""

Leg = tuple[Claimed, Lease]

_log = structlog.get_logger(__name__)


def _whose(leg: Leg) -> str:
    return leg[0].leg.application


class _Line:
    """Legs in order, the critical ones before all others."""

    def __init__(self) -> None:
        self.critical, self.others = Turns(_whose), Turns(_whose)

    def __len__(self) -> int:
        return len(self.critical) + len(self.others)

    def append(self, leg: Leg) -> None:
        (self.critical if is_critical(leg[0]) else self.others).append(leg)

    def pop(self) -> Leg:
        return (self.critical or self.others).popleft()

    def newcomer(self, is_new: Callable[[str], bool]) -> str | None:
        """An application of the others' for which this holds, if there is one among the first."""
        return next(filter(is_new, islice(self.others.owners(), LOOKED_AT)), None)


def is_critical(claimed: Claimed) -> bool:
    """Whether a leg is of class critical."""
    return claimed.head.message_class == "critical"


def starting(claimed: Claimed) -> Starting:
    """What the store is asked when a leg's delivery starts."""
    check = check_of(claimed.head, claimed.leg.open_indices())
    return Starting(claimed.leg_id, claimed.fence, check)


def started(claimed: Claimed, answer: Started) -> Claimed:
    """The leg with what the store has answered."""
    if not answer.suppressed:
        return claimed
    return msgspec.structs.replace(claimed, suppressed=dict(answer.suppressed))


class Starts:
    """Claimed -> started -> in a slot."""

    def __init__(
        self,
        queue: Queue,
        slots: int,
        work: Callable[[Claimed, Lease], None],
        let_go: Callable[[Claimed], None],
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._queue = queue
        self._metrics = metrics or WorkerMetrics()
        self._work = work
        self._let_go = let_go
        self._slots = self._free = 0
        self._ahead = self._reserve = self._for_newcomers = 0
        self._in_slots: Counter[str] = Counter()
        """How many legs each application has there."""
        self._others = 0
        """How many of these are not critical."""
        self._claimed, self._started = _Line(), _Line()
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self.resize(slots)

    def resize(self, slots: int) -> None:
        """Work so many legs at a time from now on, beside the critical ones."""
        self._free += slots - self._slots
        self._slots = slots
        self._ahead = max(slots, LEAST_AHEAD)
        self._for_newcomers = max(1, slots // NEWCOMERS_SHARE)
        self._reserve = max(1, slots // CRITICAL_SHARE)
        self._advance()

    def put(self, claimed: Claimed, lease: Lease) -> None:
        """A leg to start; `work` is called when it has a slot."""
        self._claimed.append((claimed, lease))
        is_new = self._is_new(claimed.leg.application)
        if len(self._started) < self._ahead or is_critical(claimed) or is_new:
            self._wanted.set()

    def _is_new(self, application: str) -> bool:
        """Whether nothing of an application is in a slot, or waits for one."""
        return self._has_none(application) and not self._started.others.has(application)

    def _has_none(self, application: str) -> bool:
        return not self._in_slots[application]

    def freed(self, claimed: Claimed) -> None:
        """A leg has left its slot."""
        application = claimed.leg.application
        self._free += 1
        self._in_slots[application] -= 1
        if not self._in_slots[application]:
            del self._in_slots[application]
        self._others -= not is_critical(claimed)
        self._advance()

    def _next(self) -> Leg | None:
        """The started leg that may go now; None: there is none, or no slot for it."""
        critical, others = self._started.critical, self._started.others
        beyond = self._others - self._slots  # What newcomers have is none of critical's.
        if critical:
            return critical.popleft() if self._free > -self._reserve - max(0, beyond) else None
        if self._free > 0:
            return others.popleft() if others else None
        if beyond < self._for_newcomers:
            newcomer = self._started.newcomer(self._has_none)
            return others.popleft(newcomer) if newcomer is not None else None
        return None

    def _advance(self) -> None:
        while leg := self._next():
            claimed, lease = leg
            if lease.holds():
                self._free -= 1
                self._in_slots[claimed.leg.application] += 1
                self._others += not is_critical(claimed)
                self._work(claimed, lease)
            else:
                self._let_go(claimed)
        is_low = self._claimed and 2 * len(self._started) < self._ahead
        if is_low or self._claimed.newcomer(self._is_new) is not None:
            self._wanted.set()

    async def run(self) -> None:
        """Start groups until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            room = max(0, self._free) + self._ahead - len(self._started)
            room = max(room, len(self._claimed.critical))
            count = min(len(self._claimed), room, GROUP)
            group = [self._claimed.pop() for _ in range(count)]
            newcomer = self._claimed.newcomer(self._is_new) if not group else None
            if newcomer is not None:
                group = [self._claimed.others.popleft(newcomer)]
            if group:
                await self._start(group)
                self._advance()

    async def _start(self, group: list[Leg]) -> None:
        self._idle.clear()
        try:
            answers = await self._queue.start([starting(leg) for leg, _ in group])
        except StoreError as error:
            self._metrics.failed("start")
            _log.warning("starts_not_committed", legs=len(group), reason=error)
            answers = [Started(may_go=False)] * len(group)
        for (claimed, lease), answer in zip(group, answers, strict=True):
            if answer.may_go and not self._stopping:
                self._started.append((started(claimed, answer), lease))
            else:
                self._let_go(claimed)
        self._idle.set()

    async def stop(self) -> None:
        """Let everything go that has no slot yet, what is being started too."""
        self._stopping = True
        for line in (self._started, self._claimed):
            while line:
                self._let_go(line.pop()[0])
        await self._idle.wait()
