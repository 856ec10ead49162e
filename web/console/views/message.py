"""One message: who and what, what became of each recipient, its headers and its source."""

from __future__ import annotations

from typing import Any

import structlog
from flask import render_template, request

from shared.classification.told import Explained
from shared.ids import parse_external
from shared.model.message import Content, Head
from shared.store.ports import Stored
from web.changes import gone
from web.console import written
from web.console.became import WAITS, Became, became
from web.console.desk import Desk, Visitor
from web.console.pages import Pages
from web.inbox.reading import plain_name
from web.preview.page import preview

MOST_TEXT = 200_000
"""Characters of a message's text that a page shows."""
VIEWS = (("", "Delivery"), ("headers", "Headers"), ("source", "Source"), ("preview", "Preview"))


class Finder:
    """Messages by the ids in addresses."""

    def __init__(self, desk: Desk) -> None:
        self._context = desk.context
        self._spool = desk.context.services.spool
        self._meanings = Explained(desk.context.told)

    def stored(self, identifier: str) -> Stored:
        """The message. Raises a `Problem` 404."""
        message_id = parse_external(identifier)
        stored = None if message_id is None else self._spool.get(message_id)
        if stored is None:
            raise gone()
        structlog.contextvars.bind_contextvars(message_id=identifier)
        return stored

    def became(self, stored: Stored, chosen: int | None = None) -> Became:
        """What became of it."""
        return became(stored, self._context.routes, self._meanings, chosen)


def register(pages: Pages, desk: Desk) -> None:
    """`/console/messages/ID`."""
    pages.get("/messages/<identifier>", _Views(desk).look, "look")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._find = Finder(desk)
        self._spool = desk.context.services.spool

    def look(self, visitor: Visitor, identifier: str) -> str:
        """The page; for a part of it what may have changed."""
        stored = self._find.stored(identifier)
        wanted = request.args.get("view", "")
        if wanted and visitor.user.may("content") and wanted in dict(VIEWS):
            return self._content(stored, wanted)
        found = self._find.became(stored, _chosen(stored))
        is_part = "HX-Request" in request.headers
        return render_template(
            "console/message_now.html" if is_part else "console/message.html",
            message=found,
            view="",
            views=VIEWS,
            waits=WAITS,
        )

    def _content(self, stored: Stored, view: str) -> str:
        found = written.written(self._spool, stored)
        shown: dict[str, Any] = {"missing": found.why}
        if found.content is not None:
            shown |= _shown(found.head, found.content, view)
        return render_template(
            f"console/message_{view}.html",
            message=self._find.became(stored, -1),
            view=view,
            views=VIEWS,
            **shown,
        )


def _shown(head: Head, content: Content, view: str) -> dict[str, Any]:
    """What one of the views shows of a content."""
    if view == "headers":
        headers = written.headers(head, content)
        return {"headers": headers, "missing": _damaged(headers)}
    if view == "source":
        beginning = written.beginning(head, content)
        return {"source": beginning, "missing": _damaged(beginning)}
    return {
        "page": None if content.html is None else preview(content.html, written.images(content)),
        "remote": request.args.get("images") == "remote",
        "text": (content.text or "")[:MOST_TEXT],
        "attachments": [(each, plain_name(each.filename)) for each in content.attachments],
    }


def _damaged(found: object) -> str:
    return written.WORDS["damaged"] if found is None else ""


def _chosen(stored: Stored) -> int | None:
    """The recipient whose attempts are asked for."""
    text = request.args.get("recipient", "")
    if text.isascii() and text.isdecimal() and len(text) < 6 and int(text) in stored.statuses():
        return int(text)
    return None
