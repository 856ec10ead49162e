"""Time, injected: wall clock in milliseconds and a monotonic clock in seconds.

`SystemClock` is the real one; `ManualClock` ships beside it, for tests and for looking ahead.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of the code may ask about time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()


class ManualClock:
    """A clock that moves when told to."""

    def __init__(self, start_ms: int = 1_800_000_000_000) -> None:
        self._now_ms = start_ms
        self._monotonic = 1000.0

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as last set."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds; moves with `advance`."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks."""
        self._now_ms += int(seconds * 1000)
        self._monotonic += seconds

    def set_wall_back(self, seconds: float) -> None:
        """Step the wall clock back, as an operator or NTP may; the monotonic clock stays."""
        self._now_ms -= int(seconds * 1000)
