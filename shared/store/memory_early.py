"""Bounces that come back while a claim holds the leg: the rules of `lua/parts/early.lua`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.model.leg import Attempt, Leg
from shared.model.status import Status

if TYPE_CHECKING:
    from shared.store.memory_state import State

HOUR_MS = 3_600_000
HAD_ITS_COPY = frozenset({Status.DELIVERED, Status.UNCERTAIN})


class EarlyNews:
    """What whoever may still settle a leg does not know of it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: dict[bytes, list[tuple[int, int, int, Attempt | None]]] = {}
        """By leg: the hour, its fence, the place in its statuses, the attempt."""

    def bounce(self, leg: Leg, at: int) -> Leg:
        """The leg with one recipient bounced, if he was delivered or uncertain."""
        wanted = (*leg.statuses[:at], Status.BOUNCED, *leg.statuses[at + 1 :])
        return self._state.restate(leg, wanted, HAD_ITS_COPY)

    def keep(self, leg_id: bytes, leg: Leg, at: int, attempt: Attempt | None) -> None:
        """Keep news of a leg for an hour or two."""
        hour = self._state.now() // HOUR_MS
        kept = self._kept.setdefault(leg_id, [])
        kept[:] = [each for each in kept if each[0] >= hour - 1]
        kept.append((hour, leg.fence, at, attempt))

    def catch_up(self, leg_id: bytes, leg: Leg, *, forgotten: bool) -> Leg:
        """What came early for a leg whose statuses have just been told.

        `forgotten`: its history was told, too, by who did not know.
        """
        hour = self._state.now() // HOUR_MS
        for at_hour, fence, at, attempt in self._kept.get(leg_id, ()):
            if at_hour in (hour - 1, hour) and fence == leg.fence:
                leg = self.bounce(leg, at)
                if forgotten and attempt is not None:
                    leg = self._state.remember(leg, attempt)
        return leg
