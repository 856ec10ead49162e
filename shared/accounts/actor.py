"""Who does something, for the audit trail: somebody's browser, or the command line."""

from __future__ import annotations

import msgspec

from shared.accounts.user import User
from shared.store.records import Audited


class Client(msgspec.Struct, frozen=True):
    """A browser, and what it asks with."""

    address: str = ""
    agent: str = ""
    device: str = ""
    """The token of its cookie; empty: it has never signed in."""
    request_id: str = ""


class Actor(msgspec.Struct, frozen=True):
    """Who does it, from where."""

    who: str
    """The user's id, `cli` or `system`."""
    login: str = ""
    client: Client = Client()

    def audited(self, act: str, what: str = "", **details: str) -> Audited:
        """The entry of the audit trail."""
        return Audited(
            act=act,
            who=self.who,
            login=self.login,
            address=self.client.address,
            what=what,
            details=details,
            request_id=self.client.request_id,
        )


CLI = Actor("cli")


def actor_of(user: User, client: Client) -> Actor:
    """A user at a browser."""
    return Actor(user.id, user.login, client)
