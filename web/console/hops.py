"""One destination, for its pages: what is known of it, and where its pages are."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from flask import request

from shared.destination_report import around, everything
from shared.store.operations import Destination
from web.console.desk import Desk
from web.errors import Problem

UNTIL = (
    ("", "until somebody ends it"),
    ("900", "15 minutes"),
    ("3600", "1 hour"),
    ("14400", "4 hours"),
    ("86400", "1 day"),
    ("604800", "1 week"),
)
"""For how long something holds: (seconds, words); any other number of seconds may be sent, too."""


class Found(msgspec.Struct, frozen=True):
    """A destination in all its classes."""

    name: str
    rows: tuple[Destination, ...]
    around: tuple[Destination, ...]
    """The same with a pool's members."""

    @property
    def waiting(self) -> int:
        """Legs that wait there."""
        return sum(each.depth for each in self.rows)

    @property
    def deferred(self) -> int:
        """Those of them that are deferred."""
        return sum(each.deferred for each in self.rows)

    @property
    def in_flight(self) -> int:
        """Legs that workers have."""
        return sum(each.in_flight for each in self.rows)

    @property
    def stands_still(self) -> bool:
        """Whether its mail does not go for now."""
        return any(each.pause is not None for each in self.rows)

    @property
    def slowed(self) -> bool:
        """Whether its replies have slowed it down."""
        return any(each.slowed is not None for each in self.rows)


def find(desk: Desk, name: str) -> Found:
    """What is there. Raises a `Problem` 404 for what is neither configured nor has any mail."""
    context = desk.context
    rows = everything(
        context.services.operations, context.routes, name, around(name, context.routes)
    )
    mine = tuple(each for each in rows if each.hop == name)
    if not mine:
        raise Problem(404, "not_found", "There is no such destination, or it has no mail any more.")
    return Found(name, mine, tuple(rows))


def address(name: str, act: str = "") -> str:
    """Where a destination's page is, or the one of an act."""
    return f"/console/destinations/{quote(name, safe='')}" + (f"/{act}" if act else "")


def seconds_of(text: str) -> object:
    """What a form says for how long: None, a number, or a text that is none."""
    return None if not text else number_of(text)


def number_of(text: str) -> object:
    """A whole number of a form, or the text that is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text


def fields() -> dict[str, str]:
    """What a form has sent, without blanks around."""
    return {name: value.strip() for name, value in request.form.items() if name != "csrf"}
