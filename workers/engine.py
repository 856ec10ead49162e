"""The engine: tickets in, claimed legs in hand, each worked by the pipeline until it is settled.

`offer` takes tickets from Dramatiq's threads; a lane for each class claims as much as there is room
for and goes on while there is more. It never blocks the loop, holds at most `legs_in_hand` legs,
keeps a share of them for class critical, and lets one leg that has crashed a worker before run at a
time. A store that does not answer makes lanes wait; nothing is lost by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.clock import Clock
from shared.errors import StoreError
from shared.model.message import CLASSES, MessageClass
from shared.settings import Settings
from shared.store.ports import Claim, Claimed, Queue, Settled, Settlement, Verb
from workers.batching import Settler, Starter
from workers.leases import Lease, Leases

CLAIM_LIMIT = 200
LEAST_IN_HAND = 400
WORTH_CLAIMING = 50
"""A claim for fewer legs waits a moment for more room."""
GATHER_SECONDS = 0.005
STORE_PAUSE_SECONDS = 0.5
SUSPECT_SECONDS = 5.0
"""How long a leg that has crashed a worker waits for another such leg to end."""

BROKEN_RETRY_MS = 60_000
"""A leg that met a fault of ours rests for a minute, without using up an attempt."""

Deliver = Callable[[Claimed, Lease], Awaitable[Settlement]]

_log = structlog.get_logger(__name__)


class Lane:
    """The tickets of one class, and whether it should claim."""

    def __init__(self) -> None:
        self.tickets: list[str] = []
        self.wanted = asyncio.Event()


class Engine:
    """One a process, on one loop."""

    def __init__(
        self, settings: Settings, queue: Queue, clock: Clock, deliver: Deliver, sessions: int
    ) -> None:
        worker = settings.worker
        self._loop = asyncio.get_running_loop()
        self._quantum = worker.quantum
        self._settings = worker
        self._stop_seconds = worker.stop_seconds
        self._queue = queue
        self._clock = clock
        self._deliver = deliver
        self.leases = Leases(queue, worker, clock)
        self._settler = Settler(queue, self._settled)
        self._starter = Starter(queue, clock)
        self._lanes = {name: Lane() for name in CLASSES}
        self._working: dict[bytes, asyncio.Task[None]] = {}
        self._beginning: set[asyncio.Task[None]] = set()
        self._held: dict[bytes, Claimed] = {}
        self._slots = asyncio.Semaphore(0)
        self._free = 0
        self._all_slots = 0
        self._shrinking: set[asyncio.Task[None]] = set()
        self.resize(sessions)
        self._suspects = asyncio.Lock()
        self._freed = asyncio.Event()
        self._stopping = False

    def resize(self, sessions: int) -> None:
        """Work for so many sessions: twice as many legs are rendered or on their way at a time."""
        worker = self._settings
        self._most = worker.legs_in_hand or max(LEAST_IN_HAND, 2 * sessions + CLAIM_LIMIT)
        self._reserved = int(self._most * worker.critical_share)
        more = 2 * sessions - self._all_slots
        self._all_slots += more
        self._free += more
        for _ in range(more):
            self._slots.release()
        for _ in range(-more):
            task = self._loop.create_task(self._drop_slot())
            self._shrinking.add(task)
            task.add_done_callback(self._shrinking.discard)

    async def _drop_slot(self) -> None:
        await self._slots.acquire()

    def offer(self, message_class: MessageClass, ticket: str) -> None:
        """Take a ticket; safe from any thread."""
        self._loop.call_soon_threadsafe(self._take_ticket, message_class, ticket)

    def _take_ticket(self, message_class: MessageClass, ticket: str) -> None:
        lane = self._lanes[message_class]
        if self._stopping or (self._room(message_class) <= 0 and len(lane.tickets) > 1):
            self._loop.create_task(self._drop(message_class, ticket))
            return
        lane.tickets.append(ticket)
        lane.wanted.set()

    async def _drop(self, message_class: MessageClass, ticket: str) -> None:
        try:
            await self._queue.drop(message_class, ticket)
        except StoreError:
            pass  # The ticket runs out by itself.

    def _room(self, message_class: MessageClass) -> int:
        most = self._most if message_class == "critical" else self._most - self._reserved
        return most - len(self._held)

    async def run(self) -> None:
        """Work until cancelled; `stop` first for an orderly end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.leases.run())
            group.create_task(self._settler.run())
            group.create_task(self._starter.run())
            for name in CLASSES:
                group.create_task(self._lane(name))

    async def _lane(self, message_class: MessageClass) -> None:
        lane = self._lanes[message_class]
        while True:
            await lane.wanted.wait()
            lane.wanted.clear()
            more = True
            while more and not self._stopping:
                room = await self._wait_for_room(message_class)
                tickets, lane.tickets = lane.tickets, []
                try:
                    more = await self._claim(message_class, min(room, CLAIM_LIMIT), tickets)
                except StoreError as error:
                    _log.warning("claim_waits_for_store", reason=str(error))
                    await asyncio.sleep(STORE_PAUSE_SECONDS)

    async def _wait_for_room(self, message_class: MessageClass) -> int:
        while self._room(message_class) <= 0:
            self._freed.clear()
            await self._freed.wait()
        if self._room(message_class) < WORTH_CLAIMING:
            await asyncio.sleep(GATHER_SECONDS)
        return max(1, self._room(message_class))

    async def _claim(self, message_class: MessageClass, limit: int, tickets: list[str]) -> bool:
        asked_at = self._clock.monotonic()
        claim = await self._queue.claim(
            message_class, limit=limit, quantum=self._quantum, tickets=tickets
        )
        work = []
        for claimed in claim.legs:
            lease = self.leases.hold(claimed, asked_at)
            self._held[claimed.leg_id] = claimed
            work.append((claimed, lease))
        if work:
            # The lane claims on meanwhile: the store and this process work at the same time.
            task = self._loop.create_task(self._begin(claim, work))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
        return claim.more

    async def _begin(self, claim: Claim, work: list[tuple[Claimed, Lease]]) -> None:
        started = await self._start_at_once(claim)
        for claimed, lease in work:
            task = self._loop.create_task(self._work(claimed, lease, claimed.leg_id in started))
            self._working[claimed.leg_id] = task

    async def _start_at_once(self, claim: Claim) -> set[bytes]:
        """Start, in one step, as many of the claimed legs as have a slot now."""
        first = () if claim.alone else claim.legs[: max(0, self._free)]
        if not first:
            return set()
        try:
            answers = await self._queue.start([(each.leg_id, each.fence) for each in first])
        except StoreError:
            return set()  # Each asks again by itself before it is sent.
        return {each.leg_id for each, held in zip(first, answers, strict=True) if held}

    async def _work(self, claimed: Claimed, lease: Lease, started: bool) -> None:
        """One leg, from claim to settlement: this is the shell that nothing gets past."""
        settlement = release(claimed)
        try:
            if claimed.leg.crashes:
                settlement = await self._attempt_apart(claimed, lease)
            else:
                settlement = await self._attempt(claimed, lease, started)
        except asyncio.CancelledError:
            pass  # The process stops, and nothing that matters was sent: the leg is released.
        except Exception:
            _log.exception("attempt_broke", leg=claimed.leg_id.hex())
            settlement = release(claimed, BROKEN_RETRY_MS)
        self._settler.put(settlement)

    async def _attempt_apart(self, claimed: Claimed, lease: Lease) -> Settlement:
        """Two legs that have both crashed a worker must not be blamed for one another."""
        try:
            await asyncio.wait_for(self._suspects.acquire(), SUSPECT_SECONDS)
        except TimeoutError:
            return await self._attempt(claimed, lease)
        try:
            return await self._attempt(claimed, lease)
        finally:
            self._suspects.release()

    async def _attempt(self, claimed: Claimed, lease: Lease, started: bool = False) -> Settlement:
        async with self._slots:
            self._free -= 1
            try:
                if lease.holds() and (started or await self._starter.started(claimed)):
                    return await self._deliver(claimed, lease)
                return release(claimed)
            finally:
                self._free += 1

    def _settled(self, settlement: Settlement, answer: Settled) -> None:
        if answer is Settled.REFUSED:
            _log.warning("settle_refused", verb=settlement.verb.value)
        self.leases.let_go(settlement.leg_id)
        self._held.pop(settlement.leg_id, None)
        self._working.pop(settlement.leg_id, None)
        self._freed.set()

    async def stop(self) -> None:
        """Claim nothing more, let transactions end, release the rest, settle everything."""
        self._stopping = True
        if self._beginning:
            await asyncio.wait(set(self._beginning))
        tasks = set(self._working.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._stop_seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        try:
            await asyncio.wait_for(self._settler.drained(), timeout=5)
        except TimeoutError:
            _log.warning("stopped_with_unsettled_legs", legs=len(self._held))


def release(claimed: Claimed, retry_after_ms: int = 0) -> Settlement:
    """Give a leg back: nothing was sent, no attempt is used up."""
    return Settlement(claimed.leg_id, claimed.fence, Verb.RELEASE, retry_after_ms=retry_after_ms)
