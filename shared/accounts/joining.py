"""What links are for: to become the first owner, to accept an invitation, to set a new password.

A link is taken in the same write as what it is for: of two who have it, or use it at once, one
succeeds. A password that is short is taken only together with an authenticator app's first code.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.accounts.accounts import Accounts, seen
from shared.accounts.actor import CLI, Client, actor_of
from shared.accounts.app import AppSetup, opened, setup_of
from shared.accounts.levels import first_level_of, level_of
from shared.accounts.links import Link
from shared.accounts.logins import name_in, new_login
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Weak, Wrong
from shared.accounts.owners import guard, has_owner
from shared.accounts.passwords import TooManyAtOnce
from shared.accounts.recovery import new_codes
from shared.accounts.throttle import by_account
from shared.accounts.user import User
from shared.accounts.users import Step, new_id
from shared.store.records import Change

_TRIES = 20
Joined = SignedIn | Codes | Weak | Wrong | Wait | Refused


class Form(msgspec.Struct, frozen=True):
    """What the page of a link sends."""

    password: str
    login: str = ""
    """Of the first owner only."""
    name: str = ""
    """Not of a reset."""
    sealed: str = ""
    """Of the app that was shown (`AppSetup.sealed`)."""
    code: str = ""
    """Its first code; empty: no app is set up."""


class Joining:
    """Takes links."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def look(self, token: str) -> Link | None:
        """What a link is for; None: it has been used or has ended."""
        found = self._accounts.links.find(token)
        return None if found is None else found[0]

    def has_app(self, link: Link) -> bool:
        """Whether the user of a reset has an app already, and so needs none shown."""
        user = self._accounts.users.get(link.user_id)
        return user is not None and user.second_factor == "totp"

    def new_app(self, token: str, link: Link, sealed: str = "") -> AppSetup:
        """A seed to be shown with the form; the one of `sealed` again, if it is of this link."""
        seed = opened(self._accounts, token, sealed) if sealed else None
        return setup_of(self._accounts, token, link.login, seed or b"")

    def accept(self, token: str, form: Form, client: Client) -> Joined:
        """Take a link. `Weak` is about the password, `Wrong` about the app's code."""
        found = self._accounts.links.find(token)
        if found is None:
            return Refused("link")
        link, taken = found
        if not self._still_stands(link):
            return Refused("link")
        if link.purpose == "reset":
            return self._reset(link, token, form, client)
        login = new_login(form.login) if link.purpose == "first" else link.login
        if login is None:
            return Refused("login")
        name = name_in(form.name) or link.name or login.partition("@")[0]
        blank = User(new_id(), login, name, link.role, self._accounts.clock.now_ms())
        made = self._with_password(blank, token, form)
        if not isinstance(made, _Made):
            return made
        return self._joined(token, link, taken, made, client)

    def _still_stands(self, link: Link) -> bool:
        """Whether who has made it may still do so, who may have been shown it; nobody else has made
        one of the first owner or one that its user has asked for, and the command line always may.
        """
        if link.by in ("", CLI.who):
            return True
        inviter = self._accounts.users.find(link.by)
        return inviter is not None and not inviter.disabled and inviter.may("people")

    def _with_password(self, user: User, token: str, form: Form) -> _Made | Weak | Wrong | Wait:
        """The user with the form's password, and the app if there is a code of one."""
        accounts = self._accounts
        codes: list[str] = []
        if form.code and user.second_factor != "totp":
            seed = opened(accounts, token, form.sealed)
            step = None if seed is None else accounts.step_of(seed, form.code)
            if seed is None or step is None:
                return Wrong()
            codes, digests = new_codes()
            user = msgspec.structs.replace(
                user,
                second_factor="totp",
                totp_seed=accounts.sealer.seal(user.id, seed),
                totp_step=step,
                recovery_codes=digests,
            )
        weak = accounts.passwords.weaknesses(
            form.password,
            two_factor=user.second_factor == "totp",
            about=(user.login, user.name),
        )
        if weak:
            return Weak(weak)
        try:
            hashed = accounts.passwords.hash(form.password)
        except TooManyAtOnce:
            return Wait(1)
        alone, now = accounts.passwords.stands_alone(form.password), accounts.clock.now_ms()
        user = msgspec.structs.replace(user, password=hashed, password_ms=now, password_alone=alone)
        return _Made(user, codes)

    def _joined(
        self, link_token: str, link: Link, taken: Change, made: _Made, client: Client
    ) -> Joined:
        """A new user, signed in."""
        accounts = self._accounts
        user, device = seen(accounts, made.user, client)
        level = level_of(user, accounts.settings, accounts.clock.now_ms())
        token, session, change = accounts.sessions.begun(
            user.id, level, client.address, client.agent
        )
        act = f"{link.purpose}.accepted"
        audited = actor_of(user, client).audited(act, user.id, role=user.role, by=link.by)
        for _ in range(_TRIES):
            guarding = guard(accounts.records)
            if link.purpose == "first" and has_owner(accounts.users):
                return Refused("link")
            also = [taken, change, *([guarding] if user.role == "owner" else [])]
            if accounts.users.add(user, [audited], also):
                signed_in = SignedIn(token, session, user, device)
                return Codes(made.codes, signed_in) if made.codes else signed_in
            if accounts.links.find(link_token) is None:
                return Refused("link")
            if accounts.users.find(user.login) is not None:
                return Refused("taken")
        return Wait(1)

    def _reset(self, link: Link, token: str, form: Form, client: Client) -> Joined:
        """A new password; all sessions end, known browsers are forgotten, and a second step is
        still to come for whom has one (B27)."""
        accounts = self._accounts
        user = accounts.users.get(link.user_id)
        if user is None or user.disabled:
            return Refused("link")
        made = self._with_password(user, token, form)
        if not isinstance(made, _Made):
            return made
        done: list[SignedIn] = []

        def step(now: User) -> Step | None:
            done.clear()
            found = accounts.links.find(token)
            if now.disabled or found is None or now.second_factor != user.second_factor:
                return None
            after = msgspec.structs.replace(
                now, **_new_of(made), generation=now.generation + 1, devices=()
            )
            level, device = first_level_of(after, accounts.settings, accounts.clock.now_ms()), ""
            if made.codes:  # The app's first code was given just now.
                level = level_of(after, accounts.settings, accounts.clock.now_ms())
            if level != "password":
                after, device = seen(accounts, after, client)
            fresh, session, change = accounts.sessions.begun(
                now.id, level, client.address, client.agent, generation=after.generation
            )
            done.append(SignedIn(fresh, session, after, device))
            also = [found[1], change, *accounts.sessions.ends(now.id)]
            also += accounts.throttle.forgets("sign_in", by_account(now.login))
            return Step(after, also, [actor_of(now, client).audited("password.reset", now.id)])

        if accounts.users.step(user.id, step) is None:
            return Refused("link")
        return Codes(made.codes, done[0]) if made.codes else done[0]


class _Made(msgspec.Struct, frozen=True):
    user: User
    codes: list[str]


def _new_of(made: _Made) -> dict[str, Any]:
    """What a reset changes of its user."""
    names = ["password", "password_ms", "password_alone"]
    if made.codes:
        names += ["second_factor", "totp_seed", "totp_step", "recovery_codes"]
    return {name: getattr(made.user, name) for name in names}
