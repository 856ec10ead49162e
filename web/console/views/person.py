"""One person: role, sessions, second factor, and what owners do about them.

What changes is done by `shared.accounts.people`; here it is asked and told. Nobody does these
things to the own account, but for the role: the own page is for that.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import render_template, request

from shared.accounts.actor import Actor
from shared.accounts.first import link_url
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.accounts.user import ROLES, Role, User
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import tell
from web.console.handing_over import HandingOver
from web.console.pages import Pages, go
from web.errors import Problem, changing

_REFUSED = {
    "last_owner": "This is the last owner who can sign in. Make somebody else an owner first.",
    "not_now": "It is so already.",
}
_OWN = "This is your own account. You cannot do this to yourself; see your own page."


class Act(msgspec.Struct, frozen=True):
    """What an owner does to an account, in words."""

    title: str
    text: str
    button: str
    done: str
    tone: str = "danger"


ACTS = {
    "disable": Act(
        "Disable an account",
        "Signing in is refused from now on, all sessions end, and links for a new password count"
        " no more. What was done stays in the audit trail.",
        "Disable it",
        "The account is disabled.",
    ),
    "enable": Act(
        "Enable an account",
        "Signing in is possible again, with the password and the second factor it had.",
        "Enable it",
        "The account is enabled.",
        "primary",
    ),
    "end-sessions": Act(
        "End all sessions",
        "Every browser that is signed in is signed out. What was typed there and not sent is lost.",
        "End them",
        "All sessions were ended.",
    ),
    "unlock": Act(
        "Forget failed tries",
        "Somebody who has typed a wrong password or code too often may try again at once. Be sure"
        " that it was the person.",
        "Forget them",
        "The tries are forgotten.",
        "primary",
    ),
    "new-password": Act(
        "Send a link for a new password",
        "A link goes to the person by mail, or is shown to you where mail cannot be sent. The old"
        " password counts until it is used.",
        "Make the link",
        "A link for a new password was sent.",
        "primary",
    ),
    "second-factor": Act(
        "Remove a lost second factor",
        "Be sure that it is the person who asks, not somebody with the password. The second factor"
        " and its recovery codes are removed, all sessions end, and a password that would be too"
        " short alone counts no more. The person is told by mail, with a link for a new password.",
        "Remove it",
        "The second factor was removed. The person was told by mail, with a link.",
    ),
}


def register(pages: Pages, desk: Desk) -> None:
    """`/console/people/{id}`."""
    views = _Views(desk)
    pages.get("/people/<user_id>", views.look, "people")
    pages.post("/people/<user_id>/role", views.change_role, "people", confirm=True)
    path = "/people/<user_id>/<act>"
    pages.get(path, views.ask, "people", confirm=True)
    pages.post(path, views.act, "people", confirm=True)
    pages.notices |= {f"person_{name}": act.done for name, act in ACTS.items()}
    pages.notices["person_role"] = "The role is changed, and all sessions of the person ended."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._over = HandingOver(desk)
        self._people = People(desk.accounts)

    def look(self, visitor: Visitor, user_id: str) -> str:
        """GET /console/people/{id}."""
        return self._person(visitor, self._found(user_id))

    def change_role(self, visitor: Visitor, user_id: str) -> Any:
        """POST /console/people/{id}/role."""
        user, role = self._found(user_id), role_of(request.form.get("role", ""))
        if role is None:
            return self._person(visitor, user, "One of these."), 422
        with changing():
            came_of = self._people.change_role(self._over.actor(visitor), user.id, role)
        if isinstance(came_of, Refused):
            return self._person(visitor, user, _words(came_of)), 422
        return go(f"/console/people/{user.id}", "person_role")

    def ask(self, visitor: Visitor, user_id: str, act: str) -> str:
        """GET /console/people/{id}/{act}: what it does."""
        user = self._found(user_id, act)
        return self._asking(user, act, _OWN if user.id == visitor.user.id else "")

    def act(self, visitor: Visitor, user_id: str, act: str) -> Any:
        """POST /console/people/{id}/{act}."""
        user = self._found(user_id, act)
        if user.id == visitor.user.id:
            return self._asking(user, act, _OWN), 422
        actor = self._over.actor(visitor)
        with changing():
            if act in ("new-password", "second-factor"):
                return self._reset(actor, user, act)
            came_of = {
                "disable": self._people.disable,
                "enable": self._people.enable,
                "end-sessions": self._people.end_sessions,
                "unlock": self._people.unlock,
            }[act](actor, user.id)
        if isinstance(came_of, Refused):
            return self._asking(user, act, _words(came_of)), 422
        return go(f"/console/people/{user.id}", f"person_{act}")

    def _reset(self, actor: Actor, user: User, act: str) -> Any:
        removing = act == "second-factor"
        came_of = self._people.reset_link(actor, user.id, second_factor_too=removing)
        if isinstance(came_of, Refused):
            why = "The account is disabled: enable it first." if user.disabled else ""
            return self._asking(user, act, why or _words(came_of)), 422
        over = self._over
        if removing:
            tell(self._desk, user, letter_texts.second_factor_removed)
        link = link_url(self._desk.console, "reset", came_of.token)
        letter = letter_texts.reset(over.host, link, came_of.link.ends_ms)
        return over.sent(came_of, link, letter, f"/console/people/{user.id}", f"person_{act}")

    def _found(self, user_id: str, act: str = "") -> User:
        user = self._desk.users.get(user_id)
        if user is None or (act and act not in ACTS):
            raise Problem(404, "not_found", "There is no such person.")
        return user

    def _person(self, visitor: Visitor, user: User, error: str = "") -> str:
        return render_template(
            "console/person.html",
            user=user,
            own=user.id == visitor.user.id,
            roles=ROLES,
            error=error,
            sessions=self._desk.sessions.live(user),
        )

    @staticmethod
    def _asking(user: User, name: str, error: str = "") -> str:
        return render_template(
            "console/person_ask.html", user=user, name=name, act=ACTS[name], error=error
        )


def role_of(text: str) -> Role | None:
    """A role by its name."""
    return next((role for role in ROLES if role == text), None)


def _words(refused: Refused) -> str:
    if refused.why == "unknown":
        raise Problem(404, "not_found", "There is no such person.")
    return _REFUSED[refused.why]
