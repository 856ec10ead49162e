"""`posthaste move`: mail that waits at one hop waits at another one from now on."""

from __future__ import annotations

from pathlib import Path

import click

from shared import report
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    home_option,
    interrupted,
    json_option,
    opened,
    print_json,
    printable,
)
from shared.errors import ConfigError
from shared.model.message import CLASSES, MessageClass
from shared.moving import BY_ROUTES, Moved, Moving, wrong_target
from shared.moving import move as move_all
from shared.routing import Routes

MOST = 1_000_000


@click.command(epilog=EXIT_CODES)
@click.argument("destination")
@click.option("--to", required=True, help="A hop that `queue` shows, or `routes`: as they say now.")
@click.option("--class", "message_class", type=click.Choice(CLASSES), help="Only this class.")
@click.option("--app", "--application", "application", help="Only this application's.")
@click.option(
    "--limit", type=click.IntRange(1), default=MOST, show_default=True, help="So many legs at most."
)
@click.option("--now", is_flag=True, help="Deferred mail is due at once; else it keeps its time.")
@click.option("--uncertain", is_flag=True, help="Also what may have arrived: it may come twice.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@json_option
@home_option
def move(
    destination: str,
    to: str,
    message_class: MessageClass | None,
    application: str | None,
    limit: int,
    now: bool,
    uncertain: bool,
    dry_run: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Move ready and deferred mail of DESTINATION to another hop, such as of a relay that is down.

    What is in flight stays, what waits for its send_at too. New mail goes where the routes say.

    Example: posthaste move relay --to relay2 --class critical
    """
    with opened(home) as store:
        store.known(destination)
        routes = Routes(store.settings)
        if wrong := wrong_target(to, destination, routes):
            raise ConfigError(f"--to: {wrong}")
        moving = Moving(destination, to, message_class, application, limit, now, uncertain, dry_run)
        told = move_all(store.operations, store.destinations(), moving, routes)
    if as_json:
        print_json(report.moved(told, to))
    elif not told.interrupted:
        _tell(told, moving)
    if told.interrupted:
        raise ConfigError(
            interrupted("move", told.moved, told.chosen, told.in_doubt, told.interrupted)
        )
    if not (told.movable if dry_run else told.moved):
        raise SystemExit(NOT_FOUND)


def _tell(told: Moved, moving: Moving) -> None:
    verb, count = ("would move", told.movable) if moving.dry_run else ("moved", told.moved)
    where = "where the routes say" if moving.to == BY_ROUTES else f"to {moving.to}"
    click.echo(f"{verb} {count:,} legs from {printable(moving.hop)} {where}")
    if told.stay:
        click.echo(f"{told.stay:,} stay: they may have arrived; --uncertain moves them, too")
    if told.same:
        click.echo(f"{told.same:,} stay: the routes send them there")
    for name in told.stand_still:
        click.echo(f"{name} stands still: `posthaste resume {name}` lets its mail go")
