"""What people do to their own account: password, second factor, recovery codes, sessions.

A change of the password or the second factor ends all other sessions in the same write, by a new
generation of them, and the one that does it goes on under a new token (B26).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from shared.accounts import second_step
from shared.accounts.accounts import Accounts, subjects_of
from shared.accounts.actor import Client, actor_of
from shared.accounts.app import AppSetup, opened, setup_of
from shared.accounts.levels import level_of
from shared.accounts.logins import name_in
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Weak, Wrong
from shared.accounts.passwords import TooManyAtOnce, Weakness
from shared.accounts.recovery import new_codes
from shared.accounts.sessions import Session
from shared.accounts.user import User
from shared.accounts.users import Step
from shared.store.records import Change

_SAME = Weakness("same", "It is the password you have now.")


class Me(msgspec.Struct, frozen=True):
    """Whoever does it: a visitor, and the browser."""

    user: User
    session: Session
    token: str
    client: Client


class Own:
    """Acts on one's own account."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def change_password(self, me: Me, password: str) -> SignedIn | Weak | Wait | Refused:
        """A new password; the page has asked for the old one (`confirm`)."""
        accounts, user = self._accounts, me.user
        weak = accounts.passwords.weaknesses(
            password, two_factor=user.second_factor == "totp", about=(user.login, user.name)
        )
        try:
            if not weak and accounts.passwords.verify(user.password, password):
                weak = [_SAME]
            if weak:
                return Weak(weak)
            hashed = accounts.passwords.hash(password)
        except TooManyAtOnce:
            return Wait(1)
        alone = accounts.passwords.stands_alone(password)

        def changed(now: User) -> User | None:
            if not alone and now.second_factor != "totp":
                return None
            return msgspec.structs.replace(
                now, password=hashed, password_ms=accounts.clock.now_ms(), password_alone=alone
            )

        also = [accounts.links.ended("reset", user.login)]
        return self._changed(me, "password.changed", changed, also) or Refused("not_now")

    def new_app(self, me: Me) -> AppSetup:
        """A seed for an authenticator app, to be shown; `add_app` takes it back."""
        return setup_of(self._accounts, me.session.id, me.user.login)

    def shown_app(self, me: Me, sealed: str) -> AppSetup | None:
        """The same again, after a wrong code; None: it was made for another session."""
        seed = opened(self._accounts, me.session.id, sealed)
        return (
            None if seed is None else setup_of(self._accounts, me.session.id, me.user.login, seed)
        )

    def add_app(
        self, me: Me, sealed: str, code: str, old_code: str = ""
    ) -> Codes | Wrong | Wait | Refused:
        """Take the app whose first code this is, and new recovery codes. In place of another app
        only with a code of that one, or a recovery code (`old_code`)."""
        accounts = self._accounts
        counted = me.user.second_factor == "totp"
        if counted and (wait := self._wait(me)):
            return wait
        seed = opened(accounts, me.session.id, sealed)
        if seed is None:
            return Refused("not_now")
        step = accounts.step_of(seed, code)
        if step is None:
            return Wrong()
        shown, digests = new_codes()

        def changed(now: User) -> User | None:
            replaced = now.second_factor == "totp"
            if replaced and not second_step.check(accounts, now, me.session.id, old_code):
                return None
            return msgspec.structs.replace(
                now,
                second_factor="totp",
                totp_seed=accounts.sealer.seal(now.id, seed),
                totp_step=step,
                recovery_codes=digests,
            )

        done = self._changed(me, "second_factor.app_set_up", changed, right=counted)
        return Codes(shown, done) if done else Wrong()

    def add_mail(self, me: Me, code: str) -> SignedIn | Wrong | Wait | Refused:
        """Take codes by mail as second step; the first one is `code` (`SignIn.mail_code`)."""
        accounts = self._accounts
        if not accounts.settings.email_codes or me.user.second_factor != "none":
            return Refused("not_now")
        if wait := self._wait(me):
            return wait
        taken = accounts.codes.taken(me.session.id, code)
        if taken is None:
            return Wrong()

        def changed(now: User) -> User | None:
            if now.second_factor != "none":
                return None
            return msgspec.structs.replace(now, second_factor="email")

        done = self._changed(me, "second_factor.mail_set_up", changed, [taken], right=True)
        return done or Refused("not_now")

    def remove_second_factor(self, me: Me, code: str) -> SignedIn | Wrong | Wait | Refused:
        """Sign in by the password alone from now on, if it stands alone; with a code of the app, a
        recovery code, or one by mail."""
        accounts = self._accounts
        if not me.user.password_alone:
            return Refused("short_password")
        if me.user.second_factor == "none":
            return Refused("not_now")
        if wait := self._wait(me):
            return wait
        also: list[Change] = []

        def changed(now: User) -> User | None:
            also.clear()
            checked = second_step.check(accounts, now, me.session.id, code)
            if checked is None or not now.password_alone:
                return None
            also.extend(checked.also)
            return without_second_factor(now)

        done = self._changed(me, "second_factor.removed", changed, also, right=True)
        return done or Wrong()

    def rename(self, me: Me, name: str) -> bool:
        """Another name, as others see it; False: it is none."""
        found = name_in(name)

        def step(now: User) -> Step | None:
            after = msgspec.structs.replace(now, name=found)
            return Step(after, (), [actor_of(now, me.client).audited("name.changed", now.id)])

        return bool(found) and self._accounts.users.step(me.user.id, step) is not None

    def new_recovery_codes(self, me: Me) -> list[str] | Refused:
        """Ten new ones; those before count no more."""
        shown, digests = new_codes()

        def step(now: User) -> Step | None:
            if now.second_factor != "totp" or not me.session.is_of(now):
                return None
            after = msgspec.structs.replace(now, recovery_codes=digests)
            return Step(after, (), [actor_of(now, me.client).audited("recovery_codes.made")])

        done = self._accounts.users.step(me.user.id, step)
        return shown if done else Refused("not_now")

    def forget_devices(self, me: Me) -> bool:
        """Forget which browsers have signed in before: their tries count as everybody's."""

        def step(now: User) -> Step | None:
            after = msgspec.structs.replace(now, devices=())
            return Step(after, (), [actor_of(now, me.client).audited("devices.forgotten")])

        return self._accounts.users.step(me.user.id, step) is not None

    def end_session(self, me: Me, session_id: str) -> bool:
        """End one of one's sessions; False: there is none."""
        audited = actor_of(me.user, me.client).audited("session.ended", session_id)
        return self._accounts.sessions.end_one(me.user.id, session_id, audited)

    def end_other_sessions(self, me: Me) -> SignedIn | Refused:
        """End all but this one."""
        return self._changed(me, "sessions.ended", lambda now: now) or Refused("not_now")

    def _wait(self, me: Me) -> Wait | None:
        subjects = subjects_of(me.user.login, me.user, me.client)
        wait = self._accounts.throttle.take("second_step", *subjects)
        return Wait(wait) if wait else None

    def _changed(
        self,
        me: Me,
        act: str,
        changed: Callable[[User], User | None],
        also: Sequence[Change] = (),
        *,
        right: bool = False,
    ) -> SignedIn | None:
        """A change that ends all other sessions; with `right` a code was, whose try was counted:
        tries are forgotten.

        None: `changed` says so, or the session has ended meanwhile.
        """
        accounts, made = self._accounts, list[SignedIn]()
        subjects = subjects_of(me.user.login, me.user, me.client)

        def step(now: User) -> Step | None:
            made.clear()
            after = None if now.disabled or not me.session.is_of(now) else changed(now)
            if after is None:
                return None
            after = msgspec.structs.replace(after, generation=now.generation + 1)
            level = level_of(after, accounts.settings, accounts.clock.now_ms())
            renewed = accounts.sessions.renewed(
                me.token, level, confirmed=False, generation=after.generation
            )
            if renewed is None:
                return None
            made.append(SignedIn(renewed[0], renewed[1], after))
            changes = [*renewed[2], *accounts.sessions.ends(now.id, but=me.token), *also]
            if right:
                changes += accounts.throttle.forgets("second_step", *subjects[:1])
            return Step(after, changes, [actor_of(now, me.client).audited(act)])

        if accounts.users.step(me.user.id, step) is None:
            return None
        if right:
            accounts.throttle.give_back("second_step", *subjects[1:])
        return made[0]


def without_second_factor(user: User) -> User:
    """The user with a password only."""
    return msgspec.structs.replace(
        user, second_factor="none", totp_seed=b"", totp_step=0, recovery_codes=()
    )
