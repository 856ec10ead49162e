"""Deciding about what is set aside: say which, see what it touches, do it piece by piece.

A form of the lists begins a decision (`web.console.decisions`); its page counts, asks, and then
follows what is done. Without scripts each piece is a button; with them the page goes on by itself.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from flask import render_template, request
from werkzeug.datastructures import MultiDict

from shared.errors import StoreError
from shared.ids import parse_external
from shared.redrive import Redriven
from shared.store.records import Audited
from web.console.decisions import (
    ACTS,
    PIECE,
    Act,
    Decision,
    Decisions,
    begun,
    count_on,
    go_on,
    merged,
)
from web.console.desk import Desk, Visitor
from web.console.pages import Pages, go
from web.console.views.aside import WORDS, filtered, redrive_of
from web.errors import Problem, changing

_TRIES = 20
MOST_TICKED = 200

_replace = msgspec.structs.replace
_log = structlog.get_logger(__name__)


def register(pages: Pages, desk: Desk) -> None:
    """`/console/aside/decisions`."""
    views = _Views(desk)
    pages.post("/aside/decisions", views.begin, "operate")
    pages.get("/aside/decisions/<decision_id>", views.look, "operate")
    pages.post("/aside/decisions/<decision_id>/count", views.count, "operate")
    pages.post("/aside/decisions/<decision_id>/go", views.go, "operate")
    pages.notices["nothing_ticked"] = "Tick the messages first. Nothing was done."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._decisions = Decisions(desk.records)
        self._redrive = redrive_of(desk, PIECE)

    def begin(self, visitor: Visitor) -> Any:
        """POST /console/aside/decisions: which ones; the first piece is counted at once."""
        act = _act(request.form.get("act", ""))
        asked = filtered(request.form)
        if asked.errors:
            raise Problem(400, "bad_filter", "What it is filtered by is no text of one line.")
        wanted = asked.wanted
        if request.form.get("which") == "ticked":
            ids = [parse_external(each) for each in request.form.getlist("id")[:MOST_TICKED]]
            known = tuple(dict.fromkeys(each for each in ids if each is not None))
            if not known:
                return go(f"/console/aside/messages?{asked.query()}", "nothing_ticked")
            wanted = wanted.of(known)
        now = self._desk.now_ms()
        decision = count_on(begun(visitor.user.id, act, wanted, now), self._redrive, now)
        self._decisions.add(decision)
        return go(_address(decision))

    def look(self, visitor: Visitor, decision_id: str) -> str:
        """GET /console/aside/decisions/{id}: what it touches, or how far it is."""
        return self._shown(self._found(visitor, decision_id))

    def count(self, visitor: Visitor, decision_id: str) -> Any:
        """POST .../count: one more piece is looked at."""
        decision = self._found(visitor, decision_id)
        if decision.state == "asked" and not decision.is_counted:
            further = count_on(decision, self._redrive, self._desk.now_ms())
            if not self._decisions.write(further, decision):
                further = self._found(visitor, decision_id)
            decision = further
        return self._answer(decision)

    def go(self, visitor: Visitor, decision_id: str) -> Any:
        """POST .../go: one more piece is done."""
        decision = self._found(visitor, decision_id)
        unseen = decision.state == "asked" and not decision.counted.legs
        if decision.state == "done" or unseen:
            return self._answer(decision)
        if decision.state == "asked":  # Whatever dies after it, the trail has who decided.
            kind, told = decision.wanted.kind, _told(decision)
            entry = self._desk.audited(visitor, "aside.decided", kind, **told)
            self._desk.records.write((), [entry])
        with changing():
            after, came_of = go_on(decision, self._redrive)
        audited = self._audited(visitor, decision, came_of)
        try:
            after = self._kept(visitor, decision, after, came_of, audited)
        except StoreError as error:
            _log.warning("interrupted", reason=error, decision=decision.id, done=came_of.done)
            after = _replace(after, interrupted=True)
            return self._answer(after, unkept=True)
        return self._answer(after, unkept=after.interrupted)

    def _kept(
        self,
        visitor: Visitor,
        before: Decision,
        after: Decision,
        came_of: Redriven,
        audited: Audited,
    ) -> Decision:
        """Store how far it is. Where another request has done the same piece meanwhile, only what
        this one has done of it is added."""
        for _ in range(_TRIES):
            if self._decisions.write(after, before, [audited]):
                return after
            before = self._found(visitor, before.id)
            after = merged(before, came_of)
        self._desk.records.write((), [audited])
        return before

    def _audited(self, visitor: Visitor, decision: Decision, came_of: Redriven) -> Audited:
        details = {
            **_told(decision),
            "chosen": str(came_of.chosen),
            "done": str(came_of.done),
        }
        if came_of.in_doubt:
            details["in_doubt"] = str(came_of.in_doubt)
        act = "aside.requeued" if decision.act == "requeue" else "aside.dropped"
        return self._desk.audited(visitor, act, decision.wanted.kind, **details)

    def _found(self, visitor: Visitor, decision_id: str) -> Decision:
        decision = self._decisions.find(visitor.user.id, decision_id)
        if decision is None:
            raise Problem(404, "not_found", "There is no such decision, or it is over a day old.")
        return decision

    def _answer(self, decision: Decision, *, unkept: bool = False) -> Any:
        """A part for a page that goes on by itself; for a form the page anew."""
        if "HX-Request" in request.headers:
            return self._shown(decision, "console/decision_part.html")
        if unkept:
            return self._shown(decision), 503
        return go(_address(decision))

    def _shown(self, decision: Decision, template: str = "console/decision.html") -> str:
        return render_template(
            template,
            decision=decision,
            wanted=decision.wanted,
            address=_address(decision),
            words=WORDS[decision.wanted.kind],
            back=filtered(MultiDict(decision.wanted.named())).query(),
        )


def _address(decision: Decision) -> str:
    return f"/console/aside/decisions/{decision.id}"


def _told(decision: Decision) -> dict[str, str]:
    """What the audit trail tells of a decision."""
    told = {**decision.wanted.named(), "to": decision.act, "decision": decision.id}
    if decision.wanted.ids:
        told["ticked"] = str(len(decision.wanted.ids))
    return told


def _act(text: str) -> Act:
    for act in ACTS:
        if act == text:
            return act
    raise Problem(400, "bad_act", "Queue them again, or drop them.")
