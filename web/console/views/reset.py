"""Asking for a link to choose a new password.

Whoever asks gets the same answer after the same work, and what there is to do is done beside it
(B28). The link does not take the place of a second factor (B27).
"""

from __future__ import annotations

from typing import Any

from flask import render_template, request

from shared.accounts.actor import Client
from shared.accounts.first import link_url
from shared.accounts.links import SECONDS
from shared.accounts.outcome import Wait
from shared.accounts.sign_in import SignIn
from shared.accounts.user import LONGEST_LOGIN
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import host_of, refused, wait_text
from web.console.letters import Letters
from web.console.pages import Pages

_SECONDS = SECONDS["reset"]


def register(pages: Pages, desk: Desk) -> None:
    """`/console/reset`; the link itself is of `links`."""
    views = _Views(desk)
    pages.open_get("/reset", views.form)
    pages.open_post("/reset", views.ask)


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sign_in = SignIn(desk.accounts)
        self._letters = Letters(desk)

    def form(self, visitor: Visitor | None) -> str:
        """For whom."""
        del visitor
        return self._page()

    def ask(self, visitor: Visitor | None) -> Any:
        """Send a link, if there is somebody to send it to."""
        del visitor
        login = request.form.get("login", "")[:LONGEST_LOGIN]
        if not self._letters.can_send:
            return refused(self._page(login))
        client = self._desk.client()
        wait = self._sign_in.reset_wait(login, client)
        if wait:
            return refused(self._page(login, wait_text(wait)), wait)
        self._desk.afterwards.do(lambda: self._send(login, client))
        return self._page(asked=True)

    def _send(self, login: str, client: Client) -> None:
        found = self._sign_in.ask_reset(login, client)
        if found is None or isinstance(found, Wait):
            return
        user, token = found
        link = link_url(self._desk.console, "reset", token)
        ends = self._desk.now_ms() + _SECONDS * 1000
        self._letters.send(user.login, letter_texts.reset(host_of(self._desk), link, ends))

    def _page(self, login: str = "", wrong: str = "", *, asked: bool = False) -> str:
        return render_template(
            "console/reset_ask.html",
            login=login,
            wrong=wrong,
            asked=asked,
            can_send=self._letters.can_send,
            minutes=_SECONDS // 60,
        )
