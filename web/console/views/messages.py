"""Recent messages: a page of the newest, and a search that goes back step by step.

A page looks at a bounded number of messages. A search that has not found enough says how far it
has looked, and the next step is a request of its own, which the page makes by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import render_template, request

from shared.ids import external
from shared.model.message import CLASSES
from shared.store.recent import MOST_SCANNED, Entry, RecentPage
from web.console.desk import Desk, Visitor
from web.console.pages import Pages, go
from web.console.seeking import STATUSES, Filters, filters_of, message_id_of
from web.errors import Problem

SCANNED = MOST_SCANNED
PAGE = 50
"""Messages of a page."""
_PATH = "/console/messages"


class Row(msgspec.Struct, frozen=True):
    """A message as the list shows it."""

    id: str
    entry: Entry
    statuses: tuple[tuple[str, int], ...]
    """Each status with its number of recipients, the most frequent first."""


def register(pages: Pages, desk: Desk) -> None:
    """`/console/messages`, and how many are newer."""
    views = _Views(desk)
    pages.get("/messages", views.index, "look")
    pages.get("/messages/newer", views.newer, "look")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._recent = desk.context.services.recent
        self._spool = desk.context.services.spool

    def index(self, visitor: Visitor) -> Any:
        """The list; for a part of a page its next rows."""
        del visitor
        filters = filters_of(request.args)
        if "id" in filters.typed:
            message_id = message_id_of(filters.typed["id"])
            if message_id is not None and self._spool.get(message_id) is not None:
                return go(f"{_PATH}/{external(message_id)}")
            filters.wrongs["id"] = (
                "An id such as msg_0198…, or a Message-ID header."
                if message_id is None
                else "There is no such message, or not any more."
            )
        before, found = _number("before"), min(_number("found") or 0, PAGE)
        page = RecentPage(())
        if not filters.wrongs:
            page = self._page(filters, before, PAGE - found)
        is_part = "HX-Request" in request.headers
        return render_template(
            "console/messages_rows.html" if is_part else "console/messages.html",
            rows=[_row(each) for each in page.entries],
            page=page,
            found=found + len(page.entries),
            full=found + len(page.entries) >= PAGE,
            following=None if page.next is None else _link(filters, before=page.next),
            step=_link(filters, before=page.next or 0, found=found + len(page.entries)),
            filters=filters,
            statuses=_options(STATUSES),
            classes=_options(CLASSES),
            before=before,
        )

    def _page(self, filters: Filters, before: int | None, most: int) -> RecentPage:
        if most <= 0:
            return RecentPage((), before)
        if filters.any:
            return self._recent.search(filters.sought, before, most, SCANNED)
        return self._recent.recent(before, most)

    def newer(self, visitor: Visitor) -> str:
        """How many messages were accepted since a list was shown."""
        del visitor
        newest = self._recent.recent(None, 1).entries
        count = newest[0].position - (_number("than") or 0) if newest else 0
        return render_template("console/messages_newer.html", count=max(0, count))


def _options(names: Sequence[str]) -> list[tuple[str, str]]:
    return [("", "any"), *((name, name) for name in names)]


def _row(entry: Entry) -> Row:
    counted = Counter(each.value for each in entry.statuses)
    return Row(external(entry.message_id), entry, tuple(counted.most_common()))


def _number(name: str) -> int | None:
    text = request.args.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Problem(404, "not_found", "There is no such page of the list.")
    return int(text)


def _link(filters: Filters, **more: int) -> str:
    """The address of another page of the same list."""
    fields = {name: text for name, text in filters.typed.items() if name != "id"}
    return f"{_PATH}?{urlencode(fields | more)}"
