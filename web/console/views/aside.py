"""Dead letters and what is held as uncertain: by cause, and message by message.

Whoever may look sees them; what is done about them begins here and goes on in `deciding`. Each page
looks at `WINDOW` legs at most, the last ones first, and says where it stopped.
"""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from flask import render_template, request
from werkzeug.datastructures import MultiDict

from shared import report
from shared.redrive import Redrive, cursor, place_of
from shared.store.operations import Aside, Place
from web.console.causes import grouped
from web.console.decisions import Wanted
from web.console.desk import Desk, Visitor
from web.console.pages import Pages
from web.errors import Problem

WINDOW = 1000
"""Legs that one page looks at."""
PAGE = 50
"""Messages of one page."""
LONGEST = 255
"""Characters of what is filtered by."""
KINDS: tuple[Aside, ...] = get_args(Aside)
WORDS: dict[Aside, tuple[str, str]] = {
    "dead": ("dead letter", "dead letters"),
    "uncertain": ("uncertain delivery", "uncertain deliveries"),
}
_FILTERS = ("cause", "destination", "application")


class Filtered(msgspec.Struct, frozen=True):
    """What a page or a form asks for, and what is wrong with it, by field."""

    wanted: Wanted
    errors: dict[str, str]

    def query(self, **more: str) -> str:
        """The same as the query of an address."""
        return urlencode({**self.wanted.named(), **more})


def register(pages: Pages, desk: Desk) -> None:
    """`/console/aside`."""
    views = _Views(desk)
    pages.get("/aside", views.causes, "look")
    pages.get("/aside/messages", views.messages, "look")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._redrive = redrive_of(desk, WINDOW)

    def causes(self, visitor: Visitor) -> str:
        """GET /console/aside."""
        del visitor
        kind = kind_of(request.args.get("kind", KINDS[0]))
        before = place_from(request.args.get("before", ""))
        found, following = self._redrive.page(Wanted(kind).choice(), WINDOW, before)
        depth = self._desk.context.services.spool.depth()
        totals: dict[Aside, int] = {"dead": depth.dead_legs, "uncertain": depth.held_legs}
        return render_template(
            "console/aside.html",
            kind=kind,
            words=WORDS[kind],
            totals=totals,
            groups=grouped(found),
            looked=len(found),
            partly=following is not None or before is not None,
            following=cursor(following),
            begun=before is not None,
        )

    def messages(self, visitor: Visitor) -> str:
        """GET /console/aside/messages: those of a choice."""
        del visitor
        asked = filtered(request.args)
        rows: list[dict[str, Any]] = []
        following: Place | None = None
        if not asked.errors:
            before = place_from(request.args.get("before", ""))
            found, following = self._redrive.page(asked.wanted.choice(), PAGE, before)
            rows = [{**report.set_aside(each), "since_ms": each.since_ms} for each in found]
        return render_template(
            "console/aside_messages.html",
            asked=asked,
            wanted=asked.wanted,
            explanation=report.REASONS.get(asked.wanted.cause, ""),
            words=WORDS[asked.wanted.kind],
            rows=rows,
            window=WINDOW,
            following=cursor(following),
            begun="before" in request.args,
        )


def redrive_of(desk: Desk, window: int) -> Redrive:
    """What is set aside, looked at in pieces of `window` legs."""
    services = desk.context.services
    return Redrive(
        services.spool,
        services.operations,
        services.settings.retry,
        services.clock,
        window=window,
    )


def kind_of(text: str) -> Aside:
    """Dead letters or uncertain. Raises a 404."""
    for kind in KINDS:
        if kind == text:
            return kind
    raise Problem(404, "not_found", "There is no such page.")


def place_from(text: str) -> Place | None:
    """Where a page goes on; None: at the beginning. Raises a 404."""
    place = place_of(text) if text else None
    if text and place is None:
        raise Problem(404, "not_found", "There is no such page.")
    return place


def filtered(fields: MultiDict[str, str]) -> Filtered:
    """The filter of a page or a form, without ids. Raises a 404 for a kind that there is not."""
    texts = {name: fields.get(name, "").strip() for name in _FILTERS}
    errors = {
        name: f"At most {LONGEST} characters that can be printed."
        for name, text in texts.items()
        if len(text) > LONGEST or not text.isprintable()
    }
    kind = kind_of(fields.get("kind", KINDS[0]))
    wanted = Wanted(kind, texts["cause"], texts["destination"], texts["application"])
    return Filtered(wanted, errors)
