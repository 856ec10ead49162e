"""Times: RFC 3339 with an offset, as milliseconds since the epoch."""

from __future__ import annotations

from shared.times import parsed
from web.validation.report import Report


def moment(value: object, pointer: str, report: Report) -> int | None:
    """Milliseconds since the epoch; None after a report."""
    try:
        found = parsed(value) if isinstance(value, str) else None
    except ValueError:
        report.add(pointer, "bad_time", "There is no such time.")
        return None
    if found is None:
        report.add(
            pointer, "bad_time", "A time with an offset, such as 2027-01-31T12:00:00Z (RFC 3339)."
        )
    return found
