"""One run of the pump on the in-memory spool: the rules of `lua/pump.lua`."""

from __future__ import annotations

from collections import deque

import msgspec

from shared.hops import mx_hop
from shared.model.leg import Leg, LegFlag, LegState, leg_id
from shared.model.message import CLASSES, MessageClass
from shared.model.status import OPEN, Status
from shared.model.turns import hop_and_application
from shared.store.memory_recent import TRIMMED_A_RUN
from shared.store.memory_state import LIVE_MS, State, resting
from shared.store.memory_suppressions import sweep
from shared.store.ports import Pumped

BATCH = 500

_replace = msgspec.structs.replace


class PumpRun:
    """One run of the pump."""

    def __init__(self, state: State, lease_ms: int) -> None:
        self._state = state
        self._lease_ms = lease_ms
        self._due = self._reaped = self._crashed = self._dead = self._forgotten = 0
        self._more = False

    def go(self, worker_id: str) -> Pumped:
        """Everything, in the order of `lua/pump.lua`."""
        state, now = self._state, self._state.now()
        state.workers[worker_id] = now
        for other in [each for each, seen in state.workers.items() if seen < now - LIVE_MS]:
            del state.workers[other]
        if state.last_pump is None or not 0 <= now - state.last_pump <= 1000:
            state.reap_after = now + self._lease_ms
        state.last_pump = now
        for name in CLASSES:
            self._move_due(name)
            if now >= state.reap_after:
                self._reap(name)
            state.ring[name].extend(state.due_wakes(name, BATCH))
        self._expire_due()
        self._expire_still()
        self._forget_sites()
        self._forget()
        state.recent.trim(
            state.heads, TRIMMED_A_RUN + self._forgotten, state.settings.store.recent_messages
        )
        sweep(state)
        trimmed = self._trim()
        paused = now < state.reap_after
        minted = state.top_up()
        state.samples.take()
        return Pumped(
            self._due, self._reaped, self._crashed, self._dead, minted, trimmed,
            self._forgotten, paused, self._more,
        )  # fmt: skip

    def _first(self, entries: dict[bytes, int], most: int) -> list[bytes]:
        due = sorted((at, each) for each, at in entries.items() if at <= self._state.now())
        return [each for _, each in due[:most]]

    def _move_due(self, name: MessageClass) -> None:
        state = self._state
        for identifier in self._first(state.deferred[name], BATCH - self._due):
            leg = state.legs[identifier]
            state.undefer(identifier, leg)
            wanted = tuple(
                Status.QUEUED if status is Status.SCHEDULED else status for status in leg.statuses
            )
            leg = _replace(state.restate(leg, wanted), state=LegState.READY, due_ms=0)
            state.legs[identifier] = leg
            state.push_ready(identifier, leg)
            self._due += 1
        self._more = self._more or self._due >= BATCH

    def _reap(self, name: MessageClass) -> None:
        state = self._state
        for identifier in self._first(state.leases[name], BATCH - self._reaped):
            leg = state.legs[identifier]
            self._reaped += 1
            leg = state.heed(state.withdraw(identifier, leg))
            if leg.flags & LegFlag.STARTED and any(each in OPEN for each in leg.statuses):
                leg = self._crash(identifier, leg)
            leg = state.early.catch_up(identifier, leg, forgotten=False)
            leg = _replace(leg, flags=resting(leg))
            if any(status in OPEN for status in leg.statuses):
                leg = _replace(leg, state=LegState.READY, due_ms=0)
                state.push_ready(identifier, leg)
            else:
                leg = state.place(identifier, leg)
            state.legs[identifier] = leg
        self._more = self._more or self._reaped >= BATCH

    def _crash(self, identifier: bytes, leg: Leg) -> Leg:
        state = self._state
        self._crashed += 1
        leg = _replace(leg, crashes=leg.crashes + 1)
        state.bump("crashes")
        state.event("crashed", identifier)
        if leg.flags & LegFlag.DOT_IMMINENT and leg.flags & LegFlag.HOLD:
            return state.restate_open(leg, Status.UNCERTAIN)
        if leg.crashes >= state.settings.worker.max_crashes:
            leg = state.note(leg, "poison")
            state.event("dead", identifier)
            self._dead += 1
            return state.restate_open(leg, Status.DEAD)
        return state.note(leg, "worker ended")

    def _expire_due(self) -> None:
        state = self._state
        for identifier in self._first(state.expiry, BATCH):
            leg = state.legs.get(identifier)
            del state.expiry[identifier]
            if leg is None or not any(status in OPEN for status in leg.statuses):
                continue
            if leg.give_up_ms > state.now():
                state.expiry[identifier] = leg.give_up_ms
            elif leg.state in (LegState.READY, LegState.WAITING):
                state.expire(identifier, leg)
            else:
                state.expiry[identifier] = state.now() + 1000

    def _expire_still(self) -> None:
        """Where nobody claims, what has had its time is at the head of the queues."""
        state = self._state
        for hop in [*state.suspended, *state.trouble, *state.pools]:
            state.still_until(hop)  # Removes a suspension whose time is over.
            for name in CLASSES:
                for queue in state.queues_at(name, hop):
                    self._expire_head(name, queue)

    def _expire_head(self, name: MessageClass, queue_name: str) -> None:
        state = self._state
        queue, popped = state.ready.get((name, queue_name), deque()), False
        for _ in range(100):
            leg = state.legs.get(queue[0]) if queue else None
            gone = leg is None or leg.state is not LegState.READY
            if not queue or (leg and not gone and not 0 < leg.give_up_ms <= state.now()):
                break
            identifier, popped = queue.popleft(), True
            if leg is not None and not gone:
                state.expire(identifier, leg)
        if popped and not queue:
            state.wake[name].pop(queue_name, None)
            while queue_name in state.ring[name]:
                state.ring[name].remove(queue_name)
            state.leave(name, *hop_and_application(queue_name))

    def _forget_sites(self) -> None:
        """Of a site that was in trouble and has no mail nothing is remembered."""
        state = self._state
        for hop in list(state.trouble):
            mail = any(
                state.ready.get((name, hop)) or state.apps.get((name, hop)) for name in CLASSES
            )
            if mx_hop(hop) and not mail and not state.still_until(hop):
                del state.trouble[hop]

    def _forget(self) -> None:
        state, store = self._state, self._state.settings.store
        oldest = state.now() - store.retention_seconds * 1000
        surplus = len(state.finished) - store.retention_messages
        while state.finished and self._forgotten < BATCH:
            message, at = state.finished[0]
            if surplus <= 0 and at > oldest:
                return
            state.finished.popleft()
            surplus -= 1
            self._forgotten += 1
            first = state.legs.get(leg_id(message, 0))
            for number in range(first.legs if first else 1):
                state.legs.pop(leg_id(message, number), None)
            state.heads.pop(message, None)
        self._more = self._more or self._forgotten >= BATCH

    def _trim(self) -> int:
        state = self._state
        surplus = len(state.events) - state.settings.store.events_max
        if state.acknowledged is not None or surplus <= 0:
            return 0
        del state.events[:surplus]
        state.bump("events_trimmed", surplus)
        return surplus
