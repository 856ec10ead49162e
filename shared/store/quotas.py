"""Quotas: how many recipients an application may have accepted in a window, and what it has used.

Windows are the minute, day and month of the calendar, in UTC and by the store's clock. What is
counted is recipients of accepted messages, whatever becomes of them. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from shared.settings import Settings

Window = Literal["minute", "day", "month"]
WINDOWS: tuple[Window, ...] = ("minute", "day", "month")
_WIDTHS_MS = {"minute": 60_000, "day": 86_400_000}


class Quota(msgspec.Struct, frozen=True):
    """Recipients that an application may have in each window; 0 means no limit."""

    minute: int = 0
    day: int = 0
    month: int = 0

    def limit(self, window: Window) -> int:
        """That of a window; 0: none."""
        found: int = getattr(self, window)
        return found

    def limited(self) -> tuple[Window, ...]:
        """The windows that have a limit, the shortest first."""
        return tuple(window for window in WINDOWS if self.limit(window))

    def smallest(self) -> Window | None:
        """The window with the lowest limit: no message may have more recipients."""
        return min(self.limited(), key=self.limit, default=None)


class Use(msgspec.Struct, frozen=True):
    """What an application has used of a window that has not ended."""

    window: Window
    used: int
    reset_ms: int
    """When the window ends and the next one begins, with nothing used."""
    wait_ms: int
    """How long that is from the store's now."""


def quota_of(settings: Settings, application: str) -> Quota | None:
    """The quota of an application; None when it has none."""
    found = settings.application.get(application)
    if found is None:
        return None
    quota = Quota(found.quota_per_minute, found.quota_per_day, found.quota_per_month)
    return quota if quota.limited() else None


def window_around(window: Window, now_ms: int) -> tuple[int, int]:
    """When the window that a moment is in begins and ends, in ms."""
    width = _WIDTHS_MS.get(window)
    if width is not None:
        start = now_ms - now_ms % width
        return start, start + width
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    after = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * 1000, int(after.timestamp()) * 1000
