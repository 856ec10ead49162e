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
        self.kept: dict[bytes, list[tuple[int, int, int, Attempt | None]]] = {}
        """By leg: the hour, its fence, the place in its statuses, the attempt."""

    def bounce(self, leg: Leg, at: int) -> Leg:
        """The leg with one recipient bounced, if he was delivered or uncertain."""
        wanted = (*leg.statuses[:at], Status.BOUNCED, *leg.statuses[at + 1 :])
        return self._state.restate(leg, wanted, HAD_ITS_COPY)

    def keep(self, leg_id: bytes, fence: int, at: int, attempt: Attempt | None) -> None:
        """Keep news of a leg for an hour or two."""
        hour = self._state.now() // HOUR_MS
        kept = self.kept.setdefault(leg_id, [])
        kept[:] = [each for each in kept if each[0] >= hour - 1]
        kept.append((hour, fence, at, attempt))

    def _each(self, leg_id: bytes) -> list[tuple[int, int, Attempt | None]]:
        """Fence, place and attempt."""
        hour = self._state.now() // HOUR_MS
        kept = self.kept.get(leg_id, ())
        return [each[1:] for each in kept if each[0] in (hour - 1, hour)]

    def is_kept(self, leg_id: bytes, leg: Leg, at: int) -> bool:
        """Whether who has the leg now will hear of it when he settles it."""
        return any((fence, place) == (leg.fence, at) for fence, place, _ in self._each(leg_id))

    def pass_on(self, leg_id: bytes, leg: Leg, since: int) -> None:
        """What came early about the copy of an older claim, whose word will count in the end."""
        places = {at: fence for fence, at, _ in self._each(leg_id) if fence >= since}
        for at, fence in places.items():
            if fence < leg.fence:
                self.keep(leg_id, leg.fence, at, None)

    def catch_up(
        self, leg_id: bytes, leg: Leg, *, forgotten: bool = False, since: int | None = None
    ) -> Leg:
        """What came early for a leg whose statuses have just been told.

        `forgotten`: its history was told, too, by who did not know. `since`: the fence of who told,
        where that was an older claim: what came after it began is about its copy.
        """
        for fence, at, attempt in self._each(leg_id):
            if fence >= (leg.fence if since is None else since):
                leg = self.bounce(leg, at)
                if forgotten and attempt is not None:
                    leg = self._state.remember(leg, attempt)
        return leg
