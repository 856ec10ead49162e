"""What may be done to a message: cancel, reschedule, queue again, drop. Each asks first.

The page that asks says whom it would touch. What came of it is the store's word: between page and
act a worker may have been quicker. Rules are those of the API (`web.changes`, `shared.redrive`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import render_template, request

from shared import report
from shared.redrive import Choice, Redrive, Redriven
from shared.store.ports import ChangeKind, Stored
from shared.times import shown
from web import changes
from web.console.became import kinds_aside
from web.console.desk import Desk, Visitor
from web.console.moments import NO_TIME, field_value, moment_of
from web.console.pages import Pages, go
from web.console.views.message import Finder
from web.errors import changing, interrupted
from web.validation.choice import KINDS
from web.validation.report import Report


def register(pages: Pages, desk: Desk) -> None:
    """`/console/messages/ID/ACT`: a page that asks, and its form."""
    views = _Views(desk)
    for name, ask, act in (
        ("cancel", views.ask_cancel, views.cancel),
        ("reschedule", views.ask_reschedule, views.reschedule),
        ("requeue", views.ask_requeue, views.requeue),
        ("drop", views.ask_drop, views.drop),
    ):
        pages.get(f"/messages/<identifier>/{name}", ask, "change")
        pages.post(f"/messages/<identifier>/{name}", act, "change")
    pages.notices |= {
        "message-cancelled": "Cancelled: who was still waiting gets no copy.",
        "message-rescheduled": "The message has its new time.",
        "message-requeued": "Queued again: a worker takes it next.",
        "message-dropped": "Dropped: it is not tried again.",
    }


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._services = desk.context.services
        self._find = Finder(desk)
        services = self._services
        self._redrive = Redrive(
            services.spool, services.operations, services.settings.retry, services.clock
        )

    def _ask(self, stored: Stored, act: str, status: int = 200, **more: Any) -> Any:
        body = render_template(
            f"console/message_{act}.html",
            message=self._find.became(stored, -1),
            kinds=kinds_aside(stored),
            **more,
        )
        return body, status

    # -- cancel, reschedule ------------------------------------------------------------------

    def ask_cancel(self, visitor: Visitor, identifier: str) -> Any:
        """Says who would get no copy."""
        del visitor
        return self._ask(self._find.stored(identifier), "cancel")

    def cancel(self, visitor: Visitor, identifier: str) -> Any:
        """Cancels what is still open."""
        stored = self._find.stored(identifier)
        count = len(self._find.became(stored, -1).cancellable)
        kind = changes.cancel(self._services, stored)
        again = self._changed(kind, identifier)
        if again is not None:
            return self._ask(again[0], "cancel", 409, refusal=again[1])
        self._desk.audit(visitor, "message.cancelled", identifier, recipients=str(count))
        return go(f"/console/messages/{identifier}", "message-cancelled")

    def ask_reschedule(self, visitor: Visitor, identifier: str) -> Any:
        """Asks for the new time."""
        del visitor
        stored = self._find.stored(identifier)
        at_ms = max(stored.head.send_at_ms or 0, self._desk.now_ms())
        return self._ask(stored, "reschedule", typed=field_value(at_ms), error="")

    def reschedule(self, visitor: Visitor, identifier: str) -> Any:
        """Gives it that time."""
        stored = self._find.stored(identifier)
        typed = request.form.get("send_at", "")[:64]
        at_ms, found = moment_of(typed), Report()
        send_at = changes.send_at_of(shown(at_ms), self._services, stored, found)
        if send_at is None:
            error = NO_TIME if at_ms is None else found.errors[0].detail
            return self._ask(stored, "reschedule", 422, typed=typed, error=error)
        kind = changes.reschedule(self._services, stored, send_at)
        again = self._changed(kind, identifier)
        if again is not None:
            return self._ask(again[0], "reschedule", 409, typed=typed, refusal=again[1])
        at = shown(send_at) or ""
        self._desk.audit(visitor, "message.rescheduled", identifier, send_at=at)
        return go(f"/console/messages/{identifier}", "message-rescheduled")

    def _changed(self, kind: ChangeKind, identifier: str) -> tuple[Stored, str] | None:
        """The message as it is now, and why it was not changed; None: it was."""
        if kind is ChangeKind.CHANGED:
            return None
        stored = self._find.stored(identifier)
        problem = changes.refusal(kind, stored)
        return stored, problem.detail if problem else ""

    # -- what is set aside -------------------------------------------------------------------

    def ask_requeue(self, visitor: Visitor, identifier: str) -> Any:
        """Says whose copies would be tried again."""
        del visitor
        return self._ask(self._find.stored(identifier), "requeue")

    def ask_drop(self, visitor: Visitor, identifier: str) -> Any:
        """Says whose copies would be given up."""
        del visitor
        return self._ask(self._find.stored(identifier), "drop")

    def requeue(self, visitor: Visitor, identifier: str) -> Any:
        """Queues again what is set aside."""
        return self._decide(visitor, identifier, "requeue", self._redrive.requeue)

    def drop(self, visitor: Visitor, identifier: str) -> Any:
        """Cancels what is open in it."""
        return self._decide(visitor, identifier, "drop", self._redrive.drop)

    def _decide(
        self, visitor: Visitor, identifier: str, act: str, decide: Callable[..., Redriven]
    ) -> Any:
        stored = self._find.stored(identifier)
        recipients = sum(kinds_aside(stored).values())
        with changing():
            came_of = decide(Choice(kinds=KINDS, message_ids=(stored.id,)))
        if came_of.interrupted:
            raise interrupted(came_of.interrupted, came_of.done, report.redriven(came_of))
        if not came_of.done:
            refusal = "Nothing of this message is set aside (any more). Nothing was done."
            return self._ask(self._find.stored(identifier), act, 409, refusal=refusal)
        past = {"requeue": "requeued", "drop": "dropped"}[act]
        details = {"legs": str(came_of.done), "recipients": str(recipients)}
        self._desk.audit(visitor, f"message.{past}", identifier, **details)
        return go(f"/console/messages/{identifier}", f"message-{past}")
