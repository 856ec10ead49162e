"""Limits of the in-memory spool: the rules of `lua/prelude.lua` and `lua/parts/windows.lua`."""

from __future__ import annotations

import math
from collections.abc import Callable

from shared.hops import ANY_SITE, DestinationLimit, mx_hop
from shared.store.limits import (
    BUCKETS,
    MOST_STEPS,
    SLOW_TOGETHER_MS,
    WINDOWS_MS,
    Effective,
    Override,
    Slowing,
    effective,
    in_window,
    override_of,
    part_of,
    windows,
)

_EPSILON = 1e-6


class Limits:
    """What holds for each key, and what has been used of it."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.configured: dict[str, DestinationLimit] = {}
        self.overrides: dict[str, Override] = {}
        self.slowing: dict[str, Slowing] = {}
        self._gcra: dict[str, float] = {}
        self._used: dict[tuple[str, str], dict[int, int]] = {}
        """By window and key: part of the window -> legs."""

    def __bool__(self) -> bool:
        return bool(self.configured or self.overrides or self.slowing)

    def configure(self, key: str, limit: DestinationLimit | None) -> bool:
        """What a key has by the settings, None for nothing; whether that is news."""
        news = self.configured.get(key) != limit
        self.configured.pop(key, None)
        if limit is not None:
            self.configured[key] = limit
        return news

    def effective(self, key: str) -> Effective:
        """What holds now, and what it is made of."""
        return effective(key, self.configured, self.overrides, self.slowing, self._now())

    def of(self, key: str) -> DestinationLimit | None:
        """What holds now; None where nothing was ever said. What is over is forgotten."""
        kept = self._forget(key) if mx_hop(key) is None else self._forget(key) | self._forget_any()
        return self.effective(key).limit if kept and key != "mx:?" else None

    def changes(self, key: str) -> int | None:
        """When what holds is another limit by itself; None: it stays."""
        slow, now = self.slowing.get(key), self._now()
        override = override_of(key, self.overrides, now)
        times = [slow.changes(now)] if slow is not None else []
        if override is not None:
            times.append(override.until_ms)
        return min((each for each in times if each is not None), default=None)

    def _forget_any(self) -> bool:
        return self._forget(ANY_SITE, slowed=False)

    def _forget(self, key: str, *, slowed: bool = True) -> bool:
        """Remove what is over; whether something was said of the key."""
        override, slow = self.overrides.get(key), self.slowing.get(key) if slowed else None
        if override is not None and override.is_over(self._now()):
            del self.overrides[key]
        if slow is not None and slow.is_over(self._now()):
            del self.slowing[key]
        return key in self.configured or override is not None or slow is not None

    def is_slowed(self, key: str) -> bool:
        """Whether replies have slowed it down, or its pause is one that no late answer ends."""
        slow = self.slowing.get(key)
        return slow is not None and not slow.is_over(self._now())

    def was_slowed(self, key: str) -> bool:
        """Whether it has been slowed down just now: what ran together counts once."""
        before = self.slowing.get(key)
        return before is not None and self._now() < before.till_ms + SLOW_TOGETHER_MS

    def slow_down(self, key: str, till_ms: int, pace: float, more: int) -> None:
        """So many steps more from `till_ms` on; `pace` is the milliseconds from leg to leg."""
        before = self.slowing.get(key)
        steps = before.steps_at(self._now()) if before is not None else 0
        interval = before.interval if before is not None and steps else pace
        self.slowing[key] = Slowing(till_ms, min(MOST_STEPS, steps + more), interval)

    def speed_up(self, key: str) -> bool:
        """As before its replies slowed it down; whether it was still slowed down."""
        slowing = self.slowing.pop(key, None)
        return slowing is not None and slowing.steps_at(self._now()) > 0

    def used(self, key: str) -> dict[str, int]:
        """Legs of each window that has a limit."""
        limit = self.effective(key).limit
        return {
            window: in_window(window, self._used.get((window, key), {}), self._now())
            for window, _ in windows(limit)
        }

    def allowed(self, key: str, limit: DestinationLimit) -> int | None:
        """How many legs may go now, by its rates; None: as many as there are."""
        found = [most - sum(self._parts(each, key)[0].values()) for each, most in windows(limit)]
        if limit.per_second:
            found.append(self._evenly(key, limit))
        return max(0, min(found)) if found else None

    def _evenly(self, key: str, limit: DestinationLimit) -> int:
        interval, now = 1000 / limit.per_second, self._now()
        tat = self._tat(key, limit)
        return max(0, math.floor((now - tat) / interval + limit.burst + _EPSILON))

    def _tat(self, key: str, limit: DestinationLimit) -> float:
        now = float(self._now())
        tat, most = max(now, self._gcra.get(key, 0.0)), now + limit.burst * 1000 / limit.per_second
        if tat > most:  # A lower rate has left it further ahead than this one does.
            self._gcra[key] = tat = most
        return tat

    def book(self, key: str, limit: DestinationLimit, taken: int) -> int | None:
        """Count legs; when permits are used up, the time of the next."""
        ends = [self._book_window(key, window, most, taken) for window, most in windows(limit)]
        if limit.per_second:
            ends.append(self._book_evenly(key, limit, taken))
        return max((each for each in ends if each is not None), default=None)

    def _book_evenly(self, key: str, limit: DestinationLimit, taken: int) -> int | None:
        interval, allowed, now = 1000 / limit.per_second, self._evenly(key, limit), self._now()
        after = self._tat(key, limit) + taken * interval
        if taken:
            self._gcra[key] = after
        if taken < allowed:
            return None
        some = max(1, math.floor(limit.burst / 2))
        return max(now + 1, math.ceil(after - (limit.burst - some) * interval - _EPSILON))

    def _book_window(self, key: str, window: str, most: int, taken: int) -> int | None:
        used, part = self._parts(window, key)
        allowed = max(0, most - sum(used.values()))
        if taken:
            used[part] = used.get(part, 0) + taken
        if taken < allowed:
            return None
        width = WINDOWS_MS[window] / BUCKETS
        return math.ceil((min(used, default=part) + BUCKETS + 1) * width)

    def _parts(self, window: str, key: str) -> tuple[dict[int, int], int]:
        """The parts of a window that still count, and the one that is now."""
        part = part_of(window, self._now())
        used = self._used.setdefault((window, key), {})
        for over in [each for each in used if each < part - BUCKETS]:
            del used[over]
        return used, part

    def give_back(self, key: str, taken_ms: int) -> None:
        """A permit was not used. It counts no more where it was taken longer than a window ago."""
        limit = self.of(key)
        if limit is None:
            return
        if limit.per_second and key in self._gcra:
            self._gcra[key] -= 1000 / limit.per_second
        for window, _ in windows(limit):
            used, part = self._parts(window, key)
            if used and part_of(window, taken_ms) >= part - BUCKETS:
                first = min(used)
                used[first] -= 1
                if not used[first]:
                    del used[first]


def is_bound(limit: DestinationLimit) -> bool:
    """Whether it limits legs."""
    return bool(limit.concurrency or limit.per_second or any(True for _ in windows(limit)))
