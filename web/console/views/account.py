"""One's own account: name, sessions, known browsers, and the way to password and second factor."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import render_template, request

from shared.accounts.levels import factor_of
from shared.accounts.logins import LONGEST_NAME
from shared.accounts.outcome import SignedIn
from shared.accounts.own import Own
from shared.accounts.sessions import Session
from web.console.agents import browser_of
from web.console.desk import Desk, Visitor
from web.console.entrance import enter, me_of, refused
from web.console.letters import Letters
from web.console.pages import Pages, go
from web.errors import Problem

ACCOUNT = "/console/account"


def register(pages: Pages, desk: Desk) -> None:
    """`/console/account`, and the forms on it."""
    views = _Views(desk)
    pages.get("/account", views.page, None)
    pages.post("/account/name", views.name, None)
    pages.post("/account/sessions/<session_id>/end", views.end, None)
    pages.post("/account/sessions/end-others", views.end_others, None)
    pages.post("/account/devices/forget", views.forget, None, confirm=True)
    pages.notices["name-changed"] = "Your name was changed."
    pages.notices["session-ended"] = "That session has ended."
    pages.notices["sessions-ended"] = "All your other sessions have ended."
    pages.notices["devices-forgotten"] = "No browser is known any more."


class Row(msgspec.Struct, frozen=True):
    """A session, as it is shown."""

    id: str
    browser: str
    address: str
    began_ms: int
    seen_ms: int
    here: bool

    @classmethod
    def of(cls, session: Session, visitor: Visitor) -> Row:
        """For this visitor's page."""
        return cls(
            session.id,
            browser_of(session.agent),
            session.address,
            session.began_ms,
            session.seen_ms,
            session.id == visitor.session.id,
        )


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._own = Own(desk.accounts)
        self._letters = Letters(desk)

    def page(self, visitor: Visitor) -> str:
        """All of it."""
        return self._html(visitor, visitor.user.name)

    def name(self, visitor: Visitor) -> Any:
        """Another name."""
        name = request.form.get("name", "")
        if len(name) > LONGEST_NAME or not self._own.rename(me_of(self._desk, visitor), name):
            wrong = f"A name has 1 to {LONGEST_NAME} characters."
            return refused(self._html(visitor, name, {"name": wrong}))
        return go(ACCOUNT, "name-changed")

    def end(self, visitor: Visitor, session_id: str) -> Any:
        """End one session."""
        if not self._own.end_session(me_of(self._desk, visitor), session_id):
            raise Problem(404, "not_found", "You have no such session (any more).")
        return go(ACCOUNT, "session-ended")

    def end_others(self, visitor: Visitor) -> Any:
        """End all but this one, which has a new token then."""
        outcome = self._own.end_other_sessions(me_of(self._desk, visitor))
        if isinstance(outcome, SignedIn):
            return enter(self._desk, outcome, ACCOUNT, "sessions-ended")
        return go(ACCOUNT)

    def forget(self, visitor: Visitor) -> Any:
        """Forget known browsers."""
        self._own.forget_devices(me_of(self._desk, visitor))
        return go(ACCOUNT, "devices-forgotten")

    def _html(self, visitor: Visitor, name: str, errors: dict[str, str] | None = None) -> str:
        desk, user = self._desk, visitor.user
        sessions = [Row.of(each, visitor) for each in desk.sessions.live(user)]
        return render_template(
            "console/account.html",
            user=user,
            factor=factor_of(user, desk.console),
            name=name,
            errors=errors or {},
            sessions=sessions,
            others=sum(not each.here for each in sessions),
            mail_codes=desk.console.email_codes and self._letters.can_send,
        )
