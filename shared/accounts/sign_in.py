"""Signing in, step by step, and out again; the password once more before a sensitive act.

Answers `Wrong` alike, after the same work, for a login that nobody has, for one that is disabled
and for one without a password (B28). Each act is in the audit trail; failed ones as far as
`failures` has room.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.accounts import second_step
from shared.accounts.accounts import Accounts, seen, subjects_of
from shared.accounts.actor import Actor, Client, actor_of
from shared.accounts.failures import Failures
from shared.accounts.levels import first_level_of, level_of
from shared.accounts.logins import login_in
from shared.accounts.outcome import Outcome, Refused, SignedIn, Wait, Wrong
from shared.accounts.passwords import TooManyAtOnce
from shared.accounts.sessions import Session
from shared.accounts.throttle import Act
from shared.accounts.user import User
from shared.accounts.users import Step
from shared.store.records import Change

_NOBODY = "usr_nobody"


class SignIn:
    """What the pages of signing in do."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._failures = Failures(accounts.records, accounts.clock)

    def attempt(self, login: str, password: str, client: Client) -> Outcome:
        """Login and password. The session's level says what is next."""
        accounts, login = self._accounts, login_in(login)
        user = accounts.users.find(login) or accounts.users.get(_NOBODY)
        subjects = subjects_of(login, user, client)
        wait = accounts.throttle.take("sign_in", *subjects)
        if wait:
            return Wait(wait)
        right = self._verified("sign_in", subjects, user, password)
        if isinstance(right, Wait):
            return right
        done = None
        if user is not None and right and not user.disabled:
            done = self._begun(user, right, client, subjects)
        if done is None:
            self._failures.note("sign_in.failed", user, client)
            return Wrong()
        return done

    def second_step(
        self, token: str, session: Session, user: User, code: str, client: Client
    ) -> Outcome:
        """A code of the app, a recovery code or one by mail, at level `password`."""
        accounts, subjects = self._accounts, subjects_of(user.login, user, client)
        wait = accounts.throttle.take("second_step", *subjects)
        if wait:
            return Wait(wait)
        made: list[SignedIn] = []

        def step(now: User) -> Step | None:
            made.clear()
            checked = second_step.check(accounts, now, session.id, code)
            if checked is None or now.disabled or not session.is_of(now):
                return None
            level = level_of(checked.after, accounts.settings, accounts.clock.now_ms())
            renewed = accounts.sessions.renewed(token, level, confirmed=False)
            if renewed is None:
                return None
            after, device = seen(accounts, checked.after, client)
            made.append(SignedIn(renewed[0], renewed[1], after, device))
            audited = actor_of(now, client).audited("sign_in.done", second_step=checked.kind)
            also = [*checked.also, *renewed[2], *self._forgets("second_step", subjects)]
            if checked.kind == "mail":
                also += self._forgets("mailed_code", subjects)
            return Step(after, also, [audited])

        if accounts.users.step(user.id, step) is None:
            self._failures.note("second_step.failed", user, client)
            return Wrong()
        accounts.throttle.give_back("second_step", *subjects[1:])
        return made[0]

    def mail_code(self, session: Session, user: User, client: Client) -> str | Wait | Refused:
        """A code for this session, to be sent to the user's login."""
        accounts = self._accounts
        if not accounts.settings.email_codes or user.second_factor == "totp":
            return Refused("not_now")
        wait = accounts.throttle.take("mailed_code", *subjects_of(user.login, user, client))
        if wait:
            return Wait(wait)
        code, change = accounts.codes.made(session.id)
        accounts.records.write([change], [actor_of(user, client).audited("mailed_code.sent")])
        return code

    def confirm(
        self, token: str, session: Session, user: User, password: str, client: Client
    ) -> Outcome:
        """The password once more: the session is confirmed, under a new token."""
        accounts, subjects = self._accounts, subjects_of(user.login, user, client)
        wait = accounts.throttle.take("confirm", *subjects)
        if wait:
            return Wait(wait)
        right = self._verified("confirm", subjects, user, password)
        if isinstance(right, Wait):
            return right
        if not right:
            self._failures.note("confirm.failed", user, client)
            return Wrong()
        renewed = accounts.sessions.renew(token, session.level, confirmed=True)
        accounts.records.write(self._forgets("confirm", subjects))
        accounts.throttle.give_back("confirm", *subjects[1:])
        return SignedIn(renewed[0], renewed[1], user) if renewed else Wrong()

    def sign_out(self, token: str, user: User, client: Client) -> None:
        """End the session."""
        audited = actor_of(user, client).audited("sign_out.done")
        self._accounts.records.write([self._accounts.sessions.ended(token)], [audited])

    def reset_wait(self, login: str, client: Client) -> Wait | None:
        """Whether `ask_reset` would have to wait now; nothing is counted."""
        accounts, login = self._accounts, login_in(login)
        user = accounts.users.find(login) or accounts.users.get(_NOBODY)
        seconds = accounts.throttle.waiting("reset", *subjects_of(login, user, client))
        return Wait(seconds) if seconds else None

    def ask_reset(self, login: str, client: Client) -> tuple[User, str] | Wait | None:
        """The user and the token of a link for a new password, to be mailed to the login; None:
        nobody gets one, and the page must not say so."""
        accounts, login = self._accounts, login_in(login)
        user = accounts.users.find(login) or accounts.users.get(_NOBODY)
        wait = accounts.throttle.take("reset", *subjects_of(login, user, client))
        if wait:
            return Wait(wait)
        if user is None or user.disabled:
            return None
        token, _, change = accounts.links.made("reset", login=user.login, user_id=user.id)
        asked = Actor("system", "", client).audited("reset.asked", user.id)
        accounts.records.write([change], [asked])
        return user, token

    def _begun(
        self, user: User, password_hash: str, client: Client, subjects: Sequence[str]
    ) -> SignedIn | None:
        """A session after the right password; None where it is not right any more."""
        accounts = self._accounts
        made: list[SignedIn] = []

        def step(now: User) -> Step | None:
            made.clear()
            if now.disabled or not now.password or now.password != user.password:
                return None
            level = first_level_of(now, accounts.settings, accounts.clock.now_ms())
            token, session, change = accounts.sessions.begun(
                now.id, level, client.address, client.agent, generation=now.generation
            )
            after = msgspec.structs.replace(now, password=password_hash)
            device, act = "", "sign_in.first_step"
            if level != "password":
                (after, device), act = seen(accounts, after, client), "sign_in.done"
            made.append(SignedIn(token, session, after, device))
            also = [change, *accounts.sessions.crowded(now.id)]
            also += self._forgets("sign_in", subjects)
            return Step(after, also, [actor_of(now, client).audited(act)])

        if accounts.users.step(user.id, step) is None:
            return None
        accounts.throttle.give_back("sign_in", *subjects[1:])
        return made[0]

    def _verified(
        self, act: Act, subjects: Sequence[str], user: User | None, password: str
    ) -> str | Wait:
        """The user's hash, made anew where it costs less than now; empty: the password is wrong."""
        accounts = self._accounts
        hashed = user.password if user is not None else ""
        try:
            if not accounts.passwords.verify(hashed, password):
                return ""
            again = accounts.passwords.needs_rehash(hashed)
            return accounts.passwords.hash(password) if again else hashed
        except TooManyAtOnce:
            accounts.throttle.give_back(act, *subjects)
            return Wait(1)

    def _forgets(self, act: Act, subjects: Sequence[str]) -> list[Change]:
        """Tries of the account, or of the known browser; an address may have tried others, too."""
        return self._accounts.throttle.forgets(act, *subjects[:1])
