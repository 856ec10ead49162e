"""The password once more, before what is sensitive."""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.outcome import SignedIn, Wait
from shared.accounts.sign_in import SignIn
from web.console.desk import Desk, Visitor
from web.console.entrance import refused, wait_text, with_cookies
from web.console.pages import Pages, go, next_page

WRONG = "That is not your password."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/confirm`."""
    views = _Views(desk)
    pages.get("/confirm", views.form, None)
    pages.post("/confirm", views.check, None)


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sign_in = SignIn(desk.accounts)

    def form(self, visitor: Visitor) -> str:
        """Ask for it."""
        return self._page(visitor, next_page(request.args.get("next", "")))

    def check(self, visitor: Visitor) -> Any:
        """On to where it was asked for, under a new token."""
        desk, where = self._desk, next_page(request.form.get("next", ""))
        password = request.form.get("password", "")
        outcome = self._sign_in.confirm(
            visitor.token, visitor.session, visitor.user, password, desk.client()
        )
        if isinstance(outcome, Wait):
            return refused(self._page(visitor, where, wait_text(outcome)), outcome)
        if not isinstance(outcome, SignedIn):
            return refused(self._page(visitor, where, WRONG))
        return with_cookies(desk, go(where), outcome)

    @staticmethod
    def _page(visitor: Visitor, where: str, wrong: str = "") -> str:
        return render_template(
            "console/confirm.html", next=where, wrong=wrong, login=visitor.user.login
        )
