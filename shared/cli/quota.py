"""`posthaste quota`: what applications may send, and what they have used of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shared import report
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    Store,
    home_option,
    json_option,
    opened,
    print_json,
    printable,
    table,
)
from shared.store.quotas import quota_of


@click.command(epilog=EXIT_CODES)
@click.argument("application", required=False)
@json_option
@home_option
def quota(application: str | None, as_json: bool, home: Path | None) -> None:
    """Show the quotas of every application that has one, or of one APPLICATION.

    Example: posthaste quota shop --json
    """
    with opened(home) as store:
        names = sorted(store.settings.application) if application is None else [application]
        found = [each for each in (_quota(store, name) for name in names) if each["quota"]]
    if as_json:
        print_json({"data": found, "next_cursor": None})
    elif found:
        table(
            ("APPLICATION", "WINDOW", "LIMIT", "USED", "NEW AT"),
            [_row(each["application"], window) for each in found for window in each["quota"]],
        )
    else:
        whose = "no application" if application is None else printable(application)
        click.echo(f"{whose}: no quota is set", err=True)
    if not found:
        raise SystemExit(NOT_FOUND)


def _quota(store: Store, application: str) -> dict[str, Any]:
    found = quota_of(store.settings, application)
    return report.quota(application, found, store.spool.uses(application) if found else ())


def _row(application: str, window: dict[str, Any]) -> tuple[object, ...]:
    return (
        application, window["window"], f"{window['limit']:,}", f"{window['used']:,}",
        window["reset"],
    )  # fmt: skip
