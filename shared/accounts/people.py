"""What owners do to other people's accounts: invite, change roles, disable, end sessions.

The last owner who can sign in is neither disabled nor demoted, whoever asks at once. A change of
what somebody may do ends all of his sessions in the same write (B26).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from shared.accounts.accounts import Accounts
from shared.accounts.actor import Actor
from shared.accounts.links import Link
from shared.accounts.logins import name_in, new_login
from shared.accounts.outcome import Refused
from shared.accounts.own import without_second_factor
from shared.accounts.owners import guard, is_last
from shared.accounts.throttle import ACTS, by_account, by_device
from shared.accounts.user import Role, User
from shared.accounts.users import Step
from shared.store.records import Change


class Invited(msgspec.Struct, frozen=True):
    """A link for somebody."""

    token: str
    link: Link


class People:
    """Acts on accounts of others."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def invite(self, actor: Actor, login: str, name: str, role: Role) -> Invited | Refused:
        """A link to join; it ends one that the same login has. Why not: `login`, `taken`."""
        accounts, found = self._accounts, new_login(login)
        if found is None:
            return Refused("login")
        if accounts.users.find(found) is not None:
            return Refused("taken")
        token, link, change = accounts.links.made(
            "invitation", login=found, name=name_in(name), role=role, by=actor.login or actor.who
        )
        audited = actor.audited("invitation.made", link.id, login=found, role=role)
        accounts.records.write([change], [audited])
        return Invited(token, link)

    def withdraw(self, actor: Actor, link_id: str) -> bool:
        """End an invitation; False: there is none such."""
        return self._accounts.links.withdraw(
            link_id, [actor.audited("invitation.withdrawn", link_id)]
        )

    def reset_link(
        self, actor: Actor, user_id: str, *, second_factor_too: bool = False
    ) -> Invited | Refused:
        """A link for a new password; with `second_factor_too` the second factor goes now, and with
        it all sessions, and a password that would not stand alone. Why not: `unknown`."""
        accounts = self._accounts
        made: list[Invited] = []

        def step(now: User) -> Step | None:
            made.clear()
            if now.disabled:
                return None
            token, link, change = accounts.links.made(
                "reset", login=now.login, user_id=now.id, by=actor.login or actor.who
            )
            made.append(Invited(token, link))
            audited = [actor.audited("reset.made", now.id)]
            if not second_factor_too:
                return Step(now, [change], audited)
            after = _ended(without_second_factor(now))
            if not now.password_alone:
                after = msgspec.structs.replace(after, password="")
            audited.append(actor.audited("second_factor.removed", now.id))
            return Step(after, [change, *accounts.sessions.ends(now.id)], audited)

        return made[0] if accounts.users.step(user_id, step) else Refused("unknown")

    def change_role(self, actor: Actor, user_id: str, role: Role) -> User | Refused:
        """Give somebody another role. Why not: `unknown`, `last_owner`, `not_now` (he has it)."""

        def changed(now: User) -> User | None:
            return None if now.role == role else msgspec.structs.replace(now, role=role)

        return self._guarded(actor, user_id, changed, "user.role_changed", role=role)

    def disable(self, actor: Actor, user_id: str) -> User | Refused:
        """Let somebody in no more. Why not: `unknown`, `last_owner`, `not_now`."""

        def changed(now: User) -> User | None:
            return None if now.disabled else msgspec.structs.replace(now, disabled=True)

        return self._guarded(actor, user_id, changed, "user.disabled")

    def enable(self, actor: Actor, user_id: str) -> User | Refused:
        """Let somebody in again. Why not: `unknown`, `not_now`."""

        def changed(now: User) -> User | None:
            return msgspec.structs.replace(now, disabled=False) if now.disabled else None

        return self._guarded(actor, user_id, changed, "user.enabled")

    def end_sessions(self, actor: Actor, user_id: str) -> User | Refused:
        """Sign somebody out everywhere. Why not: `unknown`."""
        accounts = self._accounts

        def step(now: User) -> Step:
            audited = actor.audited("sessions.ended", now.id)
            return Step(_ended(now), accounts.sessions.ends(now.id), [audited])

        return accounts.users.step(user_id, step) or Refused("unknown")

    def unlock(self, actor: Actor, user_id: str) -> User | Refused:
        """Forget tries at somebody's account, of whatever browser. Why not: `unknown`."""
        accounts = self._accounts

        def step(now: User) -> Step:
            subjects = [by_account(now.login), *(by_device(now.login, d) for d in now.devices)]
            also = [each for act in ACTS for each in accounts.throttle.forgets(act, *subjects)]
            return Step(now, also, [actor.audited("user.unlocked", now.id)])

        return accounts.users.step(user_id, step) or Refused("unknown")

    def _guarded(
        self,
        actor: Actor,
        user_id: str,
        changed: Callable[[User], User | None],
        act: str,
        **details: str,
    ) -> User | Refused:
        """A change of who may do what, unless nobody could do everything after it."""
        accounts = self._accounts
        why: list[Refused] = [Refused("unknown")]

        def step(now: User) -> Step | None:
            guarding = guard(accounts.records)
            after = changed(now)
            if after is None:
                why[0] = Refused("not_now")
                return None
            if _loses(now, after) and is_last(now, accounts.users.all()):
                why[0] = Refused("last_owner")
                return None
            also: Sequence[Change] = [
                guarding,
                accounts.links.ended("reset", now.login),
                *accounts.sessions.ends(now.id),
            ]
            return Step(_ended(after), also, [actor.audited(act, now.id, **details)])

        return accounts.users.step(user_id, step) or why[0]


def _ended(user: User) -> User:
    """With all sessions ended."""
    return msgspec.structs.replace(user, generation=user.generation + 1)


def _loses(before: User, after: User) -> bool:
    return after.disabled or (before.role == "owner" and after.role != "owner")
