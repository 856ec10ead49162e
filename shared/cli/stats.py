"""`posthaste stats`: what became of mail, and what came back, by application, class and site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    home_option,
    json_option,
    opened,
    print_json,
    table,
)
from shared.stats_report import DEFAULT_DAYS, MOST_DAYS
from shared.stats_report import stats as stats_of
from shared.store.outcomes import WHATS

_HEAD = ("APPLICATION", "CLASS", "SITE", "DELIVERED", "BOUNCED", "EXPIRED", "SUPPRESSED",
         "BOUNCED LATE", "COMPLAINED", "UNSUBSCRIBED", "BOUNCES", "COMPLAINTS")  # fmt: skip


@click.command(epilog=EXIT_CODES)
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=DEFAULT_DAYS,
    show_default=True,
    help="In UTC, today included.",
)
@click.option("--application", "--app", "application", help="Only this application's.")
@json_option
@home_option
def stats(days: int, application: str | None, as_json: bool, home: Path | None) -> None:
    """Show what became of recipients, and the rates of bounces and complaints.

    Example: posthaste stats --days 1 --application shop
    """
    with opened(home) as store:
        body = stats_of(store.returns.outcomes(days), days, store.clock.now_ms(), application)
    if as_json:
        print_json(body)
    elif body["data"]:
        table(_HEAD, [_row(each) for each in body["data"]])
    else:
        click.echo(f"nothing was counted since {body['since']}", err=True)
    if not body["data"]:
        raise SystemExit(NOT_FOUND)


def _row(each: dict[str, Any]) -> list[str]:
    return [
        each["application"] or "(several)", each["class"], each["site"],
        *(f"{each[what]:,}" for what in WHATS),
        *(_percent(each[rate]) for rate in ("bounce_rate", "complaint_rate")),
    ]  # fmt: skip


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2%}"
