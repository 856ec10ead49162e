"""Limits that operators set: of a relay, a site, all sites, or a route."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import render_template

from shared import limit_report
from shared.limiting import override_of, wrong_fields, wrong_name
from shared.store.limits import FIELDS, Limited
from web.console import hops
from web.console.desk import Desk, Visitor
from web.console.pages import Pages, go
from web.errors import Problem, changing

_RATES = ("per_second", "connections_per_second")
WORDS = {
    "per_second": ("Messages a second", "Evenly."),
    "per_minute": ("Messages of any minute", "As they come; so are the next two."),
    "per_hour": ("Messages of any hour", ""),
    "per_day": ("Messages of any day", ""),
    "concurrency": ("Messages in flight at once", "Over all workers; so are the next two."),
    "connections": ("SMTP sessions open at once", ""),
    "connections_per_second": ("SMTP sessions begun a second", ""),
}
"""Each field of a limit: its label, and a help."""


def register(pages: Pages, desk: Desk) -> None:
    """`/console/limits/NAME`."""
    views = _Views(desk)
    pages.get("/limits/<name>", views.look, "operate")
    pages.post("/limits/<name>", views.set, "operate")
    pages.get("/limits/<name>/clear", views.ask_clear, "operate")
    pages.post("/limits/<name>/clear", views.clear, "operate")
    pages.notices["limit-set"] = "The limit holds from now on."
    pages.notices["limit-cleared"] = "What is configured holds again."
    pages.notices["limit-none"] = "Nobody had set a limit of it."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._operations = desk.context.services.operations

    def look(self, visitor: Visitor, name: str) -> str:
        """GET: what holds, and a form for another one."""
        del visitor
        return self._form(self._known(name), {}, {})

    def set(self, visitor: Visitor, name: str) -> Any:
        """POST: limit it otherwise than configured."""
        limited, sent = self._known(name), hops.fields()
        typed = _typed(sent)
        errors = {field or FIELDS[0]: text for field, text in wrong_fields(typed)}
        if errors:
            return self._form(limited, sent, errors), 422
        override = override_of(typed, self._desk.now_ms())
        said = {each: str(typed[each]) for each in (*FIELDS, "seconds") if typed[each] is not None}
        with changing():
            self._operations.set_limit(name, override)
            self._desk.audit(visitor, "limit.set", name, **said)
        return go(_address(name), notice="limit-set")

    def ask_clear(self, visitor: Visitor, name: str) -> str:
        """GET: what would hold again."""
        del visitor
        limited = self._known(name)
        return render_template("console/limit_clear.html", **self._told(limited))

    def clear(self, visitor: Visitor, name: str) -> Any:
        """POST: what is configured holds again."""
        self._known(name)
        with changing():
            gone = self._operations.clear_limit(name)
            if gone:
                self._desk.audit(visitor, "limit.cleared", name)
        return go(_address(name), notice="limit-cleared" if gone else "limit-none")

    def _known(self, name: str) -> Limited:
        """What holds for it. Raises a `Problem` 404 for what can have no limit."""
        if wrong_name(name, self._desk.context.routes):
            raise Problem(404, "not_found", "There is no such limit.")
        (found,) = self._operations.limits([name])
        return found

    def _form(self, limited: Limited, sent: dict[str, str], errors: dict[str, str]) -> str:
        return render_template(
            "console/limit.html",
            fields=sent or _said(limited),
            errors=errors,
            words=WORDS,
            until=hops.UNTIL,
            **self._told(limited),
        )

    @staticmethod
    def _told(limited: Limited) -> dict[str, Any]:
        return {
            "name": limited.key,
            "told": limit_report.limit(limited),
            "here": _address(limited.key),
            "amount": limit_report.amount,
        }


def _address(name: str) -> str:
    return f"/console/limits/{quote(name, safe='')}"


def _typed(sent: dict[str, str]) -> dict[str, Any]:
    """The form as `shared.limiting` takes it; what is no number stays a text, and is refused."""
    found: dict[str, Any] = {}
    for name in FIELDS:
        text = sent.get(name, "")
        number: object = None if not text else hops.number_of(text)
        if isinstance(number, str) and name in _RATES:
            number = _fraction(number)
        found[name] = number
    return {
        **found,
        "seconds": hops.seconds_of(sent.get("seconds", "")),
        "reason": sent.get("reason", ""),
    }


def _fraction(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _said(limited: Limited) -> dict[str, str]:
    """What an operator has set, as the form has it; how long it holds is said anew."""
    override = limited.effective.override
    if override is None:
        return {}
    numbers = {name: getattr(override, name) for name in FIELDS}
    shown = {name: f"{each:g}" for name, each in numbers.items() if each is not None}
    return {**shown, "reason": override.reason}
