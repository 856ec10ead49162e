"""Changing one's own password. It ends all other sessions, and the user is told by mail."""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.outcome import SignedIn, Wait, Weak
from shared.accounts.own import Own
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import enter, me_of, refused, tell, wait_text
from web.console.new_passwords import against, asked
from web.console.pages import Pages
from web.console.views.account import ACCOUNT

_NOT_NOW = "Nothing was changed, because your account has changed meanwhile. Try again."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/account/password`."""
    views = _Views(desk)
    pages.get("/account/password", views.form, None, confirm=True)
    pages.post("/account/password", views.change, None, confirm=True)
    pages.notices["password-changed"] = (
        "Your password was changed. All your other sessions have ended."
    )


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._own = Own(desk.accounts)

    def form(self, visitor: Visitor) -> str:
        """What it will do, and the new one."""
        return self._page(visitor)

    def change(self, visitor: Visitor) -> Any:
        """Change it."""
        desk = self._desk
        outcome = self._own.change_password(me_of(desk, visitor), request.form.get("password", ""))
        if isinstance(outcome, SignedIn):
            tell(desk, outcome.user, letter_texts.password_changed)
            return enter(desk, outcome, ACCOUNT, "password-changed")
        if isinstance(outcome, Weak):
            return refused(self._page(visitor, error=against(outcome)))
        if isinstance(outcome, Wait):
            return refused(self._page(visitor, wait_text(outcome)), outcome)
        return refused(self._page(visitor, _NOT_NOW))

    def _page(self, visitor: Visitor, wrong: str = "", error: str = "") -> str:
        two_factor = visitor.user.second_factor == "totp"
        return render_template(
            "console/account/password.html",
            login=visitor.user.login,
            others=len(self._desk.sessions.live(visitor.user)) - 1,
            wrong=wrong,
            errors={"password": error},
            asked=asked(self._desk.console, two_factor=two_factor),
        )
