"""Back-off of a hop that is in trouble: the destination waits, its messages do not pay for it.

Pure but for the clock: `trouble` says for how long to suspend, `well` resets.
"""

from __future__ import annotations

from shared.clock import Clock

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


class Backoff:
    """Waits of one, two, four ... seconds for each hop, up to a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits: dict[str, float] = {}
        self._until: dict[str, float] = {}

    def trouble(self, hop: str) -> float | None:
        """Seconds to suspend the hop for; None while it is suspended already.

        Transactions that break together count as one trouble.
        """
        now = self._clock.monotonic()
        if now < self._until.get(hop, 0.0):
            return None
        wait = min(self._waits.get(hop, FIRST_SECONDS / 2) * 2, LONGEST_SECONDS)
        self._waits[hop] = wait
        self._until[hop] = now + wait
        return wait

    def well(self, hop: str) -> None:
        """The hop has answered a transaction."""
        self._waits.pop(hop, None)
        self._until.pop(hop, None)
