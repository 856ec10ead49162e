"""`posthaste returns list|show|drop`: mail that came back, could not be matched, and is kept.

Strangers wrote it: nothing of it moves the cursor of a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

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
from shared.errors import ConfigError
from shared.store.redis_returns import RedisReturns
from shared.store.returns import Returned
from shared.times import shown


@click.group()
def returns() -> None:
    """Mail that came back and is kept for a look: list, show, drop.

    Example: posthaste returns list
    """


@contextmanager
def _opened(home: Path | None) -> Iterator[RedisReturns]:
    store = RedisReturns(settings_for(home))
    try:
        yield store
    finally:
        store.close()


def _row(mail: Returned) -> dict[str, Any]:
    return {
        "id": mail.id,
        "at": shown(mail.at_ms),
        "reason": mail.reason,
        "from": mail.sender,
        "to": mail.recipient,
        "subject": mail.subject,
        "size_bytes": mail.size_bytes,
    }


@returns.command(name="list", epilog=EXIT_CODES)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@home_option
def list_(limit: int, as_json: bool, home: Path | None) -> None:
    """List what is kept, the last ones first, and why it could not be matched.

    Example: posthaste returns list --limit 10 --json
    """
    with _opened(home) as store:
        rows = [_row(mail) for mail in store.kept(limit)]
    if as_json:
        print_json({"data": rows})
    elif rows:
        names = ("id", "at", "reason", "from", "to", "size_bytes", "subject")
        head = ("ID", "SINCE", "REASON", "FROM", "TO", "BYTES", "SUBJECT")
        table(head, [[row[name] or "<>" for name in names] for row in rows])
    if not rows:
        click.echo("nothing is kept", err=True)
        raise SystemExit(NOT_FOUND)


@returns.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="ID")
@click.option("--raw", is_flag=True, help="Its bytes as they came, to a file or another program.")
@json_option
@home_option
def show(identifier: str, raw: bool, as_json: bool, home: Path | None) -> None:
    """Show one with its content, of which at most 64 KiB are kept.

    Example: posthaste returns show 5f0c63a2d17e9b48
    """
    if raw and sys.stdout.isatty():
        raise ConfigError("--raw is not for a terminal: send it to a file, such as > mail.eml")
    with _opened(home) as store:
        mail = store.kept_one(identifier)
    if mail is None:
        click.echo(f"{printable(identifier)} is not kept, or not any more", err=True)
        raise SystemExit(NOT_FOUND)
    if raw:
        click.echo(mail.content, nl=False)
        return
    text = mail.content.decode(errors="replace")
    if as_json:
        print_json({**_row(mail), "content": text})
        return
    click.echo(f"{mail.id}  {shown(mail.at_ms)}  {printable(mail.reason)}")
    click.echo(f"from <{printable(mail.sender)}> to <{printable(mail.recipient)}>,"
               f" {mail.size_bytes:,} bytes")  # fmt: skip
    click.echo()
    for line in text.replace("\r\n", "\n").split("\n"):
        click.echo(printable(line.replace("\t", "    ")))


@returns.command(epilog=EXIT_CODES)
@click.argument("identifiers", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All of it.")
@json_option
@home_option
def drop(identifiers: tuple[str, ...], everything: bool, as_json: bool, home: Path | None) -> None:
    """Remove what was looked at.

    Example: posthaste returns drop 5f0c63a2d17e9b48
    """
    if bool(identifiers) == everything:
        raise ConfigError("say which: ids, or --all")
    with _opened(home) as store, changing():
        chosen = [None] if everything else [*identifiers]
        dropped = sum(store.drop_kept(each) for each in chosen)
    if as_json:
        print_json({"dropped": dropped})
    else:
        click.echo(f"dropped: {dropped:,}")
    if not dropped:
        raise SystemExit(NOT_FOUND)
