"""Times as people type them and as browsers' fields send them, in UTC. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shared.times import parsed

_TYPED = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?)?\Z", re.ASCII)
NO_TIME = "A date and a time in UTC, such as 2027-01-31 12:00."


def moment_of(text: str) -> int | None:
    """Milliseconds since the epoch of `2027-01-31`, `2027-01-31T12:00` (with a space or `T`, with
    seconds or without), or a time with an offset (RFC 3339); None when it is none, or there is no
    such time."""
    text = text.strip()
    typed = _TYPED.match(text)
    if typed:
        text = f"{typed[1]}T{typed[2] or '00:00'}{typed[3] or ':00'}Z"
    try:
        return parsed(text)
    except ValueError:
        return None


def field_value(ms: int) -> str:
    """`2027-01-31T12:00`, as a browser's field for a date and a time wants it; UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")
