"""`posthaste queue|suspend|resume|flush`: what waits, where, why, and letting it go."""

from __future__ import annotations

from pathlib import Path

import click

from shared import report
from shared.cli.destination_table import show_all
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    changing,
    home_option,
    interrupted,
    json_option,
    opened,
    print_json,
    seconds,
)
from shared.errors import ConfigError
from shared.flushing import flush as flush_all
from shared.hops import mx_hop
from shared.model.message import CLASSES, MessageClass
from shared.suspension import wrong_reason, wrong_seconds
from shared.times import shown

FLUSH_MOST = 1_000_000


@click.command(epilog=EXIT_CODES)
@json_option
@home_option
def queue(as_json: bool, home: Path | None) -> None:
    """Show what waits: depth, oldest, rate and state of every destination, the deepest first.

    `posthaste destinations NAME` tells all of one of them.

    Example: posthaste queue --json
    """
    with opened(home) as store:
        show_all(store, as_json=as_json)


@click.command(epilog=EXIT_CODES)
@click.argument("destination")
@click.option("--for", "duration", help="90s, 30m, 2h, 1d, at most 366d; else until `resume`.")
@click.option(
    "--reason",
    default="",
    help="Shown in `queue` and to whoever asks why mail waits; 200 characters.",
)
@json_option
@home_option
def suspend(
    destination: str, duration: str | None, reason: str, as_json: bool, home: Path | None
) -> None:
    """Keep a destination's mail queued; what is in flight ends.

    Example: posthaste suspend relay --for 30m --reason "relay is being moved"
    """
    period = seconds(duration, "--for")
    for flag, wrong in (("--for", wrong_seconds(period)), ("--reason", wrong_reason(reason))):
        if wrong:
            raise ConfigError(f"{flag}: {wrong}")
    with opened(home) as store:
        idle = not store.known(destination)
        until = None if period is None else store.clock.now_ms() + period * 1000
        with changing():
            store.operations.suspend(destination, until, reason)
        if as_json:
            store.print_changed(destination)
            return
    end = f"until {shown(until)}" if until else "until `posthaste resume` lifts it"
    click.echo(f"suspended {destination} {end}")
    if idle and mx_hop(destination) is not None:
        click.echo(f"{destination} has no mail now; it shows in `queue` all the same")


@click.command(epilog=EXIT_CODES)
@click.argument("destination")
@json_option
@home_option
def resume(destination: str, as_json: bool, home: Path | None) -> None:
    """Lift a suspension, a back-off, a slow-down: mail goes at once, as fast as configured.

    Example: posthaste resume relay
    """
    with opened(home) as store:
        store.known(destination)
        with changing():
            stood_still = store.operations.resume(destination)
        if as_json:
            store.print_changed(destination)
    if not stood_still:
        click.echo(f"{destination} does not stand still, and is not slowed down", err=True)
        raise SystemExit(NOT_FOUND)
    if not as_json:
        click.echo(f"resumed {destination}")


@click.command(epilog=EXIT_CODES)
@click.argument("destination", required=False)
@click.option("--class", "message_class", type=click.Choice(CLASSES), help="Only this class.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@json_option
@home_option
def flush(
    destination: str | None,
    message_class: MessageClass | None,
    dry_run: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Make deferred mail due now, of one destination or of all; scheduled mail keeps its time.

    Example: posthaste flush relay --class critical
    """
    with opened(home) as store:
        if destination is not None:
            store.known(destination)
        rows = [
            each
            for each in store.operations.destinations()
            if destination in (None, each.hop) and message_class in (None, each.message_class)
        ]
        told = flush_all(store.operations, rows, most=FLUSH_MOST, dry_run=dry_run)
    if as_json:
        print_json(report.flushed(told))
    elif not told.interrupted:
        count = told.chosen if dry_run else told.flushed
        click.echo(f"{'would flush' if dry_run else 'flushed'} {count:,} deferred legs")
        for name in told.stand_still:
            click.echo(f"{name} stands still: `posthaste resume {name}` lets its mail go")
    if told.interrupted:
        raise ConfigError(
            interrupted("flush", told.flushed, told.chosen, told.in_doubt, told.interrupted)
        )
    if not (told.chosen if dry_run else told.flushed):
        raise SystemExit(NOT_FOUND)
