"""Times: RFC 3339 with an offset, as milliseconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from web.validation.report import Report

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII
)
_FRACTION = re.compile(r"\.(\d+)")


def moment(value: object, pointer: str, report: Report) -> int | None:
    """Milliseconds since the epoch; None after a report."""
    if not isinstance(value, str) or not _RFC3339.match(value):
        report.add(
            pointer, "bad_time", "A time with an offset, such as 2027-01-31T12:00:00Z (RFC 3339)."
        )
        return None
    text = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", value.upper().replace("Z", "+00:00"))
    try:
        at = datetime.fromisoformat(text)
        return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        report.add(pointer, "bad_time", "There is no such time.")
        return None


def shown(ms: int | None) -> str | None:
    """The answer's form: RFC 3339 in UTC, milliseconds."""
    if ms is None:
        return None
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
