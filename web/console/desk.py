"""What the console's views stand on, built once a process."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

import msgspec
from flask import g, request

from shared.accounts.accounts import Accounts
from shared.accounts.actor import Client
from shared.accounts.sessions import Session, Sessions
from shared.accounts.user import User
from shared.accounts.users import Users
from shared.console_settings import ConsoleSettings
from shared.model.message import CLASSES
from shared.settings import Settings
from shared.store.records import Audited, Records
from web.console import cookies
from web.console.afterwards import Afterwards
from web.console.client import client_address
from web.validation import Policy
from web.views.context import Context


class Visitor(msgspec.Struct, frozen=True):
    """Who asks for a page."""

    user: User
    session: Session
    token: str
    """Of the session; never shown."""


class Desk(msgspec.Struct, frozen=True):
    """The services of the pages."""

    context: Context
    keys: tuple[bytes, ...]
    """The console's key, and the one before it."""
    records: Records
    users: Users
    sessions: Sessions
    accounts: Accounts
    """Users, sessions and all that signing in stands on."""
    afterwards: Afterwards

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self.context.services.settings

    @property
    def console(self) -> ConsoleSettings:
        """Those of the console."""
        return self.settings.console

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS. Only on this machine they need not."""
        return urlsplit(self.console.url).scheme == "https"

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.context.services.clock.now_ms()

    def key(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose only."""
        return hmac.digest(self.keys[0], purpose.encode(), hashlib.sha256)

    def policy(self) -> Policy:
        """What applies to a message written in the console: the same as to the API's."""
        return self.policy_of(self.console.application, self.console.from_domains)

    def policy_of(self, application: str, from_domains: tuple[str, ...] = ()) -> Policy:
        """The same for another application."""
        return Policy(
            settings=self.settings,
            application=application,
            from_domains=from_domains,
            classes=CLASSES,
            now_ms=self.now_ms(),
            routes=self.context.routes,
            request_id=g.get("request_id", ""),
        )

    def client(self) -> Client:
        """The browser that asks."""
        return Client(
            address=client_address(self.console),
            agent=request.headers.get("User-Agent", "")[:200],
            device=cookies.read(cookies.DEVICE, secure=self.secure),
            request_id=g.get("request_id", ""),
        )

    def audited(self, visitor: Visitor, act: str, what: str = "", **details: str) -> Audited:
        """An entry of the audit trail about what a visitor does, to be written with it."""
        return Audited(
            act=act,
            who=visitor.user.id,
            login=visitor.user.login,
            address=client_address(self.console),
            what=what,
            details={name: text for name, text in details.items() if text},
            request_id=g.get("request_id", ""),
        )

    def audit(self, visitor: Visitor, act: str, what: str = "", **details: str) -> None:
        """Append such an entry where what was done is not a record's change.

        It has been done: a store that does not take the entry must not be told as if it had not.
        """
        g.change = "done"
        self.records.write((), [self.audited(visitor, act, what, **details)])
