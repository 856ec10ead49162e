"""How templates show things: times, sizes, statuses; addresses of files that browsers keep."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from flask import Blueprint

STATIC = Path(__file__).parent / "static"
"""Stylesheets, scripts and files of others, the inbox's too."""

TONES = {
    "queued": "soft", "scheduled": "soft", "deferred": "warn", "delivered": "ok", "bounced": "bad",
    "expired": "bad", "suppressed": "warn", "cancelled": "soft", "uncertain": "warn", "dead": "bad",
}  # fmt: skip
"""The colour of each status's badge; its word stands in it always."""


def register(routes: Blueprint) -> None:
    """Make them filters of the console's templates."""
    for name, function in (("time", time), ("size", size), ("ago", ago), ("tone", tone)):
        routes.add_app_template_filter(function, f"console_{name}")


def time(ms: int | None) -> str:
    """`2026-01-31 12:00:00`, UTC."""
    return (
        "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    )


def size(count: int) -> str:
    """Bytes, in a unit that fits."""
    for unit, power in (("GB", 3), ("MB", 2), ("KB", 1)):
        if count >= 1024**power:
            return f"{count / 1024**power:.1f} {unit}"
    return f"{count} B"


def ago(ms: int | None) -> str:
    """A span of milliseconds, in one unit or two: `3 min`, `2 h 5 min`."""
    if ms is None:
        return "none"
    seconds = max(0, ms // 1000)
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


def tone(status: str) -> str:
    """See `TONES`."""
    return TONES.get(status, "soft")


def asset(name: str) -> str:
    """A static file's address, which changes with what is in it."""
    return f"/console/static/{name}?v={_version(name)}"


def is_asset(name: str, version: str) -> bool:
    """Whether this process has just that: in a roll-out, another release may be asked for."""
    try:
        return version == _version(name)
    except OSError:
        return False


@cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
