"""Codes by mail as one's second factor: weaker than an app, and only where settings allow it."""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.mailed_codes import SECONDS
from shared.accounts.outcome import SignedIn, Wait
from shared.accounts.own import Own
from shared.accounts.sign_in import SignIn
from web.console import letter_texts
from web.console.code_letters import NOT_SENT, send_code
from web.console.desk import Desk, Visitor
from web.console.entrance import enter, me_of, refused, tell, wait_text
from web.console.pages import Pages
from web.console.views.account import ACCOUNT

_WRONG = "That is not right, or is too old. After five wrong ones you need another code."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/account/second-factor/mail`; a code is also what removing it takes."""
    views = _Views(desk)
    pages.get("/account/second-factor/mail", views.form, None, confirm=True)
    pages.post("/account/second-factor/mail", views.take, None, confirm=True)
    pages.post("/account/second-factor/mail/code", views.send, None, confirm=True)
    pages.notices["mail-codes-on"] = "A code by mail is your second step from now on."
    pages.notices["code-sent"] = "A code is on its way to your address."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._own = Own(desk.accounts)
        self._sign_in = SignIn(desk.accounts)

    def form(self, visitor: Visitor) -> str:
        """What it is, and the way to a first code."""
        return self._page(visitor)

    def send(self, visitor: Visitor) -> Any:
        """Mail a code, for the form where it was asked for."""
        code = send_code(self._desk, self._sign_in, visitor)
        if isinstance(code, Wait):
            return refused(self._page(visitor, wait_text(code)), code)
        if not code:
            return refused(self._page(visitor, NOT_SENT))
        return self._page(visitor, mailed=True)

    def take(self, visitor: Visitor) -> Any:
        """The first code turns it on."""
        desk, code = self._desk, request.form.get("code", "")
        outcome = self._own.add_mail(me_of(desk, visitor), code)
        if isinstance(outcome, SignedIn):
            tell(desk, outcome.user, letter_texts.second_factor_set)
            return enter(desk, outcome, ACCOUNT, "mail-codes-on")
        if isinstance(outcome, Wait):
            return refused(self._page(visitor, wait_text(outcome), mailed=True), outcome)
        return refused(self._page(visitor, _WRONG, mailed=True))

    def _page(self, visitor: Visitor, wrong: str = "", *, mailed: bool = False) -> str:
        return render_template(
            "console/account/mail_codes.html",
            on=visitor.user.second_factor == "email",
            login=visitor.user.login,
            mailed=mailed,
            wrong=wrong,
            minutes=SECONDS // 60,
        )
