"""Times for JSON and people: RFC 3339 in UTC, and durations such as `2h 5m`. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII
)
_FRACTION = re.compile(r"\.(\d+)")
_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parsed(text: str) -> int | None:
    """Milliseconds since the epoch of a time with an offset (RFC 3339); None when it is none.

    Raises `ValueError` for a time that looks right and does not exist.
    """
    if not _RFC3339.match(text):
        return None
    text = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", text.upper().replace("Z", "+00:00"))
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except OverflowError as error:
        raise ValueError("there is no such time") from error


def shown(ms: int | None) -> str | None:
    """RFC 3339 in UTC, with milliseconds."""
    if ms is None:
        return None
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def duration_seconds(text: str) -> int | None:
    """Seconds of `90s`, `30m`, `2h` or `1d`; None when it is none of these."""
    found = _DURATION.match(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def short_duration(seconds: float) -> str:
    """`4s`, `12m 5s`, `3h 10m`, `2d 4h`: the two largest units."""
    left = int(max(0, seconds))
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])
