"""The port of operators on the in-memory spool: `shared.store.operations.Operations`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from shared.hops import limit_keys, shared_part
from shared.ids import accepted_ms
from shared.model.leg import Leg, LegState, counted, message_of
from shared.model.message import MessageClass
from shared.model.status import ASIDE, Status
from shared.model.turns import hop_and_application
from shared.store.limits import Limited, Override
from shared.store.memory_lines import MoveRun, entries
from shared.store.memory_sessions import MemorySessions
from shared.store.memory_state import State
from shared.store.operations import (
    REFUSALS_DAYS,
    Aside,
    Destination,
    Line,
    Move,
    Outline,
    Place,
    Refusal,
    SetAside,
    Vitals,
    Waiting,
    deepest,
)
from shared.store.ports import Pause
from shared.store.unreadable import shown

DAY_MS = 86_400_000
_replace = msgspec.structs.replace


class MemoryOperations:
    """`shared.store.operations.Operations` in memory."""

    def __init__(self, state: State, sessions: MemorySessions) -> None:
        self._state = state
        self._sessions = sessions

    def destinations(self, hops: Collection[str] | None = None) -> list[Destination]:
        """See the port."""
        with self._state.lock:
            found = [
                self._destination(self._outline(*place))
                for place in self._places()
                if hops is None or place[1] in hops
            ]
        return sorted(found, key=lambda each: (-each.depth, each.hop))

    def outlines(self) -> list[Outline]:
        """See the port."""
        with self._state.lock:
            found = [self._outline(*place) for place in self._places()]
        return sorted(found, key=lambda each: (-each.depth, each.hop))

    def _places(self) -> set[tuple[MessageClass, str]]:
        state = self._state
        places = {
            (name, hop_and_application(each)[0])
            for (name, each), queue in state.ready.items()
            if queue
        }
        places |= {place for place, legs in state.waiting.items() if legs}
        places |= {place for place, count in state.inflight.items() if count}
        places |= {(name, hop) for at, name, hop in state.answered if self._lately(at)}
        still = {*state.suspended, *state.trouble} - {hop for _, hop in places}
        return places | {("transactional", hop) for hop in still}

    def vitals(self) -> Vitals:
        """See the port."""
        return Vitals()

    def _lately(self, at_ms: int) -> bool:
        return at_ms > self._state.now() - 60_000

    def _queues(self, name: MessageClass, hop: str) -> dict[str, Sequence[bytes]]:
        """Application -> its ready legs there."""
        return {
            hop_and_application(each)[1]: queue
            for (of, each), queue in self._state.ready.items()
            if queue and (of, hop_and_application(each)[0]) == (name, hop)
        }

    def _outline(self, name: MessageClass, hop: str) -> Outline:
        state, place = self._state, (name, hop)
        wakes = [at for each, at in state.wake[name].items() if hop_and_application(each)[0] == hop]
        return Outline(
            hop=hop,
            message_class=name,
            ready=sum(len(queue) for queue in self._queues(name, hop).values()),
            deferred=len(state.waiting.get(place, ())),
            in_flight=state.inflight.get(place, 0),
            per_minute=sum(
                1.0 for at, *of in state.answered if self._lately(at) and of == [name, hop]
            ),
            wakes_ms=min(wakes, default=None),
            pause=state.pause(hop),
        )

    def _destination(self, outline: Outline) -> Destination:
        state, hop = self._state, outline.hop
        queues = self._queues(outline.message_class, hop)
        waiting = state.waiting.get((outline.message_class, hop), set())
        first = [*(queue[0] for queue in queues.values()), *sorted(waiting)[:1]]
        limits = tuple(self.limits(limit_keys(hop)))
        own = limits[0].effective
        return Destination(
            **msgspec.structs.asdict(outline),
            oldest_ms=state.now() - min(accepted_ms(each) for each in first) if first else None,
            limit=own.limit,
            applications=deepest({each: len(queue) for each, queue in queues.items()}),
            override=own.override,
            slowed=own.slowed,
            used=limits[0].used,
            connections=self._sessions.open_at(shared_part(hop)),
            refusal=self._refusal(hop),
            limits=limits,
        )

    def refusals(self, hops: Sequence[str]) -> dict[str, Refusal]:
        """See the port."""
        with self._state.lock:
            found = {hop: self._refusal(hop) for hop in hops}
        return {hop: each for hop, each in found.items() if each is not None}

    def _refusal(self, hop: str) -> Refusal | None:
        found, today = self._state.refusals.get(hop), self._state.now() // DAY_MS
        return found if found and found.at_ms // DAY_MS > today - REFUSALS_DAYS else None

    def suspend(self, hop: str, until_ms: int | None, reason: str) -> None:
        """See the port."""
        with self._state.lock:
            self._state.suspended[hop] = Pause("suspended", until_ms, reason)
            self._state.postpone(hop)

    def resume(self, hop: str) -> bool:
        """See the port."""
        state = self._state
        with state.lock:
            lifted = [
                state.suspension(hop),
                state.trouble.pop(hop, None),
                state.limits.speed_up(shared_part(hop)),
            ]
            state.suspended.pop(hop, None)
            state.probes.pop(hop, None)
            state.stir(hop)
            state.top_up()
            return any(lifted)

    def limits(self, keys: Sequence[str] | None = None) -> list[Limited]:
        """See the port."""
        limits = self._state.limits
        with self._state.lock:
            if keys is None:
                keys = sorted({*limits.configured, *limits.overrides, *limits.slowing})
            return [Limited(each, limits.effective(each), limits.used(each)) for each in keys]

    def set_limit(self, key: str, override: Override) -> None:
        """See the port."""
        with self._state.lock:
            if self._state.limits.overrides.get(key) != override:
                self._state.limits.overrides[key] = override
                self._state.ask_again(key)

    def clear_limit(self, key: str) -> bool:
        """See the port."""
        with self._state.lock:
            gone = self._state.limits.overrides.pop(key, None) is not None
            if gone:
                self._state.ask_again(key)
            return gone

    def flush(self, hop: str, message_class: MessageClass, most: int) -> int:
        """See the port."""
        state = self._state
        with state.lock:
            ids = sorted(state.waiting.get((message_class, hop), ()))[:most]
            for identifier in ids:
                leg = state.legs[identifier]
                state.withdraw(identifier, leg)
                self._ready(identifier, leg)
            state.top_up()
            return len(ids)

    def line(self, line: Line, skip: int, most: int, *, heads: bool = False) -> list[Waiting]:
        """See the port."""
        with self._state.lock:
            return entries(self._state, line, skip, most, heads=heads)

    def move(self, line: Line, moves: Sequence[Move], *, now: bool = False) -> list[bool]:
        """See the port."""
        with self._state.lock:
            answers = MoveRun(self._state, line, now=now).go(moves)
            self._state.top_up()
        return answers

    def _ready(self, identifier: bytes, leg: Leg) -> None:
        leg = _replace(leg, state=LegState.READY, due_ms=0)
        self._state.legs[identifier] = leg
        self._state.push_ready(identifier, leg)

    def aside(self, kind: Aside, limit: int, before: Place | None = None) -> list[SetAside]:
        """See the port."""
        state = self._state
        with state.lock:
            entries = (state.dead if kind == "dead" else state.held).items()
            places = sorted(((since, each) for each, since in entries), reverse=True)
            return [
                self._set_aside(each, kind, since)
                for since, each in places
                if before is None or (since, each) < before
            ][:limit]

    def _set_aside(self, identifier: bytes, kind: Aside, since_ms: int) -> SetAside:
        message, leg = message_of(identifier), self._state.legs[identifier]
        head, (leg,) = shown(message, self._state.heads.get(message), [leg])
        return SetAside(identifier, kind, since_ms, counted(leg), head)

    def requeue(self, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        """See the port."""

        def again(identifier: bytes, leg: Leg, give_up_ms: int) -> None:
            leg = _replace(leg, give_up_ms=max(leg.give_up_ms, give_up_ms), attempts=0)
            if leg.give_up_ms:
                self._state.expiry[identifier] = leg.give_up_ms
            self._ready(identifier, leg)

        return self._redrive(legs, Status.QUEUED, "requeued", again)

    def drop(self, legs: Sequence[bytes]) -> list[bool]:
        """See the port."""

        def end(identifier: bytes, leg: Leg, _: int) -> None:
            self._state.legs[identifier] = self._state.place(identifier, leg)

        return self._redrive([(each, 0) for each in legs], Status.CANCELLED, "dropped", end)

    def _redrive(
        self,
        legs: Sequence[tuple[bytes, int]],
        status: Status,
        event: str,
        act: Callable[[bytes, Leg, int], None],
    ) -> list[bool]:
        state, answers = self._state, []
        with state.lock:
            for identifier, give_up_ms in legs:
                leg = state.legs.get(identifier)
                found = leg is not None and leg.state in (LegState.DEAD, LegState.HELD)
                if leg is not None and found:
                    state.withdraw(identifier, leg)
                    leg = state.restate(leg, (status,) * len(leg.statuses), ASIDE)
                    act(identifier, _replace(leg, crashes=0, fence=leg.fence + 1), give_up_ms)
                    state.event(event, identifier)
                answers.append(found)
            state.top_up()
        return answers
