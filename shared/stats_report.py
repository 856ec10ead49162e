"""What became of mail, by application, class and site, and rates of what came back: one shape for
API and command.

Takes what the store has counted, gives what JSON can hold. Pure.
"""

from __future__ import annotations

from typing import Any

from shared.model.message import CLASSES, MessageClass
from shared.store.outcomes import WHATS, Outcomes
from shared.times import shown

MOST_DAYS = 35
"""The store keeps figures of so many days."""
DEFAULT_DAYS = 7
_DAY_MS = 86_400_000


def stats(
    outcomes: Outcomes, days: int, now_ms: int, application: str | None = None
) -> dict[str, Any]:
    """Those of one application, or of all (None), over the last so many days in UTC, the present
    one included."""
    rows: dict[tuple[str, int, str], dict[str, int]] = {}
    for (name, message_class, site, what), count in outcomes.items():
        if application in (None, name) and what in WHATS:
            place = (name, CLASSES.index(message_class), site)
            rows.setdefault(place, dict.fromkeys(WHATS, 0))[what] += count
    first_day = now_ms // _DAY_MS - (days - 1)
    return {
        "days": days,
        "since": shown(first_day * _DAY_MS),
        "data": [
            _row(name, CLASSES[index], site, rows[name, index, site])
            for name, index, site in sorted(rows)
        ],
        "next_cursor": None,
    }


def _row(
    application: str, message_class: MessageClass, site: str, counts: dict[str, int]
) -> dict[str, Any]:
    """A later bounce is of mail that counts as delivered, too: it was taken before."""
    taken = counts["delivered"]
    bounced = counts["bounced"] + counts["bounced_late"]
    return {
        "application": application,
        "class": message_class,
        "site": site,
        **counts,
        "bounce_rate": _rate(bounced, taken + counts["bounced"]),
        "complaint_rate": _rate(counts["complained"], taken),
    }


def _rate(part: int, whole: int) -> float | None:
    """A share, of 1; None where there is nothing to take it of."""
    return round(part / whole, 6) if whole else None
