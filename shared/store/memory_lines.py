"""Lines of waiting legs on the in-memory spool: what keeps them; the rules of `lua/move.lua`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.hops import limit_keys
from shared.model.leg import Leg, LegState, leg_id, message_of
from shared.model.turns import queue_at
from shared.store.limits import reached
from shared.store.memory_state import State, resting
from shared.store.operations import Line, Move, Waiting
from shared.store.ports import Kept
from shared.store.unreadable import readable_head

_replace = msgspec.structs.replace


def entries(state: State, line: Line, skip: int, most: int, *, heads: bool) -> list[Waiting]:
    """Entries of a line in their order."""
    if line.application is None:
        ids = sorted(state.waiting.get((line.message_class, line.hop), ()))
    else:
        place = (line.message_class, queue_at(line.hop, line.application))
        ids = list(state.ready.get(place, ()))
    found = []
    for each in ids[skip : skip + most]:
        leg = state.legs.get(each)
        if leg is None or not line.has(leg):
            found.append(Waiting(each, None, gone=True))
            continue
        head = readable_head(state.heads.get(message_of(each))) if heads else None
        found.append(Waiting(each, leg, head=head))
    return found


def kept(state: State, leg: Leg) -> Kept | None:
    """What keeps back a ready leg whose hop does not stand still."""
    until = state.wake[leg.message_class].get(queue_at(leg.hop, leg.application), 0)
    if until <= state.now():
        return None
    pool = state.pools.get(leg.hop)
    hops = [member for member, _ in pool.members] if pool else [leg.hop]
    for key in (key for hop in hops for key in limit_keys(hop)):
        limit, used = state.limits.effective(key).limit, state.limits.used(key)
        name = reached(limit, used, state.flying(key))
        if name:
            return Kept(until, f"{name} of {key}")
    return Kept(until)


class MoveRun:
    """One step of a move."""

    def __init__(self, state: State, line: Line, *, now: bool) -> None:
        self._state = state
        self._line = line
        self._now = now
        self._queue = queue_at(line.hop, line.application or "")

    def go(self, moves: Sequence[Move]) -> list[bool]:
        """Each entry."""
        return [self._one(each) for each in moves]

    def _leave(self, application: str) -> None:
        """A queue that is empty has no turn; one that a part goes back to gets a new one."""
        line, state = self._line, self._state
        if not state.ready.get((line.message_class, self._queue)):
            state.wake[line.message_class].pop(self._queue, None)
            while self._queue in state.ring[line.message_class]:
                state.ring[line.message_class].remove(self._queue)
            state.leave(line.message_class, line.hop, application)
            if (line.message_class, line.hop) not in state.apps:
                state.turns.pop((line.message_class, line.hop), None)

    def _one(self, move: Move) -> bool:
        leg = self._state.legs.get(move.leg_id)
        if leg is None or not self._line.has(leg):
            self._strike(move.leg_id)
            return False
        as_read = move.leg is not None and (leg.fence, leg.statuses) == (
            move.leg.fence, move.leg.statuses,
        )  # fmt: skip
        if as_read and move.legs:
            self._move(move.leg_id, leg, move.legs)
        return as_read and bool(move.legs)

    def _strike(self, identifier: bytes) -> None:
        """The id goes from where it was read."""
        place = (self._line.message_class, self._queue)
        if self._line.application is None:
            self._state.waiting.get(place, set()).discard(identifier)
        elif identifier in self._state.ready.get(place, ()):
            self._state.ready[place].remove(identifier)
            self._leave(self._line.application)

    def _move(self, identifier: bytes, leg: Leg, legs: Sequence[Leg]) -> None:
        state, message = self._state, message_of(identifier)
        total = state.legs[leg_id(message, 0)].legs
        leg = state.withdraw(identifier, leg)
        if leg.state is LegState.READY:
            self._strike(identifier)
        several = ", ..." if len(legs) > 1 else ""
        leg = state.note(leg, f"moved; to {legs[0].hop}{several}"[:255])
        leg = _replace(leg, fence=leg.fence + 1, flags=resting(leg))
        if len(legs) > 1:
            state.open_legs[message] = state.open_legs.get(message, 1) + len(legs) - 1
            leg = _replace(leg, legs=total + len(legs) - 1)
            zero = leg_id(message, 0)
            state.legs[zero] = _replace(state.legs[zero], legs=leg.legs)
        for index, new in enumerate(legs):
            target = identifier if index == 0 else leg_id(message, total + index - 1)
            if index and identifier in state.expiry:
                state.expiry[target] = state.expiry[identifier]
            self._put(
                target,
                _replace(leg, hop=new.hop, statuses=new.statuses, recipients=new.recipients),
            )
        state.event("moved", identifier)

    def _put(self, identifier: bytes, leg: Leg) -> None:
        state = self._state
        if leg.state is LegState.WAITING and not self._now:
            state.legs[identifier] = state.defer(identifier, leg, leg.due_ms)
            return
        state.legs[identifier] = _replace(leg, state=LegState.READY, due_ms=0)
        state.push_ready(identifier, state.legs[identifier])
