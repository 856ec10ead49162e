"""People: who may use the console, and invitations.

What changes is done by `shared.accounts.people`; here it is asked, told, and sent by mail.
"""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.first import link_url
from shared.accounts.links import Link
from shared.accounts.outcome import Refused
from shared.accounts.people import Invited, People
from shared.accounts.user import ROLES
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.handing_over import HandingOver
from web.console.pages import Pages, go
from web.console.views.person import role_of
from web.errors import Problem, changing

PAGE = 200
_REFUSED = {
    "login": "This is no e-mail address.",
    "taken": "Somebody has an account with this address already.",
}


def register(pages: Pages, desk: Desk) -> None:
    """`/console/people`, `/console/people/invitations`."""
    views = _Views(desk)
    pages.get("/people", views.index, "people")
    pages.get("/people/invite", views.form, "people", confirm=True)
    pages.post("/people/invitations", views.invite, "people", confirm=True)
    invitation = "/people/invitations/<link_id>"
    pages.post(f"{invitation}/resend", views.resend, "people", confirm=True)
    pages.post(f"{invitation}/withdraw", views.withdraw, "people", confirm=True)
    pages.notices["invited"] = "The invitation was sent."
    pages.notices["invitation_withdrawn"] = "The invitation is withdrawn: its link works no more."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._over = HandingOver(desk)
        self._people = People(desk.accounts)

    def index(self, visitor: Visitor) -> str:
        """GET /console/people."""
        del visitor
        after = request.args.get("after", "")
        users = [user for user in self._desk.users.all() if user.login > after]
        rows = users[:PAGE]
        return render_template(
            "console/people.html",
            users=rows,
            invitations=[] if after else self._desk.accounts.links.invitations(),
            following=rows[-1].login if len(users) > PAGE else "",
            begun=bool(after),
        )

    def form(self, visitor: Visitor) -> str:
        """GET /console/people/invite."""
        del visitor
        return self._form()

    def invite(self, visitor: Visitor) -> Any:
        """POST /console/people/invitations."""
        login, name = (request.form.get(each, "")[:1024] for each in ("login", "name"))
        role = role_of(request.form.get("role", ""))
        if role is None:
            return self._form(login, name, "", {"role": "One of these."}), 422
        with changing():
            came_of = self._people.invite(self._over.actor(visitor), login, name, role)
        if isinstance(came_of, Refused):
            return self._form(login, name, role, {"login": _REFUSED[came_of.why]}), 422
        return self._invited(visitor, came_of)

    def resend(self, visitor: Visitor, link_id: str) -> Any:
        """POST /console/people/invitations/{id}/resend: a new link; the one before ends."""
        link = self._invitation(link_id)
        with changing():
            came_of = self._people.invite(
                self._over.actor(visitor), link.login, link.name, link.role
            )
        if isinstance(came_of, Refused):
            raise Problem(409, "conflict", _REFUSED[came_of.why])
        return self._invited(visitor, came_of)

    def withdraw(self, visitor: Visitor, link_id: str) -> Any:
        """POST /console/people/invitations/{id}/withdraw."""
        with changing():
            if not self._people.withdraw(self._over.actor(visitor), link_id):
                raise Problem(404, "not_found", "There is no such invitation, or not any more.")
        return go("/console/people", "invitation_withdrawn")

    def _invited(self, visitor: Visitor, invited: Invited) -> Any:
        link = link_url(self._desk.console, "invitation", invited.token)
        by = visitor.user.name or visitor.user.login
        letter = letter_texts.invitation(self._over.host, by, link, invited.link.ends_ms)
        return self._over.sent(invited, link, letter, "/console/people", "invited")

    def _invitation(self, link_id: str) -> Link:
        for link in self._desk.accounts.links.invitations():
            if link.id == link_id:
                return link
        raise Problem(404, "not_found", "There is no such invitation, or not any more.")

    def _form(
        self, login: str = "", name: str = "", role: str = "reader", errors: Any = None
    ) -> str:
        return render_template(
            "console/person_invite.html",
            login=login,
            name=name,
            role=role,
            errors=errors or {},
            roles=ROLES,
            can_send=self._over.letters.can_send,
        )
