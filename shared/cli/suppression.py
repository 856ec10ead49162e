"""`posthaste suppression add|remove|show|list`: addresses that get no mail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    changing,
    home_option,
    json_option,
    opened,
    print_json,
    printable,
    table,
)
from shared.cli.suppression_files import export, import_
from shared.errors import ConfigError
from shared.model.suppression import REASONS, Suppression
from shared.store.suppressions import Page, Suppressions
from shared.suppressing.entry import (
    EVERYBODY,
    Asking,
    Wrong,
    address_of,
    application_of,
    entry_of,
    entry_shown,
    list_of,
)
from shared.times import duration_seconds, shown

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LOOK = "posthaste suppression show"
_FLAGS = {"expires_at": "--expires"}


@click.group()
def suppression() -> None:
    """The suppression list: addresses that get no mail, of one application or of all.

    Example: posthaste suppression add bob@example.com --application shop --reason bounce
    """


suppression.add_command(import_)
suppression.add_command(export)


def _whose(command: _Command) -> _Command:
    """The options that say whose entry it is."""
    for option in (
        click.option("--list", "list_name", help="Only this list's mail; else all mail."),
        click.option("--all", "everybody", is_flag=True, help="Of all applications."),
        click.option("--application", help="Of this application."),
    ):
        command = option(command)
    return command


@suppression.command(epilog=EXIT_CODES)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@_whose
@click.option("--reason", type=click.Choice(REASONS), default="manual", show_default=True)
@click.option("--expires", help="A time, or for how long: 90s, 30m, 2h, 30d; else never.")
@click.option("--detail", default="", help="Why, for people: at most 100 characters.")
@json_option
@home_option
def add(
    addresses: tuple[str, ...],
    application: str | None,
    everybody: bool,
    list_name: str | None,
    as_json: bool,
    home: Path | None,
    **said: Any,
) -> None:
    """Put addresses on the list: mail to them is not sent.

    Complaints and unsubscribes let mail of class critical through.

    Example: posthaste suppression add bob@example.com --all --reason bounce --expires 30d
    """
    whose = _application(application, everybody)
    with opened(home) as store:
        asking = Asking(whose, "cli", store.clock.now_ms(), operate=True)
        said["expires_at"] = _expires(said.pop("expires"), asking.now_ms)
        entries = [_entry({"address": each, "list": list_name, **said}, asking)
                   for each in addresses]  # fmt: skip
        with changing(_LOOK):
            new = store.suppressions.add(entries)
        there = [_as_it_is(store.suppressions, each) for each in entries]
    if as_json:
        rows = [
            {**entry_shown(each), "new": is_new} for each, is_new in zip(there, new, strict=True)
        ]
        print_json({"data": rows, "next_cursor": None})
        return
    for entry, is_new in zip(there, new, strict=True):
        was = "is on the list" if is_new else "was on the list"
        click.echo(f"{printable(entry.address)} {was}: {_told(entry)}")


@suppression.command(epilog=EXIT_CODES)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@_whose
@json_option
@home_option
def remove(
    addresses: tuple[str, ...],
    application: str | None,
    everybody: bool,
    list_name: str | None,
    as_json: bool,
    home: Path | None,
) -> None:
    """Take addresses off the list: mail to them is sent again.

    Example: posthaste suppression remove bob@example.com --application shop --list news
    """
    whose = _application(application, everybody)
    checked = [_address(each) for each in addresses]
    name = _checked(list_of, list_name)
    with opened(home) as store, changing(_LOOK):
        gone = [store.suppressions.remove(address, whose, name) for address in checked]
    rows = list(zip(checked, gone, strict=True))
    if as_json:
        print_json({"data": [{"address": each, "removed": was} for each, was in rows]})
    else:
        for address, was in rows:
            what = "is off the list" if was else "has no such entry; look with `show`"
            click.echo(f"{printable(address)} {what}", err=not was)
    if not all(gone):
        raise SystemExit(NOT_FOUND)


@suppression.command(epilog=EXIT_CODES)
@click.argument("address")
@json_option
@home_option
def show(address: str, as_json: bool, home: Path | None) -> None:
    """Show all entries of an address, whoever's they are.

    Example: posthaste suppression show bob@example.com
    """
    with opened(home) as store:
        entries = store.suppressions.find(_address(address))
    _print(entries, None, as_json)
    if not entries:
        click.echo(f"{printable(address)} is not on the list", err=True)
        raise SystemExit(NOT_FOUND)


@suppression.command("list", epilog=EXIT_CODES)
@click.option("--application", help="Of this application.")
@click.option("--all", "everybody", is_flag=True, help="Those that hold for all applications.")
@click.option("--reason", type=click.Choice(REASONS))
@click.option("--list", "list_name", help="Of this list.")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Of a page."
)
@click.option("--cursor", default="", help="Go on behind a page: its next_cursor.")
@json_option
@home_option
def list_entries(
    application: str | None,
    everybody: bool,
    reason: str | None,
    list_name: str | None,
    limit: int,
    cursor: str,
    as_json: bool,
    home: Path | None,
) -> None:
    """List entries page by page, in no particular order; `export` gives all.

    Example: posthaste suppression list --application shop --reason complaint
    """
    none_said = application is None and not everybody
    whose = None if none_said else _application(application, everybody)
    name = _checked(list_of, list_name)
    entries: list[Suppression] = []
    with opened(home) as store:
        while not entries:
            page = _page(store.suppressions, cursor, limit, whose)
            cursor = page.next_cursor
            entries = [
                each for each in page.entries
                if reason in (None, each.reason) and (list_name is None or each.list == name)
            ]  # fmt: skip
            if not cursor:
                break
    _print(entries, cursor or None, as_json)
    if not entries:
        click.echo("there are no such entries", err=True)
        raise SystemExit(NOT_FOUND)


def _page(there: Suppressions, cursor: str, limit: int, whose: str | None) -> Page:
    try:
        return there.page(cursor, limit, whose)
    except ValueError:
        raise ConfigError("--cursor: take it from the page before") from None


def _print(entries: list[Suppression], cursor: str | None, as_json: bool) -> None:
    rows = [entry_shown(each) for each in entries]
    if as_json:
        print_json({"data": rows, "next_cursor": cursor})
        return
    head = ("ADDRESS", "APPLICATION", "LIST", "REASON", "SOURCE", "SINCE", "UNTIL", "DETAIL")
    names = ("address", "application", "list", "reason", "source", "created_at", "expires_at")
    if rows:
        table(head, [[*(row[name] or "-" for name in names), row["detail"]] for row in rows])
    if cursor:
        click.echo(f"there are more: --cursor {printable(cursor)}", err=True)


def _told(entry: Suppression) -> str:
    """Whose mail is not sent, why, and for how long."""
    whose = printable(entry.application) if entry.application else "all applications"
    of = f"list {printable(entry.list)} of {whose}" if entry.list else f"all mail of {whose}"
    until = f", until {shown(entry.expires_ms)}" if entry.expires_ms else ""
    return f"{of}, {entry.reason}{until}"


def _as_it_is(there: Suppressions, entry: Suppression) -> Suppression:
    """The entry on the list: one that was there may have stayed as it was."""
    identity = (entry.application, entry.list)
    found = there.find(entry.address)
    return next((each for each in found if (each.application, each.list) == identity), entry)


def _entry(fields: dict[str, Any], asking: Asking) -> Suppression:
    entry, wrong = entry_of(fields, asking)
    if entry is None:
        flags = {"address": printable(fields["address"]), **_FLAGS}
        raise ConfigError(
            "\n".join(
                f"{flags.get(each.field, f'--{each.field}')}: {each.detail}" for each in wrong
            )
        )
    return entry


def _application(name: str | None, everybody: bool) -> str:
    if (name is None) == (not everybody):
        raise ConfigError("say whose entry: --application NAME, or --all for all applications")
    return _checked(application_of, EVERYBODY if name is None else name)


def _address(text: str) -> str:
    wrong: list[Wrong] = []
    found = address_of(text, wrong)
    if found is None:
        raise ConfigError(f"{printable(text)}: {wrong[0].detail}")
    return found


def _checked(check: Callable[[Any, list[Wrong]], str], value: str | None) -> str:
    wrong: list[Wrong] = []
    found = check(value, wrong)
    if wrong:
        raise ConfigError(f"--{wrong[0].field}: {wrong[0].detail}")
    return found


def _expires(text: str | None, now_ms: int) -> str | None:
    """A time, or how long from now."""
    ahead = None if text is None else duration_seconds(text)
    return text if ahead is None else shown(now_ms + ahead * 1000)
