"""What operators do about a destination: suspend, resume, flush. Asked first, done by a POST."""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.flushing import Flushed, flush
from shared.model.message import CLASSES
from shared.suspension import wrong_reason, wrong_seconds
from web.console import hops
from web.console.desk import Desk, Visitor
from web.console.pages import Pages, go
from web.errors import Problem, changing
from web.views.destinations import FLUSH_MOST

_NOTICES = {
    "destination-suspended": "Suspended. Its mail stays queued until it is resumed.",
    "destination-resumed": "Resumed. Its mail goes again.",
    "destination-not-still": "It did not stand still, and was not slowed down.",
    "destination-flushed": "Its deferred mail is due now.",
    "destination-flushed-part": "A part of its deferred mail is due now. Flush again for the rest.",
    "destination-nothing-deferred": "Nothing was deferred there.",
}


def register(pages: Pages, desk: Desk) -> None:
    """`/console/destinations/NAME/suspend`, `resume` and `flush`."""
    views = _Views(desk)
    pages.get("/destinations/<name>/suspend", views.ask_suspend, "operate")
    pages.post("/destinations/<name>/suspend", views.suspend, "operate")
    pages.get("/destinations/<name>/resume", views.ask_resume, "operate")
    pages.post("/destinations/<name>/resume", views.resume, "operate")
    pages.get("/destinations/<name>/flush", views.ask_flush, "operate")
    pages.post("/destinations/<name>/flush", views.flush, "operate")
    pages.notices |= _NOTICES


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._operations = desk.context.services.operations

    def ask_suspend(self, visitor: Visitor, name: str) -> str:
        """GET: what a suspension touches."""
        del visitor
        return self._suspending(hops.find(self._desk, name), {}, {})

    def suspend(self, visitor: Visitor, name: str) -> Any:
        """POST: keep its mail queued."""
        found, fields = hops.find(self._desk, name), hops.fields()
        seconds, reason = hops.seconds_of(fields.get("seconds", "")), fields.get("reason", "")
        wrong = {"seconds": wrong_seconds(seconds), "reason": wrong_reason(reason)}
        errors = {field: text for field, text in wrong.items() if text}
        if errors:
            return self._suspending(found, fields, errors), 422
        until = self._desk.now_ms() + seconds * 1000 if isinstance(seconds, int) else None
        with changing():
            self._operations.suspend(name, until, reason)
            self._audit(
                visitor, "suspended", found, seconds="" if seconds is None else str(seconds)
            )
        return go(hops.address(name), notice="destination-suspended")

    def ask_resume(self, visitor: Visitor, name: str) -> str:
        """GET: what resuming lets go."""
        del visitor
        return self._shown("resume", hops.find(self._desk, name))

    def resume(self, visitor: Visitor, name: str) -> Any:
        """POST: lift its suspension, its back-off, and what replies slowed it down."""
        found = hops.find(self._desk, name)
        with changing():
            stood_still = self._operations.resume(name)
            if stood_still:
                self._audit(visitor, "resumed", found)
        return go(
            hops.address(name),
            notice="destination-resumed" if stood_still else "destination-not-still",
        )

    def ask_flush(self, visitor: Visitor, name: str) -> str:
        """GET: what a flush makes due."""
        del visitor
        return self._shown("flush", hops.find(self._desk, name), most=FLUSH_MOST)

    def flush(self, visitor: Visitor, name: str) -> Any:
        """POST: make deferred mail due now."""
        found = hops.find(self._desk, name)
        wanted = request.form.get("class", "")
        if wanted not in ("", *CLASSES):
            raise Problem(422, "bad_value", "There is no such class.")
        rows = [each for each in found.rows if wanted in ("", each.message_class)]
        with changing():
            told = flush(self._operations, rows, most=FLUSH_MOST)
            if told.flushed or told.interrupted:
                self._audit_flush(visitor, name, wanted, told)
        if told.interrupted:
            raise _interrupted(told)
        return go(hops.address(name), notice=_came_of(told))

    def _audit_flush(self, visitor: Visitor, name: str, wanted: str, told: Flushed) -> None:
        self._desk.audit(
            visitor,
            "destination.flushed",
            name,
            **{"class": wanted or "all", "deferred": str(told.chosen)},
            flushed=str(told.flushed),
        )

    def _audit(self, visitor: Visitor, act: str, found: hops.Found, **more: str) -> None:
        counts = {"waiting": str(found.waiting), "in_flight": str(found.in_flight)}
        self._desk.audit(visitor, f"destination.{act}", found.name, **counts, **more)

    def _suspending(self, found: hops.Found, fields: dict[str, str], errors: dict[str, str]) -> str:
        return self._shown("suspend", found, until=hops.UNTIL, fields=fields, errors=errors)

    @staticmethod
    def _shown(act: str, found: hops.Found, **more: Any) -> str:
        return render_template(
            f"console/destination_{act}.html", found=found, back=hops.address(found.name), **more
        )


def _came_of(told: Flushed) -> str:
    if not told.chosen:
        return "destination-nothing-deferred"
    part = told.flushed and told.flushed < told.chosen
    return "destination-flushed-part" if part else "destination-flushed"


def _interrupted(told: Flushed) -> Problem:
    doubt = f" and at most {told.in_doubt:,} more" if told.in_doubt else ""
    return Problem(
        503,
        "interrupted",
        f"{told.flushed:,} of {told.chosen:,} messages{doubt} are due now, then the store went"
        " away. Flush again for the rest.",
    )
