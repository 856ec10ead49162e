"""`posthaste dead ...` and `posthaste uncertain ...`: what an operator has to decide about.

Both list, show, queue again and drop, by id or by cause. What would touch more than named messages
can be counted first (`--dry-run`), and is dropped only with `--yes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from shared import report
from shared.classification.told import Told
from shared.cli.message import print_attempts
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    choice,
    choosing,
    home_option,
    interrupted,
    json_option,
    message_id,
    opened,
    print_json,
    printable,
    table,
)
from shared.errors import ConfigError
from shared.redrive import Redriven, cursor, place_of
from shared.store.operations import Aside, SetAside

_ID = "msg_0199f0c2a5d07b6e8d53a0b7c1e2f344"
_dry_run = click.option("--dry-run", is_flag=True, help="Only count.")
_everything = click.option("--all", "everything", is_flag=True, help="Without any other choice.")
_yes = click.option("--yes", is_flag=True, help="Drop by cause, not only by id.")


@click.group()
def dead() -> None:
    """Dead letters: list, show, requeue, drop. They never expire by themselves.

    Example: posthaste dead requeue --cause poison --dry-run
    """


@click.group()
def uncertain() -> None:
    """Mail held because nobody knows whether it was delivered: list, show, resend, drop.

    Example: posthaste uncertain resend msg_0199f0c2a5d07b6e8d53a0b7c1e2f344
    """


def _list(
    kind: Aside, limit: int, after: str | None, as_json: bool, home: Path | None, **chosen: Any
) -> None:
    place = None if after is None else place_of(after)
    if after is not None and place is None:
        raise ConfigError("--cursor: take it from next_cursor of the page before")
    with opened(home) as store:
        wanted = choice(kind, store.clock.now_ms(), **chosen)
        redrive = store.redrive
        found, following = redrive.page(wanted, limit, place)
        rows = [report.set_aside(each) for each in found]
        if as_json:
            print_json({"data": rows, "next_cursor": cursor(following)})
            found_any = bool(rows) or following is not None
        else:
            found_any = _print_list(rows, redrive.chosen(wanted, place))
    if not found_any:
        raise SystemExit(NOT_FOUND)


def _print_list(rows: Sequence[dict[str, Any]], every: Iterator[SetAside]) -> bool:
    """The table, and below it how many there are in all; whether there are any."""
    causes = Counter(each.leg.cause() or "unknown" for each in every)
    if rows:
        table(
            ("ID", "SINCE", "CAUSE", "DESTINATION", "CLASS", "APP", "RECIPIENTS"),
            [(row["id"], row["since"], row["cause"], row["destination"], row["class"],
              row["application"], ", ".join(row["recipients"])) for row in rows],
        )  # fmt: skip
    by_cause = ", ".join(f"{cause} {count:,}" for cause, count in causes.most_common())
    hidden = causes.total() - len(rows)
    more = f", {hidden:,} not shown" if hidden > 0 else ""
    click.echo(f"{causes.total():,} in all{more}{': ' if by_cause else ''}{printable(by_cause)}")
    return bool(rows) or bool(causes)


def _show(kind: Aside, identifier: str, as_json: bool, home: Path | None) -> None:
    with opened(home) as store:
        legs = [each for each in store.redrive.of_message(message_id(identifier))
                if each.kind == kind]  # fmt: skip
        told = Told(store.settings)
    rows = [report.set_aside(each, told) for each in legs]
    if as_json:
        print_json({"data": rows})
    for row in [] if as_json else rows:
        click.echo(f"{row['id']}  {row['kind']} since {row['since']}: {row['cause']}")
        if row["explanation"]:
            click.echo(f"  {row['explanation']}")
        click.echo(f"  from {row['from']} to {', '.join(row['recipients'])}")
        click.echo(f"  via {row['destination']}, {row['attempt_count']} attempts answered")
        print_attempts(row["attempts"])
    if not rows:
        what = "is no dead letter" if kind == "dead" else "is not held as uncertain"
        click.echo(f"{identifier} {what}, or not any more", err=True)
        raise SystemExit(NOT_FOUND)


def _decide(
    kind: Aside,
    verb: str,
    ids: Sequence[str],
    everything: bool,
    dry_run: bool,
    as_json: bool,
    home: Path | None,
    *,
    sure: bool = True,
    **chosen: Any,
) -> None:
    if not ids and not everything and not any(chosen.values()):
        raise ConfigError("say which: ids, --cause or another choice, or --all")
    with opened(home) as store:
        wanted = choice(kind, store.clock.now_ms(), ids, **chosen)
        redrive = store.redrive
        if not dry_run and not sure and not ids:
            count = redrive.count(wanted).chosen
            raise ConfigError(f"this would drop {count:,}: add --yes, or look with --dry-run")
        act = redrive.count if dry_run else redrive.drop if verb == "drop" else redrive.requeue
        redriven = act(wanted)
    _tell(verb, redriven, dry_run, as_json)


def _tell(verb: str, redriven: Redriven, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(report.redriven(redriven))
    elif dry_run:
        click.echo(f"would {verb} {redriven.chosen:,}")
    elif not redriven.interrupted:
        click.echo(f"{verb}: {redriven.done:,} of {redriven.chosen:,}")
    if redriven.overdue and verb != "drop" and not as_json:
        click.echo(f"{redriven.overdue:,} of them are past their deliver_by and expire")
    if redriven.interrupted:
        raise ConfigError(
            interrupted(
                verb, redriven.done, redriven.chosen, redriven.in_doubt, redriven.interrupted
            )
        )
    if not redriven.chosen:
        raise SystemExit(NOT_FOUND)


def _declare(group: click.Group, kind: Aside, again: str, what: str) -> None:
    """The commands of one group."""
    name = group.name

    @click.option(
        "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Of a page."
    )
    @click.option("--cursor", "after", help="Go on behind a page: its next_cursor.")
    @choosing
    @json_option
    @home_option
    def list_(**given: Any) -> None:
        _list(kind, **given)

    @click.argument("identifier", metavar="ID")
    @json_option
    @home_option
    def show(identifier: str, as_json: bool, home: Path | None) -> None:
        _show(kind, identifier, as_json, home)

    @choosing
    @_everything
    @_dry_run
    @json_option
    @home_option
    def requeue(**given: Any) -> None:
        _decide(kind, again, **given)

    @choosing
    @_everything
    @_yes
    @_dry_run
    @json_option
    @home_option
    def drop(yes: bool, **given: Any) -> None:
        _decide(kind, "drop", sure=yes, **given)

    for command, function, text, example in (
        ("list", list_, f"List {what}, the last ones first.", "--since 2h --json"),
        ("show", show, "Show one with its evidence and every attempt.", _ID),
        (again, requeue, "Queue them again, as new as their class allows.", "--app shop --dry-run"),
        ("drop", drop, "Give them up: their recipients are cancelled.", _ID),
    ):
        example = f"Example: posthaste {name} {command} {example}"
        group.command(name=command, help=f"{text}\n\n    {example}", epilog=EXIT_CODES)(function)


_declare(dead, "dead", "requeue", "dead letters")
_declare(uncertain, "uncertain", "resend", "what is held as uncertain")
