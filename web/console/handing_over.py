"""Links that owners make for others: sent by mail, or, where that cannot be, shown once."""

from __future__ import annotations

from typing import Any

from flask import render_template

from shared.accounts.actor import Actor, actor_of
from shared.accounts.people import Invited
from web.console.desk import Desk, Visitor
from web.console.entrance import host_of
from web.console.letters import Letter, Letters
from web.console.pages import go


class HandingOver:
    """What the pages about people have in common."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.letters = Letters(desk)
        self.host = host_of(desk)
        """The console's name, as letters say it."""

    def actor(self, visitor: Visitor) -> Actor:
        """Who does it, for the audit trail."""
        return actor_of(visitor.user, self._desk.client())

    def sent(self, made: Invited, url: str, letter: Letter, back: str, notice: str) -> Any:
        """Send a link and go back; where it cannot be sent, a page that shows it, once."""
        if self.letters.send(made.link.login, letter):
            return go(back, notice)
        return render_template(
            "console/person_link.html",
            url=url,
            made=made.link,
            back=back,
            can_send=self.letters.can_send,
        )
