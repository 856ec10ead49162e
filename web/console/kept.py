"""What is asked of the store for many who look at the same, kept for a moment in each process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT_MS = 2000


class Kept(Generic[T]):
    """The last answer, or a new one when that is `KEPT_MS` old. May raise what `ask` raises."""

    def __init__(self, ask: Callable[[], T], now_ms: Callable[[], int]) -> None:
        self._ask = ask
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._last: tuple[int, T] | None = None

    def get(self) -> T:
        """It; while one asks the store, the others wait for the answer."""
        with self._lock:
            now_ms = self._now_ms()
            if self._last is None or not 0 <= now_ms - self._last[0] < KEPT_MS:
                self._last = (now_ms, self._ask())
            return self._last[1]
