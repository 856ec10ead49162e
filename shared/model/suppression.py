"""One entry of the suppression list, and which entries stand in a message's way. Pure values."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.model.message import Moment

Reason = Literal["bounce", "complaint", "unsubscribe", "manual"]
"""A dead address; a complaint; a click on unsubscribe; whatever an operator or application says."""
REASONS: tuple[Reason, ...] = ("bounce", "complaint", "unsubscribe", "manual")
"""The index is the reason's byte in the store."""
SPARED_BY_CRITICAL = frozenset[Reason]({"complaint", "unsubscribe"})
"""Reasons that never stand in the way of class critical: a password reset is asked for."""


class Suppression(msgspec.Struct, frozen=True):
    """Mail to this address is not sent. Identity is (address, application, list)."""

    address: str
    """Canonical (`shared.addresses.canonical`)."""
    application: str = ""
    """Whose mail; empty: everybody's."""
    list: str = ""
    """Which list's mail; empty: all of that application's."""
    reason: Reason = "manual"
    source: str = ""
    """Who said so, at most 64 characters: `smtp`, `dsn`, `arf`, `one-click`, `import`, `cli`, or
    `api:` and a key's id."""
    at_ms: Moment = 0
    expires_ms: Moment | None = None
    """When it ends by itself; None: never."""
    detail: str = ""
    """Why, for people: the server's code or a note, at most 100 characters, without addresses."""


class Addressed(msgspec.Struct, frozen=True, array_like=True):
    """One recipient of one message, as the list is asked about it."""

    address: str
    """Canonical."""
    application: str
    list: str
    """The message's list; empty: it belongs to none."""
    critical: bool


def applies(entry: Suppression, to: Addressed, now_ms: int) -> bool:
    """Whether an entry stands in the way of this recipient's copy."""
    return (
        entry.address == to.address
        and entry.application in ("", to.application)
        and entry.list in ("", to.list)
        and (entry.expires_ms is None or entry.expires_ms > now_ms)
        and not (to.critical and entry.reason in SPARED_BY_CRITICAL)
    )
