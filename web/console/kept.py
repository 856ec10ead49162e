"""What is asked of the store for many who look at the same, kept for a moment in each process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from shared.errors import StoreError, StoreUnavailable

T = TypeVar("T")
KEPT_MS = 2000


class Kept(Generic[T]):
    """The last answer, or a new one when that is `KEPT_MS` old. May raise what `ask` raises.

    A store that does not answer is asked once, too: web's threads are for mail, and those that have
    waited do not each wait once more.
    """

    def __init__(self, ask: Callable[[], T], now_ms: Callable[[], int]) -> None:
        self._ask = ask
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._last: tuple[int, T] | None = None
        self._failures = 0
        self._reason = ""

    def get(self) -> T:
        """It; while one asks the store, the others wait for the answer."""
        came = self._failures
        with self._lock:
            now_ms = self._now_ms()
            if self._last is not None and 0 <= now_ms - self._last[0] < KEPT_MS:
                return self._last[1]
            if self._failures > came:
                raise StoreUnavailable(self._reason)
            return self._ask_now(now_ms)

    def _ask_now(self, now_ms: int) -> T:
        try:
            found = self._ask()
        except StoreError as error:
            self._failures += 1
            self._reason = str(error)
            raise
        self._last = (now_ms, found)
        return found
