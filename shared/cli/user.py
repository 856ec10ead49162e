"""`posthaste user create|list|link|role|disable|enable|unlock|sign-out`: who may use the console.

What an owner does in the console, for whom cannot get in. Everything is in the audit trail as
`cli`. A link is printed once: it is as good as the password of whom it is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from shared.accounts.accounts import Accounts, accounts_of
from shared.accounts.actor import CLI
from shared.accounts.first import link_url
from shared.accounts.links import Link
from shared.accounts.logins import login_in
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.accounts.user import ROLES, Role, User
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    changing,
    home_option,
    json_option,
    print_json,
    printable,
    table,
)
from shared.cli.store import settings_for
from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.store.redis_records import RedisRecords
from shared.times import shown

_LOOK = "posthaste user list"
_WHY = {
    "login": "a login is an e-mail address",
    "taken": "there is a user with that login: see `posthaste user list`",
    "last_owner": "it is the last owner who can sign in: make another one first",
    "unknown": "the user is disabled: enable it first",
    "not_now": "it is so already",
}


@click.group()
def user() -> None:
    """People who use the console: invite, list, and let in who is locked out.

    Example: posthaste user create ann@example.com --role operator --name Ann
    """


@user.command(epilog=EXIT_CODES)
@click.argument("login")
@click.option("--role", type=click.Choice(ROLES), default="reader", show_default=True)
@click.option("--name", default="", help="What the console calls them; else from the login.")
@home_option
def create(login: str, role: Role, name: str, home: Path | None) -> None:
    """Invite somebody: prints a link that works once, for 72 hours, to choose a password.

    Example: posthaste user create ann@example.com --role operator --name "Ann Lee"
    """
    with _opened(home) as accounts:
        _need_console(accounts)
        with changing(_LOOK):
            invited = People(accounts).invite(CLI, login, name, role)
        if isinstance(invited, Refused):
            raise _refused(login, invited)
        click.echo(link_url(accounts.settings, "invitation", invited.token))


@user.command(name="list", epilog=EXIT_CODES)
@json_option
@home_option
def list_users(as_json: bool, home: Path | None) -> None:
    """List users, and invitations that nobody has accepted yet.

    Example: posthaste user list --json
    """
    with _opened(home) as accounts:
        rows = [_row(each) for each in accounts.users.all()]
        rows += [_invited_row(each) for each in accounts.links.invitations()]
    if as_json:
        print_json({"data": rows, "next_cursor": None})
        return
    head = ("login", "name", "role", "state", "second factor", "last signed in")
    keys = ("login", "name", "role", "state", "second_factor", "seen_at")
    table(head, [[row[key] or "-" for key in keys] for row in rows])


@user.command(epilog=EXIT_CODES)
@click.argument("login")
@click.option(
    "--without-second-factor", "second_factor_too", is_flag=True,
    help="Remove the second factor, too, for whom has lost it; it signs them out.",
)  # fmt: skip
@home_option
def link(login: str, second_factor_too: bool, home: Path | None) -> None:
    """Print a link to choose a new password: it works once, for 30 minutes.

    Example: posthaste user link ann@example.com --without-second-factor
    """
    with _opened(home) as accounts:
        _need_console(accounts)
        found = _found(accounts, login)
        with changing(_LOOK):
            made = People(accounts).reset_link(CLI, found.id, second_factor_too=second_factor_too)
        if isinstance(made, Refused):
            raise _refused(login, made)
        click.echo(link_url(accounts.settings, "reset", made.token))


@user.command(epilog=EXIT_CODES)
@click.argument("login")
@click.argument("new_role", metavar="ROLE", type=click.Choice(ROLES))
@home_option
def role(login: str, new_role: Role, home: Path | None) -> None:
    """Give somebody another role; it signs them out.

    Example: posthaste user role ann@example.com owner
    """
    with _opened(home) as accounts, changing(_LOOK):
        found = _found(accounts, login)
        _done(login, People(accounts).change_role(CLI, found.id, new_role))
    click.echo(f"{printable(found.login)} is {new_role} now")


@user.command(epilog=EXIT_CODES)
@click.argument("login")
@home_option
def disable(login: str, home: Path | None) -> None:
    """Let somebody in no more, and sign them out.

    Example: posthaste user disable ann@example.com
    """
    with _opened(home) as accounts, changing(_LOOK):
        found = _found(accounts, login)
        _done(login, People(accounts).disable(CLI, found.id))
    click.echo(f"{printable(found.login)} is disabled")


@user.command(epilog=EXIT_CODES)
@click.argument("login")
@home_option
def enable(login: str, home: Path | None) -> None:
    """Let somebody in again who was disabled.

    Example: posthaste user enable ann@example.com
    """
    with _opened(home) as accounts, changing(_LOOK):
        found = _found(accounts, login)
        _done(login, People(accounts).enable(CLI, found.id))
    click.echo(f"{printable(found.login)} is enabled")


@user.command(epilog=EXIT_CODES)
@click.argument("login")
@home_option
def unlock(login: str, home: Path | None) -> None:
    """Forget failed tries at somebody's account: the next one need not wait.

    Tries from an address that has tried too often still wait, 15 minutes at most.

    Example: posthaste user unlock ann@example.com
    """
    with _opened(home) as accounts, changing(_LOOK):
        found = _found(accounts, login)
        _done(login, People(accounts).unlock(CLI, found.id))
    click.echo(f"{printable(found.login)} may try again")


@user.command(name="sign-out", epilog=EXIT_CODES)
@click.argument("login")
@home_option
def sign_out(login: str, home: Path | None) -> None:
    """End all sessions of somebody.

    Example: posthaste user sign-out ann@example.com
    """
    with _opened(home) as accounts, changing(_LOOK):
        found = _found(accounts, login)
        _done(login, People(accounts).end_sessions(CLI, found.id))
    click.echo(f"{printable(found.login)} is signed out")


@contextmanager
def _opened(home: Path | None) -> Iterator[Accounts]:
    settings = settings_for(home)
    records = RedisRecords(settings)
    try:
        yield accounts_of(records, SystemClock(), settings.console, ())
    finally:
        records.close()


def _need_console(accounts: Accounts) -> None:
    """A link needs the name under which browsers reach the console."""
    if not accounts.settings.url:
        raise ConfigError("there is no console: set console.url, and console.key_file with it")


def _found(accounts: Accounts, login: str) -> User:
    """The user of a login; without one the command ends with 1."""
    found = accounts.users.find(login_in(login))
    if found is None:
        click.echo(f"posthaste: there is no user {printable(login)}: see `{_LOOK}`", err=True)
        raise SystemExit(NOT_FOUND)
    return found


def _done(login: str, answer: User | Refused) -> None:
    if isinstance(answer, Refused):
        raise _refused(login, answer)


def _refused(login: str, answer: Refused) -> ConfigError:
    return ConfigError(f"{printable(login)}: {_WHY[answer.why]}")


def _row(each: User) -> dict[str, Any]:
    return {
        "id": each.id,
        "login": each.login,
        "name": each.name,
        "role": each.role,
        "state": "disabled" if each.disabled else "active" if each.password else "no password",
        "second_factor": each.second_factor,
        "created_at": shown(each.created_ms),
        "seen_at": shown(each.seen_ms) if each.seen_ms else None,
    }


def _invited_row(each: Link) -> dict[str, Any]:
    return {
        "id": each.id,
        "login": each.login,
        "name": each.name,
        "role": each.role,
        "state": "invited",
        "second_factor": "none",
        "created_at": shown(each.made_ms),
        "seen_at": None,
    }
