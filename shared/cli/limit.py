"""`posthaste limit show|set|clear`: what relays, sites and routes may get, and setting it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shared import limit_report
from shared.cli.destination_table import origin
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    Store,
    changing,
    home_option,
    json_option,
    opened,
    print_json,
    printable,
    seconds,
    table,
)
from shared.errors import ConfigError, StoreError
from shared.limiting import limit_names, override_of, wrong_fields, wrong_name
from shared.routing import Routes
from shared.store.limits import FIELDS, Limited
from shared.times import shown


@click.group()
def limit() -> None:
    """Limits of relays, sites (`mx:SITE`, all: `mx:*`) and routes (`@ROUTE`).

    Example: posthaste limit set mx:mx.example.com --per-minute 60 --for 2h
    """


@limit.command(epilog=EXIT_CODES)
@click.argument("destination", required=False)
@json_option
@home_option
def show(destination: str | None, as_json: bool, home: Path | None) -> None:
    """Show what holds now, where it comes from, and what is used of it.

    Example: posthaste limit show relay --json
    """
    with opened(home) as store:
        if destination is None:
            found = store.operations.limits()
            there = {each.key for each in found}
            more = [each for each in limit_names(Routes(store.settings)) if each not in there]
            found = [*found, *store.operations.limits(more)]
        else:
            _check(store, destination)
            found = store.operations.limits([destination])
    rows = [limit_report.limit(each) for each in found]
    if as_json:
        print_json({"data": rows, "next_cursor": None})
    else:
        print_limits([number for each in rows for number in each["limits"]])
    if destination is not None and not any(each["limits"] for each in rows):
        click.echo(f"{destination} has no limit", err=True)
        raise SystemExit(NOT_FOUND)


def print_limits(numbers: list[dict[str, Any]]) -> None:
    """A row for each limit."""
    table(("OF", "LIMIT", "NOW", "USED", "CONFIGURED", "FROM"), [_row(each) for each in numbers])


def _row(each: dict[str, Any]) -> tuple[object, ...]:
    used = "-" if each["used"] is None else f"{each['used']:,}"
    return (
        each["of"], each["name"].replace("_", " "), _number(each["limit"]), used,
        _number(each["configured"]), origin(each),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "none" if value is None else f"{round(value, 3):,}".removesuffix(".0")


@limit.command("set", epilog=EXIT_CODES)
@click.argument("destination")
@click.option("--per-second", type=float, help="Legs a second, evenly; 0 here and below: no limit.")
@click.option("--per-minute", type=int, help="Legs of any minute, as they come.")
@click.option("--per-hour", type=int)
@click.option("--per-day", type=int)
@click.option("--concurrency", type=int, help="Legs under way at once.")
@click.option("--connections", type=int, help="SMTP sessions open at once, of all workers.")
@click.option("--connections-per-second", type=float)
@click.option("--for", "duration", help="90s, 30m, 2h, 1d, at most 366d; else until `clear`.")
@click.option("--reason", default="", help="Shown where the limit is; 200 characters.")
@json_option
@home_option
def set_limit(
    destination: str, duration: str | None, as_json: bool, home: Path | None, **fields: Any
) -> None:
    """Set limits of DESTINATION; what is not said stays as configured. It replaces an earlier one.

    Example: posthaste limit set relay --per-second 5 --connections 2 --for 2h --reason "asked to"
    """
    fields["seconds"] = seconds(duration, "--for")
    wrong = [f"{_option(name)}: {text}" for name, text in wrong_fields(fields) if name]
    if all(fields[name] is None for name in FIELDS):
        wrong.append(f"Say at least one of {', '.join(_option(name) for name in FIELDS)}.")
    if wrong:
        raise ConfigError("\n".join(wrong))
    with opened(home) as store:
        _check(store, destination)
        override = override_of(fields, store.clock.now_ms())
        with changing():
            store.operations.set_limit(destination, override)
        changed = _changed(store, destination)
    if as_json:
        print_json(limit_report.limit(changed))
        return
    end = f"until {shown(override.until_ms)}" if override.until_ms else "until `limit clear`"
    click.echo(f"{destination} has this limit {end}")
    print_limits(limit_report.numbers(changed))


def _option(name: str) -> str:
    """The flag of a field."""
    return "--for" if name == "seconds" else f"--{name.replace('_', '-')}"


@limit.command(epilog=EXIT_CODES)
@click.argument("destination")
@json_option
@home_option
def clear(destination: str, as_json: bool, home: Path | None) -> None:
    """Take an operator's limit away: what is configured holds again.

    Example: posthaste limit clear relay
    """
    with opened(home) as store:
        _check(store, destination)
        with changing():
            gone = store.operations.clear_limit(destination)
        if as_json:
            print_json(limit_report.limit(_changed(store, destination)))
    if not gone:
        click.echo(f"nobody has set a limit of {destination}", err=True)
        raise SystemExit(NOT_FOUND)
    if not as_json:
        click.echo(f"{destination} has its configured limits again")


def _check(store: Store, destination: str) -> None:
    wrong = wrong_name(destination, Routes(store.settings))
    if wrong:
        raise ConfigError(f"{printable(destination)}: {wrong}")


def _changed(store: Store, destination: str) -> Limited:
    """After a change. Raises `ConfigError`."""
    try:
        (found,) = store.operations.limits([destination])
    except StoreError as error:
        raise ConfigError(
            f"it was done, but then {error}; look with `posthaste limit show`"
        ) from error
    return found
