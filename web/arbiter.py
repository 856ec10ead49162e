"""What gunicorn's arbiter does beside its own work: a slot for each process, and an orderly end.

A stop is announced first: for `drain_seconds` everything is served while /readyz says `stopping`,
so that whoever balances the load has looked elsewhere when the listeners close.
"""

from __future__ import annotations

import mmap
import signal
from types import FrameType
from typing import Any


class Drain:
    """SIGTERM -> announced -> gunicorn's own stop. Made before the fork, known to all processes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = max(seconds, 0.001)
        self._shared = mmap.mmap(-1, 1)

    def begun(self) -> bool:
        """Whether the stop was announced."""
        return self._shared[0] != 0

    def install(self) -> None:
        """Stand before gunicorn's handler, in the arbiter."""
        stop = signal.getsignal(signal.SIGTERM)

        def end(number: int, frame: FrameType | None) -> None:
            del number
            if callable(stop):
                stop(signal.SIGTERM, frame)

        def announce(number: int, frame: FrameType | None) -> None:
            if self.begun():  # The second one hastens.
                end(number, frame)
                return
            self._shared[0] = 1
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

        signal.signal(signal.SIGALRM, end)
        signal.signal(signal.SIGTERM, announce)


class Slots:
    """The smallest free number for each process that lives."""

    def __init__(self) -> None:
        self._used: dict[int, Any] = {}

    def give(self, worker: Any) -> int:
        """A number for a process that is about to start."""
        slot = next(number for number in range(len(self._used) + 1) if number not in self._used)
        self._used[slot] = worker
        return slot

    def take_back(self, worker: Any) -> None:
        """Its process has ended."""
        for slot, holder in list(self._used.items()):
            if holder is worker:
                del self._used[slot]

    def of(self, worker: Any) -> int:
        """The number that a process was given."""
        return next(slot for slot, holder in self._used.items() if holder is worker)
