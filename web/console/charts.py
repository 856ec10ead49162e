"""What the overview's charts draw, and the tables beside them, from the store's samples. Pure.

A minute of which nothing is known, because no worker ran, is a gap: None, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.store.samples import MINUTE_MS, Figures, Minute, Sample, minutes

MINUTES = 60
"""What a chart shows."""
STEP = 5
"""Minutes of one bar of the outcomes."""
RATES = ("accepted", "delivered", "deferrals", "bounced")
OUTCOMES = ("delivered", "deferrals", "bounced", "expired", "suppressed", "cancelled")
DEPTHS = ("ready", "deferred", "in_flight")


class Row(msgspec.Struct, frozen=True):
    """A line of a table: when it began, and its numbers; None: nothing is known."""

    at_ms: int
    numbers: tuple[int | None, ...]


class Charts(msgspec.Struct, frozen=True):
    """All three, each with the oldest row first."""

    rates: tuple[Row, ...]
    """`RATES`, by minute."""
    outcomes: tuple[Row, ...]
    """`OUTCOMES`, by `STEP` minutes."""
    depths: tuple[Row, ...]
    """`DEPTHS`, as they were when the minute began."""
    since_ms: int
    until_ms: int

    def points(self) -> dict[str, Any]:
        """What is drawn: times in seconds, then a list for each series."""
        return {
            "since": self.since_ms // 1000,
            "until": self.until_ms // 1000,
            "rates": _columns(self.rates, len(RATES)),
            "outcomes": _columns(self.outcomes, len(OUTCOMES)),
            "depths": _columns(self.depths, len(DEPTHS)),
        }

    def sums(self) -> dict[str, int]:
        """Outcome -> recipients of the whole hour."""
        return {
            name: sum(row.numbers[at] or 0 for row in self.outcomes)
            for at, name in enumerate(OUTCOMES)
        }


def charts(samples: Sequence[Sample], now_ms: int) -> Charts:
    """Those of the last hour; `samples` are those of an hour or more, the oldest first."""
    until = now_ms // MINUTE_MS * MINUTE_MS
    since = until - MINUTES * MINUTE_MS
    found = {each.at_ms: each for each in minutes(samples) if since <= each.at_ms < until}
    whole = [found.get(at, Minute(at, None)) for at in range(since, until, MINUTE_MS)]
    there = [each for each in samples if since <= each.at_ms <= until + MINUTE_MS]
    return Charts(
        rates=tuple(_row(each, RATES) for each in whole),
        outcomes=tuple(
            _together([_row(each, OUTCOMES) for each in whole[at : at + STEP]])
            for at in range(0, MINUTES, STEP)
        ),
        depths=_depths(there, since, until),
        since_ms=since,
        until_ms=until,
    )


def _row(minute: Minute, names: Sequence[str]) -> Row:
    total = minute.total()
    if total is None:
        return Row(minute.at_ms, (None,) * len(names))
    return Row(minute.at_ms, _numbers(total, names))


def _numbers(figures: Figures, names: Sequence[str]) -> tuple[int, ...]:
    return tuple(getattr(figures, name) for name in names)


def _together(rows: Sequence[Row]) -> Row:
    known = [row.numbers for row in rows if None not in row.numbers]
    if not known:
        return Row(rows[0].at_ms, rows[0].numbers)
    columns = zip(*known, strict=True)
    return Row(rows[0].at_ms, tuple(sum(each or 0 for each in column) for column in columns))


def _depths(samples: Sequence[Sample], since: int, until: int) -> tuple[Row, ...]:
    found = {each.at_ms // MINUTE_MS * MINUTE_MS: each for each in samples}
    nothing = (None,) * len(DEPTHS)
    return tuple(
        Row(at, _numbers(found[at].total(), DEPTHS) if at in found else nothing)
        for at in range(since, until + MINUTE_MS, MINUTE_MS)
    )


def _columns(rows: Sequence[Row], count: int) -> list[list[int | None]]:
    times: list[int | None] = [row.at_ms // 1000 for row in rows]
    return [times, *([row.numbers[at] for row in rows] for at in range(count))]
