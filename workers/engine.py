"""The engine: tickets in, claimed legs in hand, each worked by the pipeline until it is settled.

`offer` takes tickets from Dramatiq's threads; a lane for each class claims as much as there is room
for and goes on while there is more. It never blocks the loop, holds at most `legs_in_hand` legs,
keeps a share of them for class critical, and lets one leg that has crashed a worker before run at a
time. A store that does not answer makes lanes wait; nothing is lost by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from shared.clock import Clock
from shared.errors import StoreError
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import LegFlag, pack_history
from shared.model.message import CLASSES, MessageClass
from shared.settings import Settings
from shared.store.ports import Claim, Claimed, Queue, Settled, Settlement, Verb
from workers.batching import Settler
from workers.lane import Lane
from workers.leases import Lease, Leases, LegClaim
from workers.lines import about
from workers.starts import Starts, started, starting

CLAIM_LIMIT = 200
LEAST_IN_HAND = 400
WORTH_CLAIMING = 50
"""A claim for fewer legs waits a moment for more room."""
GATHER_SECONDS = 0.005
FEW = 8
"""With no more legs than this in hand, outcomes are settled one by one, at once."""
STORE_PAUSE_SECONDS = 0.5
SUSPECT_SECONDS = 5.0
"""How long a leg that has crashed a worker waits for another such leg to end."""

BROKEN_RETRY_MS = 60_000
"""A leg that met a fault of ours rests for a minute, without using up an attempt."""

Deliver = Callable[[Claimed, Lease], Awaitable[Settlement]]

_log = structlog.get_logger(__name__)


class Engine:
    """One a process, on one loop."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        clock: Clock,
        deliver: Deliver,
        sessions: int,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        worker = settings.worker
        self._metrics = metrics = metrics or WorkerMetrics()
        self._loop = asyncio.get_running_loop()
        self._quantum = worker.quantum
        self._settings = worker
        self._stop_seconds = worker.stop_seconds
        self._queue = queue
        self._clock = clock
        self._deliver = deliver
        self.leases = Leases(queue, worker, clock, metrics)
        self._settler = Settler(queue, self._settled, self._has_more_than, metrics)
        self._starts = Starts(queue, 2 * sessions, self._begin, self._let_go, metrics)
        self._lanes = {name: Lane() for name in CLASSES}
        self._working: dict[LegClaim, asyncio.Task[None]] = {}
        self._held: dict[LegClaim, Claimed] = {}
        self._suspects = asyncio.Lock()
        self._awaited: dict[LegClaim, asyncio.Event] = {}
        self._freed = asyncio.Event()
        self._stopping = False
        self.resize(sessions)

    @property
    def in_hand(self) -> int:
        """Legs that are claimed and not settled."""
        return len(self._held)

    @property
    def working(self) -> int:
        """Legs that are being worked."""
        return len(self._working)

    @property
    def stopping(self) -> bool:
        """Whether nothing more is claimed."""
        return self._stopping

    def resize(self, sessions: int) -> None:
        """Work for so many sessions: twice as many legs are rendered or on their way at a time."""
        worker = self._settings
        self._most = worker.legs_in_hand or max(LEAST_IN_HAND, 2 * sessions + CLAIM_LIMIT)
        self._reserved = int(self._most * worker.critical_share)
        self._starts.resize(2 * sessions)

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
            group.create_task(self._starts.run())
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
                try:
                    more = await self._claim(message_class, lane, min(room, CLAIM_LIMIT))
                except StoreError as error:
                    self._metrics.failed("claim")
                    _log.warning("claim_waits_for_store", reason=error)
                    await asyncio.sleep(STORE_PAUSE_SECONDS)

    async def _wait_for_room(self, message_class: MessageClass) -> int:
        while self._room(message_class) <= 0:
            self._freed.clear()
            await self._freed.wait()
        if self._room(message_class) < WORTH_CLAIMING:
            await asyncio.sleep(GATHER_SECONDS)
        return max(1, self._room(message_class))

    async def _claim(self, message_class: MessageClass, lane: Lane, limit: int) -> bool:
        if self._stopping:  # There was a wait for room.
            return False
        tickets, lane.tickets = lane.tickets, []
        lane.idle.clear()
        try:
            asked_at = self._clock.monotonic()
            claim = await self._queue.claim(
                message_class, limit=limit, quantum=self._quantum, tickets=tickets
            )
            self._metrics.stage["claim"].observe(self._clock.monotonic() - asked_at)
            _tell_unreadable(claim)
            self._take(claim, asked_at)
            lane.call_again(claim.again_ms)
        finally:
            lane.idle.set()
        return claim.more

    def _take(self, claim: Claim, asked_at: float) -> None:
        for claimed in claim.legs:
            lease = self.leases.hold(claimed, asked_at)
            self._held[_key(claimed)] = claimed
            if self._stopping:
                self._let_go(claimed)
            elif claimed.leg.crashes:
                self._spawn(claimed, self._suspect(claimed, lease))
            else:
                self._starts.put(claimed, lease)

    def _spawn(self, claimed: Claimed, work: Coroutine[None, None, None]) -> None:
        self._working[_key(claimed)] = self._loop.create_task(work)

    def _begin(self, claimed: Claimed, lease: Lease) -> None:
        """A started leg has a slot."""
        self._spawn(claimed, self._in_slot(claimed, lease))

    async def _in_slot(self, claimed: Claimed, lease: Lease) -> None:
        try:
            await self._work(claimed, lease)
        finally:
            self._starts.freed(claimed)

    async def _work(self, claimed: Claimed, lease: Lease) -> None:
        """One leg, from its start to its settlement: this is the shell that nothing gets past."""
        settlement = release(claimed)
        self._metrics.stage["wait"].observe(self._clock.monotonic() - lease.since)
        try:
            settlement = await self._deliver(claimed, lease)
        except asyncio.CancelledError:
            pass  # The process stops, and nothing that matters was sent: the leg is released.
        except Exception:
            _log.exception("attempt_broke", **about(claimed.leg_id, claimed.head))
            settlement = release(claimed, BROKEN_RETRY_MS)
        self._settler.put(settlement)

    async def _suspect(self, claimed: Claimed, lease: Lease) -> None:
        """A leg that has crashed a worker waits for others like it, lest they blame one another."""
        alone = False
        try:
            async with asyncio.timeout(SUSPECT_SECONDS):
                alone = await self._suspects.acquire()
        except TimeoutError:
            pass  # The other one takes long, so it is not one that crashes at once.
        except asyncio.CancelledError:
            self._let_go(claimed)
            return
        try:
            settled = self._awaited[_key(claimed)] = asyncio.Event()
            now = None if self._stopping else await self._start(claimed, lease)
            if now is not None:
                await self._work(now, lease)
            else:
                self._let_go(claimed)
            await settled.wait()  # Only then can the next one's crash not be blamed on it.
        finally:
            self._awaited.pop(_key(claimed), None)
            if alone:
                self._suspects.release()

    async def _start(self, claimed: Claimed, lease: Lease) -> Claimed | None:
        try:
            (answer,) = await self._queue.start([starting(claimed)])
        except (StoreError, asyncio.CancelledError):
            return None
        return started(claimed, answer) if answer.may_go and lease.holds() else None

    def _let_go(self, claimed: Claimed) -> None:
        self._settler.put(release(claimed))

    def _has_more_than(self, settled: int) -> bool:
        """Whether more outcomes are about to come."""
        return len(self._held) > settled + FEW

    def _settled(self, settlement: Settlement, answer: Settled) -> None:
        claim = (settlement.leg_id, settlement.fence)
        if answer is Settled.REFUSED and not settlement.replaced:
            held = self._held.get(claim)
            ids = about(settlement.leg_id, held.head if held else None)
            _log.warning("settle_refused", verb=settlement.verb.value, **ids)
        self.leases.let_go(claim)
        self._held.pop(claim, None)
        self._working.pop(claim, None)
        if claim in self._awaited:
            self._awaited[claim].set()
        self._freed.set()

    async def stop(self) -> None:
        """Claim nothing more, let transactions end, release the rest, settle everything."""
        self._stopping = True
        deadline = self._loop.time() + self._stop_seconds
        # What claims and starts under way bring is let go; only then no further leg is worked.
        await self._starts.stop()
        for lane in self._lanes.values():
            await lane.idle.wait()
        tasks = set(self._working.values())
        if tasks:
            left = max(0.0, deadline - self._loop.time())
            _, late = await asyncio.wait(tasks, timeout=left)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        try:
            async with asyncio.timeout(5):
                await self._settler.drained()
        except TimeoutError:
            _log.warning("stopped_with_unsettled_legs", legs=len(self._held))


def _key(claimed: Claimed) -> LegClaim:
    return claimed.leg_id, claimed.fence


def _tell_unreadable(claim: Claim) -> None:
    if claim.damaged:
        _log.error("mail_unreadable", legs=claim.damaged, see="posthaste dead list")
    if claim.newer:
        _log.error("mail_of_a_newer_release", legs=claim.newer, remedy="upgrade this worker")


def release(
    claimed: Claimed, retry_after_ms: int = 0, history: bytes = b"", refusal: str = ""
) -> Settlement:
    """Give a leg back: nothing was sent, no attempt is used up.

    One to be held may have the imminent dot in its history, which did not come: it is as before.
    """
    if LegFlag.HOLD in claimed.leg.flags and not history:
        history = pack_history(claimed.leg.history, claimed.leg.earlier)
    return Settlement(
        claimed.leg_id,
        claimed.fence,
        Verb.RELEASE,
        history=history,
        retry_after_ms=retry_after_ms,
        refusal=refusal,
    )
