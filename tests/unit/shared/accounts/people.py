"""The accounts of a small office, and shorthands for what its people do."""

from __future__ import annotations

import base64
from typing import Any

from shared.accounts.accounts import accounts_of
from shared.accounts.actor import CLI, Client
from shared.accounts.first import first_link
from shared.accounts.joining import Form, Joining
from shared.accounts.outcome import Codes, SignedIn
from shared.accounts.own import Me, Own
from shared.accounts.people import Invited, People
from shared.accounts.sign_in import SignIn
from shared.accounts.totp import STEP_MS, code_at
from shared.accounts.user import Role, User
from shared.clock import ManualClock
from shared.console_settings import ConsoleSettings
from shared.store.memory_records import MemoryRecords

KEY = b"0123456789abcdef0123456789abcdef"
PASSWORD = "seven quiet herons"
SHORT = "9 herons"
HOME = Client("192.0.2.1", "Firefox", request_id="req-1")


class Office:
    """Users, and what they may do."""

    def __init__(self, **console: Any) -> None:
        self.clock = ManualClock()
        self.records = MemoryRecords(self.clock)
        self.settings = ConsoleSettings(
            url="https://console.example.test", key=KEY.decode(), **console
        )
        self.accounts = accounts_of(self.records, self.clock, self.settings, (KEY,))
        self.sign_in = SignIn(self.accounts)
        self.joining = Joining(self.accounts)
        self.own = Own(self.accounts)
        self.people = People(self.accounts)

    def with_settings(self, **console: Any) -> Office:
        """The same store under other settings."""
        found = Office(**console)
        found.clock, found.records = self.clock, self.records
        found.accounts = accounts_of(self.records, self.clock, found.settings, (KEY,))
        found.sign_in, found.joining = SignIn(found.accounts), Joining(found.accounts)
        found.own, found.people = Own(found.accounts), People(found.accounts)
        return found

    def first(self) -> str:
        """The first owner's link's token."""
        link = first_link(self.records, self.clock, self.settings)
        assert link is not None
        return link.rpartition("/")[2]

    def join(self, login: str = "ann@people.test", role: Role = "owner") -> SignedIn:
        """A user with a password, signed in at home."""
        invited = self.people.invite(CLI, login, "", role)
        assert isinstance(invited, Invited), invited
        answer = self.joining.accept(invited.token, Form(PASSWORD), HOME)
        assert isinstance(answer, SignedIn), answer
        return answer

    def me(self, done: SignedIn, client: Client = HOME) -> Me:
        """Who goes on in that session."""
        user = self.accounts.users.get(done.user.id)
        assert user is not None
        return Me(user, done.session, done.token, client)

    def code(self, seed: bytes, steps: int = 0) -> str:
        """Of the app, now or some steps from now."""
        return code_at(seed, self.clock.now_ms() // STEP_MS + steps)

    def add_app(self, done: SignedIn) -> tuple[bytes, Codes]:
        """Set up an app; its seed. A minute goes by, so that codes are new ones."""
        me = self.me(done)
        setup = self.own.new_app(me)
        seed = base64.b32decode(setup.secret)
        answer = self.own.add_app(me, setup.sealed, self.code(seed))
        assert isinstance(answer, Codes), answer
        self.clock.advance(60)
        return seed, answer

    def password_step(self, login: str = "ann@people.test", client: Client = HOME) -> SignedIn:
        """The right password."""
        answer = self.sign_in.attempt(login, PASSWORD, client)
        assert isinstance(answer, SignedIn), answer
        return answer

    def user(self, login: str = "ann@people.test") -> User:
        """As it is stored."""
        found = self.accounts.users.find(login)
        assert found is not None
        return found

    def acts(self) -> list[str]:
        """Of the audit trail, the oldest first."""
        return [entry.act for entry in reversed(self.records.trail(limit=1000))]
