"""One's own second factor: set up an app by its first code, move to another one, or remove it."""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.levels import factor_of
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait
from shared.accounts.own import Own
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import codes_page, enter, me_of, refused, tell, wait_text
from web.console.new_passwords import shown
from web.console.pages import Pages, go
from web.console.views.account import ACCOUNT

_WRONG = "This is not the code that the app shows now. Look at the clock of its device."
_WRONG_ONE = "One of the two codes is not right, or was used before. Wait for the next ones."
_WRONG_CODE = "That is not right, or was used before."
_SHORT = (
    "Your password is too short to stand without the app: change it first. It may stay as it is"
    " with another app."
)


def register(pages: Pages, desk: Desk) -> None:
    """`/console/account/second-factor`."""
    views = _Views(desk)
    pages.get("/account/second-factor", views.form, None, confirm=True)
    pages.post("/account/second-factor", views.take, None, confirm=True)
    pages.get("/account/second-factor/remove", views.ask, None, confirm=True)
    pages.post("/account/second-factor/remove", views.remove, None, confirm=True)
    pages.notices["second-factor-removed"] = "You sign in by your password alone now."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._own = Own(desk.accounts)

    def form(self, visitor: Visitor) -> str:
        """What an app reads, and its first code."""
        return self._page(visitor)

    def take(self, visitor: Visitor) -> Any:
        """Take the app."""
        desk, form = self._desk, request.form
        moves = visitor.user.second_factor == "totp"
        outcome = self._own.add_app(
            me_of(desk, visitor),
            form.get("sealed", ""),
            form.get("code", ""),
            form.get("old_code", ""),
        )
        if isinstance(outcome, Codes):
            tell(desk, outcome.signed_in.user, letter_texts.second_factor_set)
            return codes_page(desk, outcome, "The authenticator app is set up.", ACCOUNT)
        if isinstance(outcome, Wait):
            return refused(self._page(visitor, wait_text(outcome)), outcome)
        if isinstance(outcome, Refused):
            return refused(self._page(visitor, "That page was too old. Scan it once more."))
        return refused(self._page(visitor, _WRONG_ONE if moves else _WRONG))

    def ask(self, visitor: Visitor) -> Any:
        """Say what removing it means."""
        if visitor.user.second_factor == "none":
            return go(ACCOUNT)
        return self._removing(visitor)

    def remove(self, visitor: Visitor) -> Any:
        """Remove it, with a code of it."""
        desk, code = self._desk, request.form.get("code", "")
        outcome = self._own.remove_second_factor(me_of(desk, visitor), code)
        if isinstance(outcome, SignedIn):
            tell(desk, outcome.user, letter_texts.second_factor_removed)
            return enter(desk, outcome, ACCOUNT, "second-factor-removed")
        if isinstance(outcome, Wait):
            return refused(self._removing(visitor, wait_text(outcome)), outcome)
        if isinstance(outcome, Refused):
            return go(ACCOUNT) if outcome.why == "not_now" else refused(self._removing(visitor))
        return refused(self._removing(visitor, _WRONG_CODE))

    def _page(self, visitor: Visitor, wrong: str = "") -> str:
        me, sealed = me_of(self._desk, visitor), request.form.get("sealed", "")
        setup = self._own.shown_app(me, sealed) or self._own.new_app(me)
        return render_template(
            "console/account/second_factor.html",
            moves=visitor.user.second_factor == "totp",
            factor=shown(setup),
            wrong=wrong,
        )

    def _removing(self, visitor: Visitor, wrong: str = "") -> str:
        user, console = visitor.user, self._desk.console
        return render_template(
            "console/account/remove_second_factor.html",
            short="" if user.password_alone else _SHORT,
            by_mail=factor_of(user, console) == "email",
            required=console.require_two_factor,
            others=len(self._desk.sessions.live(user)) - 1,
            wrong=wrong,
        )
