"""The list of destinations: which of them, in which order, which page. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from shared.model.message import CLASSES
from shared.store.operations import Outline

PAGE = 100
LONGEST = 255
"""Characters of what a name may be searched by."""
STATES: dict[str, tuple[str, ...]] = {
    "active": ("active",),
    "limited": ("limited",),
    "suspended": ("suspended",),
    "troubled": ("backing_off", "probing"),
    "idle": ("idle",),
}
"""What one can choose -> the states that it means."""
_Key = Callable[[Outline], Any]
ORDERS: dict[str, tuple[str, _Key]] = {
    "depth": ("Most mail", lambda each: -each.depth),
    "ready": ("Most ready", lambda each: -each.ready),
    "deferred": ("Most deferred", lambda each: -each.deferred),
    "in_flight": ("Most in flight", lambda each: -each.in_flight),
    "per_minute": ("Fastest", lambda each: -each.per_minute),
    "name": ("Name", lambda each: each.hop),
}


class Wanted(msgspec.Struct, frozen=True):
    """What an address asks for; what makes no sense is as if it were not there."""

    text: str = ""
    state: str = ""
    message_class: str = ""
    order: str = "depth"
    page: int = 1

    def query(self, page: int) -> str:
        """The same, of another page, as the query of an address."""
        named = {
            "q": self.text,
            "state": self.state,
            "class": self.message_class,
            "order": self.order if self.order != "depth" else "",
            "page": str(page) if page > 1 else "",
        }
        return urlencode({name: value for name, value in named.items() if value})


class Page(msgspec.Struct, frozen=True):
    """One page of those that were found."""

    rows: tuple[Outline, ...]
    found: int
    number: int
    last: int


def wanted(query: Mapping[str, str]) -> Wanted:
    """From the query of an address."""
    state, name, order = query.get("state", ""), query.get("class", ""), query.get("order", "")
    page = query.get("page", "")
    return Wanted(
        query.get("q", "").strip()[:LONGEST],
        state if state in STATES else "",
        name if name in CLASSES else "",
        order if order in ORDERS else "depth",
        int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def page_of(rows: Sequence[Outline], asked: Wanted, now_ms: int) -> Page:
    """The page that is asked for, or the last one before it."""
    text, states = asked.text.lower(), STATES.get(asked.state, ())
    found = [
        each
        for each in rows
        if text in each.hop.lower()
        and (not states or each.state(now_ms) in states)
        and asked.message_class in ("", each.message_class)
    ]
    found.sort(key=ORDERS[asked.order][1])
    last = max(1, -(-len(found) // PAGE))
    number = min(max(1, asked.page), last)
    return Page(tuple(found[(number - 1) * PAGE : number * PAGE]), len(found), number, last)
