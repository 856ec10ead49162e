"""The second step of signing in: a code of the app, a recovery code, or one by mail.

Nothing else is reached at this level: every other page sends here (B27).
"""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.mailed_codes import SECONDS
from shared.accounts.outcome import SignedIn, Wait
from shared.accounts.sign_in import SignIn
from web.console import letter_texts
from web.console.code_letters import NOT_SENT, send_code
from web.console.desk import Desk, Visitor
from web.console.entrance import enter, refused, tell, wait_text
from web.console.pages import Pages, next_page

WRONG = "That is not right, or was used before. A code of an app changes every 30 seconds."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/sign-in/second-step`."""
    views = _Views(desk)
    pages.get("/sign-in/second-step", views.form, None, levels=("password",))
    pages.post("/sign-in/second-step", views.check, None, levels=("password",))
    pages.post("/sign-in/second-step/mail", views.mail, None, levels=("password",))


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sign_in = SignIn(desk.accounts)

    def form(self, visitor: Visitor) -> str:
        """What is asked for."""
        return self._page(visitor, next_page(request.args.get("next", "")))

    def check(self, visitor: Visitor) -> Any:
        """A code."""
        desk, where = self._desk, next_page(request.form.get("next", ""))
        code = request.form.get("code", "") or request.form.get("recovery", "")
        left, count = len(visitor.user.recovery_codes), desk.context.meter.metrics.sign_in
        outcome = self._sign_in.second_step(
            visitor.token, visitor.session, visitor.user, code, desk.client()
        )
        if isinstance(outcome, Wait):
            count("waiting")
            return refused(self._page(visitor, where, wait_text(outcome)), outcome)
        if not isinstance(outcome, SignedIn):
            count("second_step_wrong")
            return refused(self._page(visitor, where, WRONG))
        count("done")
        if len(outcome.user.recovery_codes) < left:
            tell(desk, outcome.user, letter_texts.recovery_code_used)
        if outcome.device:
            tell(desk, outcome.user, letter_texts.signed_in)
        return enter(desk, outcome, where)

    def mail(self, visitor: Visitor) -> Any:
        """Send a code."""
        desk, where = self._desk, next_page(request.form.get("next", ""))
        sent = send_code(desk, self._sign_in, visitor)
        if isinstance(sent, Wait):
            return refused(self._page(visitor, where, wait_text(sent)), sent)
        if not sent:
            return refused(self._page(visitor, where, NOT_SENT))
        return self._page(visitor, where, mailed=True)

    @staticmethod
    def _page(visitor: Visitor, where: str, wrong: str = "", *, mailed: bool = False) -> str:
        kind = request.form.get("kind", "")
        return render_template(
            "console/second_step.html",
            next=where,
            wrong=wrong,
            by_mail=visitor.user.second_factor == "email",
            has_recovery=bool(visitor.user.recovery_codes),
            mailed=mailed or kind == "email",
            kind=kind,
            minutes=SECONDS // 60,
        )
