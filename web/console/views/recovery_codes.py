"""New recovery codes in place of those before."""

from __future__ import annotations

from typing import Any

from flask import render_template

from shared.accounts.outcome import Refused
from shared.accounts.own import Own
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import me_of, tell
from web.console.pages import Pages, go
from web.console.views.account import ACCOUNT


def register(pages: Pages, desk: Desk) -> None:
    """`/console/account/recovery-codes`."""
    views = _Views(desk)
    pages.get("/account/recovery-codes", views.ask, None, confirm=True)
    pages.post("/account/recovery-codes", views.make, None, confirm=True)


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._own = Own(desk.accounts)

    def ask(self, visitor: Visitor) -> Any:
        """Say what it means."""
        if visitor.user.second_factor != "totp":
            return go(ACCOUNT)
        left = len(visitor.user.recovery_codes)
        return render_template("console/account/new_recovery_codes.html", left=left)

    def make(self, visitor: Visitor) -> Any:
        """Make them, and show them this once."""
        codes = self._own.new_recovery_codes(me_of(self._desk, visitor))
        if isinstance(codes, Refused):
            return go(ACCOUNT)
        tell(self._desk, visitor.user, letter_texts.recovery_codes_changed)
        return render_template(
            "console/account/recovery_codes.html",
            codes=codes,
            done="Those before count no more.",
            next=ACCOUNT,
        )
