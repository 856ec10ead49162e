"""Outcomes by application and site on the in-memory spool: the rules of `lua/prelude.lua`."""

from __future__ import annotations

from collections.abc import Callable

from shared.model.leg import Leg
from shared.store.outcomes import KEPT_DAYS, MOST_OUTCOMES, spare_field
from shared.store.unreadable import readable_head

DAY_MS = 86_400_000


class OutcomeCounts:
    """Fields as `shared.store.outcomes` names them."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.ever: dict[str, int] = {}
        self._days: dict[int, dict[str, int]] = {}

    def score(self, field: str, by: int = 1) -> None:
        """Count an outcome, today and for ever."""
        today = self._now() // DAY_MS
        for day in [each for each in self._days if each < today - KEPT_DAYS]:
            del self._days[day]
        for counts in (self.ever, self._days.setdefault(today, {})):
            room = field in counts or len(counts) < MOST_OUTCOMES
            place = field if room else spare_field(field)
            counts[place] = counts.get(place, 0) + by

    def of_days(self, days: int) -> list[dict[str, int]]:
        """The hashes of the last so many days, today's the first; 0: that of ever."""
        if days == 0:
            return [self.ever]
        today = self._now() // DAY_MS
        return [self._days.get(today - back, {}) for back in range(min(days, KEPT_DAYS))]


def application_of(leg: Leg, head: bytes | None) -> str:
    """Whose message a leg is; from the head where the record may have a part of the name only."""
    name, place = leg.application.encode(), leg.hop.encode()
    if name and len(name) < 45 and len(place) + len(name) < 250:
        return leg.application
    found = readable_head(head)
    return leg.application if found is None else found.application
