"""What a suspension may say: for how long, and why. One check for the API and the command. Pure."""

from __future__ import annotations

MOST_SECONDS = 366 * 86_400
MOST_REASON = 200


def wrong_seconds(value: object) -> str:
    """What is wrong with a duration in seconds; empty when nothing is. None: without an end."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (whole and 0 < value <= MOST_SECONDS):  # type: ignore[operator]  # A number.
        return ""
    days = MOST_SECONDS // 86_400
    return f"1 to {MOST_SECONDS} s ({days} days); leave it out to suspend until it is resumed."


def wrong_reason(value: object) -> str:
    """What is wrong with a reason; empty when nothing is."""
    if isinstance(value, str) and len(value) <= MOST_REASON and value.isprintable():
        return ""
    return f"At most {MOST_REASON} printable characters."
