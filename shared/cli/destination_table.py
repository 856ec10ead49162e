"""`posthaste destinations`: all of them in a table, or everything about one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from shared import destination_report, report
from shared.cli.operate import (
    EXIT_CODES,
    Store,
    home_option,
    json_option,
    opened,
    print_json,
    printable,
    table,
)
from shared.limit_report import amount
from shared.store.operations import Destination
from shared.times import short_duration, shown

_WIDTH = 160
_LEAST_WHY = 40
"""Characters of a line, and of its last column; the rest is told of one destination."""
_HEAD = ("DESTINATION", "CLASS", "STATE", "READY", "DEFERRED", "IN FLIGHT", "OLDEST", "PER MIN",
         "WHY")  # fmt: skip


@click.command(epilog=EXIT_CODES)
@click.argument("destination", required=False)
@json_option
@home_option
def destinations(destination: str | None, as_json: bool, home: Path | None) -> None:
    """Show all destinations as `queue` does, or everything about one of them.

    Example: posthaste destinations relay
    """
    with opened(home) as store:
        if destination is None:
            show_all(store, as_json=as_json)
            return
        store.known(destination)
        rows, now = store.destinations(destination), store.clock.now_ms()
        body = destination_report.of_destination(destination, rows, now, store.routes)
    if as_json:
        print_json(body)
    else:
        for each in body["data"]:
            _print(each)
        for each in body.get("members", ()):
            why = f": {each['reason']}" if each["reason"] else ""
            until = f" until {each['until']}" if each["until"] else ""
            click.echo(f"  member {each['destination']}: {each['state']}{until}{why}")


def show_all(store: Store, *, as_json: bool) -> None:
    """All of them."""
    rows, depth, now = store.destinations(), store.spool.depth(), store.clock.now_ms()
    if as_json:
        print_json({"data": destination_report.destinations(rows, now), "next_cursor": None,
                    "totals": report.totals(depth)})  # fmt: skip
        return
    found = [_row(each, now, destination_report.probe(each, rows)) for each in rows]
    others = sum(max(len(row[at]) for row in [_HEAD, *found]) + 2 for at in range(len(_HEAD) - 1))
    most = max(_LEAST_WHY, _WIDTH - others)
    table(_HEAD, [(*row[:-1], _cut(row[-1], most)) for row in found])
    totals = ", ".join(
        f"{name.replace('_', ' ')} {n:,}" for name, n in report.totals(depth).items()
    )
    click.echo(f"\n{totals}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _row(each: Destination, now_ms: int, probed: str) -> tuple[str, ...]:
    oldest = "-" if each.oldest_ms is None else short_duration(each.oldest_ms / 1000)
    state = each.state(now_ms).replace("_", " ")
    return (
        each.hop, each.message_class, state, f"{each.ready:,}", f"{each.deferred:,}",
        f"{each.in_flight:,}", oldest, f"{each.per_minute:,.0f}", _why(each, now_ms, probed),
    )  # fmt: skip


def _why(each: Destination, now_ms: int, probed: str) -> str:
    pause = each.pause
    if pause is None and each.state(now_ms) == "limited" and each.wakes_ms is not None:
        return f"next in {short_duration((each.wakes_ms - now_ms) / 1000)}; {_limits(each)}"
    if pause is None:
        return _limits(each)
    if pause.kind == "suspended":
        until = f"until {shown(pause.until_ms)}" if pause.until_ms else "until it is resumed"
        return f"{until}{': ' if pause.reason else ''}{pause.reason}"
    times = "once" if pause.strikes == 1 else f"{pause.strikes} times in a row"
    left = short_duration(((pause.until_ms or 0) - now_ms) / 1000)
    probe = f"next probe in {left}" if (pause.until_ms or 0) > now_ms else probed
    return f"{probe}: {pause.reason}, {times}"  # What is cut off in a table is told of one.


def _limits(each: Destination) -> str:
    """The limits in a few words."""
    numbers = destination_report.limits(each)
    told = ", ".join(amount(number) for number in numbers if number["limit"])
    origins = {number["from"] for number in numbers}
    by = [
        text
        for origin, text in (("operator", "by an operator"), ("slowed", "slowed down"))
        if origin in origins
    ]
    return "; ".join(filter(None, (f"at most {told}" if told else "", *by)))


def _print(each: dict[str, Any]) -> None:
    past = each["state"] == "probing"  # Its pause is over.
    until = f" until {each['until']}" if each["until"] and not past else ""
    reason = f" ({printable(each['reason'])})" if each["reason"] else ""
    state = each["state"].replace("_", " ")
    click.echo(f"{printable(each['destination'])}, class {each['class']}: {state}{until}{reason}")
    if each["strikes"]:
        times = "once" if each["strikes"] == 1 else f"{each['strikes']} times"
        click.echo(f"  has stood still {times} since {each['since']}")
    shares = ", ".join(
        f"{printable(one['application'] or '(unnamed)')} {one['ready']:,}"
        for one in each["applications"]
    )
    oldest = "" if each["oldest_seconds"] is None else (
        f", the oldest accepted {short_duration(each['oldest_seconds'])} ago"
    )  # fmt: skip
    click.echo(
        f"  ready {each['ready']:,}{f' ({shares})' if shares else ''}, deferred"
        f" {each['deferred']:,}, in flight {each['in_flight']:,}{oldest}"
    )
    click.echo(
        f"  answered in the last minute {each['per_minute']:,.0f}, sessions open"
        f" {each['connections']:,}"
    )
    for number in each["limits"]:
        click.echo(f"  {_limit(number)}")
    if each["last_refusal"]:
        refusal = each["last_refusal"]
        click.echo(f"  last refused {refusal['at']}: {printable(refusal['reply'])}")
    for text in _what_to_do(each):
        click.echo(f"  {text}")


def _what_to_do(each: dict[str, Any]) -> list[str]:
    """What somebody may want to do about one that stands still."""
    name = shlex.quote(each["destination"])
    if each["state"] in ("backing_off", "probing"):
        then = " then" if each["state"] == "backing_off" else ""
        return [
            f"one message tries it{then}, and the rest follows when it is taken",
            f"at once: posthaste resume {name}; another way: posthaste move {name} --to HOP",
        ]
    return [f"to let it go: posthaste resume {name}"] if each["state"] == "suspended" else []


def _limit(number: dict[str, Any]) -> str:
    """A limit, what is used of it, and where it comes from."""
    name = f"{number['name'].replace('_', ' ')} of {number['of']}"
    used = "" if number["used"] is None else f", {number['used']:,} used"
    most = amount(number) if number["limit"] else "none"
    configured = ""
    if number["from"] != "configured":
        before = (
            amount(number | {"limit": number["configured"]}) if number["configured"] else "none"
        )
        configured = f"; configured {before}"
    return f"limit {name}: {most}{used} ({origin(number)}{configured})"


def origin(number: dict[str, Any]) -> str:
    """Where a limit comes from, until when, and why."""
    until, reason = number["until"], number["reason"]
    if number["from"] == "slowed":
        return f"slowed down, twice as much each minute until {until}"
    end = f" until {until}" if until else ""
    return f"{number['from']}{end}{f': {printable(reason)}' if reason else ''}"
