"""How many connections may be set up at the same time: a host that has recovered gets a ramp.

Every success doubles the number, a failure puts it back to one and holds further attempts for a
while that doubles too. Pure: the caller gives the time, in seconds.
"""

from __future__ import annotations

FIRST = 4
MOST = 128
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Ramp:
    """The set-up limit of one pool."""

    def __init__(self) -> None:
        self._width = FIRST
        self._opening = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._not_before = 0.0

    @property
    def opening(self) -> int:
        """Connections being set up now."""
        return self._opening

    def may_open(self, now: float, more: int = 0) -> bool:
        """Whether one more may be set up, or one beyond `more`."""
        return self._opening + more < self._width and now >= self._not_before

    def wait(self, now: float) -> float:
        """Seconds until the pause after a failure is over."""
        return max(0.0, self._not_before - now)

    def begin(self) -> None:
        """A set-up starts."""
        self._opening += 1

    def opened(self) -> None:
        """It has succeeded."""
        self._opening -= 1
        self._width = min(MOST, self._width * 2)
        self._pause = FIRST_PAUSE_SECONDS
        self._not_before = 0.0

    def failed(self, now: float) -> None:
        """It has not."""
        self._opening -= 1
        self._width = 1
        self._not_before = now + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)

    def cancelled(self) -> None:
        """It was given up, which says nothing about the host."""
        self._opening -= 1

    def forget_pause(self) -> None:
        """Nobody has a connection: the next delivery tries, and its caller does the waiting."""
        self._not_before = 0.0
