"""Signing in by login and password, and out again.

Whatever is wrong is said alike, after the same work (B28). A session that the browser has had
before ends, and the new one has a new token (B26).
"""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, render_template, request

from shared.accounts.outcome import SignedIn, Wait
from shared.accounts.sign_in import SignIn
from shared.accounts.user import LONGEST_LOGIN
from web.console import cookies, letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import enter, refused, tell, wait_text
from web.console.pages import SIGN_IN, Pages, go, next_page, where_of

WRONG = "The address or the password is not right."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/sign-in` and `/console/sign-out`."""
    views = _Views(desk)
    pages.open_get("/sign-in", views.form)
    pages.open_post("/sign-in", views.attempt)
    pages.post("/sign-out", views.sign_out, None, levels=("password", "setup", "full"))
    pages.notices["signed-out"] = "You are signed out."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sign_in = SignIn(desk.accounts)

    def form(self, visitor: Visitor | None) -> Any:
        """Whoever is signed in already goes on."""
        where = next_page(request.args.get("next", ""))
        if visitor is not None:
            return go(where_of(visitor) or where)
        return self._page(where)

    def attempt(self, visitor: Visitor | None) -> Any:
        """Login and password."""
        desk, where = self._desk, next_page(request.form.get("next", ""))
        count = desk.context.meter.metrics.sign_in
        login = request.form.get("login", "")[:LONGEST_LOGIN]
        outcome = self._sign_in.attempt(login, request.form.get("password", ""), desk.client())
        if isinstance(outcome, Wait):
            count("waiting")
            return refused(self._page(where, login, wait_text(outcome)), outcome)
        if not isinstance(outcome, SignedIn):
            count("wrong")
            return refused(self._page(where, login, WRONG))
        if outcome.session.level != "password":
            count("done")
        if visitor is not None:
            desk.sessions.end(visitor.token)
        if outcome.device:
            tell(desk, outcome.user, letter_texts.signed_in)
        return enter(desk, outcome, where)

    def sign_out(self, visitor: Visitor) -> Response:
        """End this session."""
        self._sign_in.sign_out(visitor.token, visitor.user, self._desk.client())
        response = make_response(go(SIGN_IN, "signed-out"))
        cookies.drop(response, cookies.SESSION, secure=self._desk.secure)
        return response

    @staticmethod
    def _page(where: str, login: str = "", wrong: str = "") -> str:
        return render_template("console/sign_in.html", next=where, login=login, wrong=wrong)
