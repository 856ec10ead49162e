"""The audit trail: who did what, when and from where; and the same as a file.

A page looks at `WINDOW` entries at most, so a filter that hardly anything matches says that there
is more behind it instead of reading everything.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response, render_template, request

from shared.store.records import Audited, Records
from shared.times import shown
from web.console.desk import Desk, Visitor
from web.console.pages import Pages
from web.errors import Problem

PAGE = 100
WINDOW = 2000
"""Entries that one page looks at."""
MOST_ROWS = 10_000
"""Of a file."""
_STEP = 500
"""Entries that are read at once."""
_LONGEST = 255
_ID = re.compile(r"\d{1,16}-\d{1,20}\Z", re.ASCII)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for a formula when a cell begins with it (B40)."""
_COLUMNS = ("at", "who", "login", "address", "act", "what", "details", "request_id")


def register(pages: Pages, desk: Desk) -> None:
    """`/console/audit`."""
    views = _Views(desk)
    pages.get("/audit", views.index, "audit")
    pages.get("/audit/file", views.file, "audit")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._records = desk.records

    def index(self, visitor: Visitor) -> str:
        """GET /console/audit: the newest first."""
        del visitor
        act, who = _filter()
        before = request.args.get("before", "")
        if before and not _ID.match(before):
            raise Problem(404, "not_found", "There is no such page.")
        rows, following = page_of(self._records, act, who, before)
        return render_template(
            "console/audit.html",
            rows=rows,
            act=act,
            who=who,
            window=WINDOW,
            following=following,
            begun=bool(before),
            most_rows=MOST_ROWS,
        )

    def file(self, visitor: Visitor) -> Response:
        """GET /console/audit/file: CSV of the last entries that match."""
        del visitor
        act, who = _filter()
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        for entry in _walk(self._records, "", MOST_ROWS):
            if _matches(entry, act, who):
                writer.writerow([_cell(each) for each in _row(entry)])
        response = Response(text.getvalue(), mimetype="text/csv")
        response.headers["Content-Disposition"] = 'attachment; filename="posthaste-audit.csv"'
        return response


def page_of(records: Records, act: str, who: str, before: str = "") -> tuple[list[Audited], str]:
    """Entries that match, and behind which one the next page begins; empty: there is none."""
    rows: list[Audited] = []
    looked, last = 0, ""
    for entry in _walk(records, before, WINDOW + 1):
        if len(rows) == PAGE or looked == WINDOW:
            return rows, last
        looked, last = looked + 1, entry.id
        if _matches(entry, act, who):
            rows.append(entry)
    return rows, ""


def _walk(records: Records, before: str, most: int) -> Iterator[Audited]:
    while most > 0:
        found = records.trail(before, min(_STEP, most))
        yield from found
        if not found:
            return
        most -= len(found)
        before = found[-1].id


def _filter() -> tuple[str, str]:
    act, who = (request.args.get(name, "").strip()[:_LONGEST] for name in ("act", "who"))
    return act, who


def _matches(entry: Audited, act: str, who: str) -> bool:
    """`act` is the beginning of an act's name; `who` an id, or a part of the login."""
    known = who in (entry.who, entry.address) or who.casefold() in entry.login.casefold()
    return entry.act.startswith(act) and (not who or known)


def _row(entry: Audited) -> Iterator[str]:
    values: Mapping[str, Any] = {
        "at": shown(entry.at_ms),
        "details": " ".join(f"{name}={text}" for name, text in entry.details.items()),
    }
    return (str(values[name] if name in values else getattr(entry, name)) for name in _COLUMNS)


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
