"""What somebody who is signed in must do before anything else: a second factor, or a new password.

It is the only page of the level `setup`.
"""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.levels import must_change
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Weak
from shared.accounts.own import Own
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import codes_page, enter, me_of, refused, tell, wait_text
from web.console.new_passwords import against, asked, shown
from web.console.pages import SETUP, Pages, go, next_page

_OLD = "Yours is older than {days} days."
_WANTED = "This installation wants one of everybody."
_SHORT = "Your password is too short to stand alone."
_WRONG_CODE = "This is not the code that the app shows now. Look at the clock of its device."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/setup`."""
    views = _Views(desk)
    pages.get("/setup", views.form, None, levels=("setup",))
    pages.post("/setup/password", views.password, None, levels=("setup",))
    pages.post("/setup/second-factor", views.second_factor, None, levels=("setup",))


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._own = Own(desk.accounts)

    def form(self, visitor: Visitor) -> str:
        """Whichever is to be done."""
        return self._page(visitor)

    def password(self, visitor: Visitor) -> Any:
        """A new one."""
        outcome = self._own.change_password(
            me_of(self._desk, visitor), request.form.get("password", "")
        )
        if isinstance(outcome, SignedIn):
            tell(self._desk, outcome.user, letter_texts.password_changed)
            return enter(self._desk, outcome, _next())
        if isinstance(outcome, Weak):
            return refused(self._page(visitor, {"password": against(outcome)}))
        if isinstance(outcome, Wait):
            return refused(self._page(visitor, wrong=wait_text(outcome)), outcome)
        return go(SETUP)

    def second_factor(self, visitor: Visitor) -> Any:
        """An app, by its first code."""
        sealed, code = request.form.get("sealed", ""), request.form.get("code", "")
        outcome = self._own.add_app(me_of(self._desk, visitor), sealed, code)
        if isinstance(outcome, Codes):
            tell(self._desk, outcome.signed_in.user, letter_texts.second_factor_set)
            return codes_page(self._desk, outcome, "The authenticator app is set up.", _next())
        if isinstance(outcome, Wait):
            return refused(self._page(visitor, wrong=wait_text(outcome)), outcome)
        if isinstance(outcome, Refused):
            return go(SETUP)
        return refused(self._page(visitor, {"code": _WRONG_CODE}))

    def _page(self, visitor: Visitor, errors: dict[str, str] | None = None, wrong: str = "") -> str:
        desk, user = self._desk, visitor.user
        common = {"errors": errors or {}, "wrong": wrong, "login": user.login, "next": _next()}
        if must_change(user, desk.console, desk.now_ms()):
            reason = _OLD.format(days=desk.console.password_max_age_days)
            two_factor = user.second_factor == "totp"
            return render_template(
                "console/setup.html",
                what="password",
                reason=reason,
                **common,
                asked=asked(desk.console, two_factor=two_factor),
            )
        me, sealed = me_of(desk, visitor), request.form.get("sealed", "")
        setup = self._own.shown_app(me, sealed) or self._own.new_app(me)
        reason = _WANTED if user.password_alone else _SHORT
        return render_template(
            "console/setup.html", what="app", reason=reason, factor=shown(setup), **common
        )


def _next() -> str:
    return next_page(request.values.get("next", ""))
