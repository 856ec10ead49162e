"""The link by which the first owner comes in."""

from __future__ import annotations

from shared.accounts.actor import Actor
from shared.accounts.links import Links, Purpose
from shared.accounts.owners import guard, has_owner
from shared.accounts.users import Users
from shared.clock import Clock
from shared.console_settings import ConsoleSettings
from shared.store.records import Records

_TRIES = 20


def first_link(records: Records, clock: Clock, console: ConsoleSettings) -> str | None:
    """A new link, which ends the one before; None where an owner can sign in already, or there is
    no console."""
    if not console.url:
        return None
    for _ in range(_TRIES):
        guarding = guard(records)
        if has_owner(Users(records)):
            return None
        token, _, change = Links(records, clock).made("first")
        if records.write([change, guarding], [Actor("system").audited("first.made")]):
            return link_url(console, "first", token)
    return None


def link_url(console: ConsoleSettings, purpose: Purpose, token: str) -> str:
    """Where the link of a token is."""
    return f"{console.url}/console/{purpose}/{token}"
