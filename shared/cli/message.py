"""`posthaste message show ID`: where a message is, why, and every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shared import report
from shared.classification.told import Told
from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    home_option,
    json_option,
    message_id,
    opened,
    print_json,
    printable,
)
from shared.routing import Routes

_WAITS = {
    "in_flight": "is being delivered now",
    "send_at": "waits for its time",
    "retry": "waits for the next attempt",
    "a_worker": "waits for a worker: nothing stands in its way",
    "limit": "waits: its destination may not have more at the moment",
    "suspended": "waits: an operator has suspended the destination",
    "relay_trouble": "waits: the destination stands still",
}


@click.group()
def message() -> None:
    """Messages: show.

    Example: posthaste message show msg_0199f0c2a5d07b6e8d53a0b7c1e2f344
    """


@message.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="ID")
@json_option
@home_option
def show(identifier: str, as_json: bool, home: Path | None) -> None:
    """Show every recipient: status, what it waits for and until when, every attempt.

    Example: posthaste message show msg_0199f0c2a5d07b6e8d53a0b7c1e2f344 --json
    """
    with opened(home) as store:
        stored, routes = store.spool.get(message_id(identifier)), Routes(store.settings)
        told = Told(store.settings)
    if stored is None:
        click.echo(f"there is no message {identifier}, or not any more", err=True)
        raise SystemExit(NOT_FOUND)
    body = report.message(stored, routes, told)
    if as_json:
        print_json(body)
    else:
        _print(body)


def _print(body: dict[str, Any]) -> None:
    click.echo(f"{body['id']}  class {body['class']}, accepted {body['created_at']}")
    click.echo(f"  from {printable(body['from'])}: {printable(body['subject'])}")
    if body["list"]:
        click.echo(f"  to the list {printable(body['list'])}")
    for name, label in (("send_at", "to be sent"), ("deliver_by", "of no use after")):
        if body[name]:
            click.echo(f"  {label} {body[name]}")
    click.echo(f"  gives up {body['gives_up_at']}")
    if body["request_id"]:
        click.echo(f"  came with request {printable(body['request_id'])}")
    for each in body["recipients"]:
        click.echo(f"\n{printable(each['address'])} ({each['kind']}): {each['status']}")
        if each["waiting_for"]:
            reason = f" ({printable(each['waiting_reason'])})" if each["waiting_reason"] else ""
            until = f", until {each['next_attempt_at']}" if each["next_attempt_at"] else ""
            click.echo(f"  {_WAITS[each['waiting_for']]}{until}{reason}")
            click.echo(f"  {_way(each)}")
        print_attempts(each["attempts"])


def _way(each: dict[str, Any]) -> str:
    """Where a recipient's mail goes, and why there."""
    where = f"destination {printable(each['destination'])}"
    if each["via"] not in (None, each["destination"]):
        where += f", which {each['via']} has it of"
    if each["site"]:
        where += f", the site {each['site']}"
    return f"{where}; route {each['route']}" if each["route"] else f"{where}; no route of its own"


def print_attempts(attempts: Sequence[dict[str, Any]]) -> None:
    """One line each, the first one first."""
    for each in attempts:
        note = each["note"] if each["note"] != each["outcome"] else None
        parts = [each["outcome"], each["code"], each["enhanced_code"], each["reply"], note]
        if each.get("last_reply"):
            parts.append(f"last reply {each['last_reply']}")
        if each.get("bytes_sent"):
            parts.append(f"{each['bytes_sent']:,} bytes sent")
        if each.get("address"):
            parts = [f"{each['address']}:", *parts]
        told = " ".join(printable(part) for part in parts if part)
        click.echo(f"  {each['at']}  via {printable(each['via'])}  {told}")
