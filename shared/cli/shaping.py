"""`posthaste shaping`: what applies to a site, a relay or a route, and what a reply would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shared.cli.operate import (
    EXIT_CODES,
    NOT_FOUND,
    home_option,
    json_option,
    print_json,
    printable,
    table,
)
from shared.cli.replies import known, parsed_reply
from shared.cli.store import config_for
from shared.errors import ConfigError
from shared.hosts import host as host_of
from shared.routing import relay_names
from shared.settings import Settings
from shared.shaping.rules import Rule, about_recipient
from shared.shaping.settings import FIGURES, Shape, ShapingSettings
from shared.shaping.shaping import Shaped, Shaping

_WIDTH = 50
"""Characters of an expression in the table; --json has all of it."""


@click.group()
def shaping() -> None:
    """Look at limits and at rules on replies: shaping.toml, and what is shipped.

    Example: posthaste shaping show gmail-smtp-in.l.google.com
    """


@shaping.command(epilog=EXIT_CODES)
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--relay", metavar="NAME", help="Of a relay instead.")
@click.option("--route", metavar="NAME", help="Of a route instead.")
@json_option
@home_option
def show(
    hosts: tuple[str, ...], relay: str | None, route: str | None, as_json: bool, home: Path | None
) -> None:
    """Tell which entry applies to a site with these MX hosts, and each figure with its origin.

    Without HOSTs it is the default of all sites. Nothing is looked up, and no store is asked.

    Example: posthaste shaping show gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com
    """
    if sum((bool(hosts), relay is not None, route is not None)) > 1:
        raise ConfigError("give MX hosts, or --relay, or --route: one of them")
    settings = config_for(home)
    found = Shaping(settings)
    if relay is not None:
        known("relay", relay, relay_names(settings.relay))
        shaped, tables = found.of_relay(relay), [("relay", relay)]
    elif route is not None:
        known("route", route, [each.name for each in settings.route])
        shaped, tables = found.of_route(route) or Shaped("", Shape()), [("route", route)]
    else:
        shaped = found.of_site(host_of(each) for each in hosts)
        tables = [("default", "")] + ([("site", shaped.provider)] if shaped.provider else [])
    entry = _heading(*tables[-1])
    rows = _figures(shaped.shape, tables, settings)
    if as_json:
        body = {"entry": entry, "provider": shaped.provider or None, "limits": rows}
        print_json(body | _why(settings.shaping, tables[-1]))
    else:
        click.echo(f"[{entry}]")
        _print_figures(rows, _why(settings.shaping, tables[-1]))
    if not rows:
        raise SystemExit(NOT_FOUND)


@shaping.command(epilog=EXIT_CODES)
@json_option
@home_option
def rules(as_json: bool, home: Path | None) -> None:
    """List the rules on replies, in the order in which they are asked.

    Example: posthaste shaping rules --json
    """
    settings = config_for(home)
    found = [_rule(each, settings.shaping) for each in Shaping(settings).rules]
    if as_json:
        print_json({"data": found})
    else:
        table(
            ("RULE", "SITES", "CODES", "TEXT", "DOES", "FROM"),
            [
                (
                    each["name"], ", ".join(each["sites"]) or "all",
                    " ".join([*map(str, each["codes"]), *each["enhanced"]]) or "4xx",
                    _short(each["text"]) or "any", each["does"], each["origin"],
                )
                for each in found
            ],
        )  # fmt: skip
    if not found:
        raise SystemExit(NOT_FOUND)


@shaping.command("try", epilog=EXIT_CODES)
@click.argument("reply")
@click.option("--site", metavar="NAME", help="The site that says it, such as google.")
@click.option("--rcpt", is_flag=True, help="It answers RCPT.")
@json_option
@home_option
def try_reply(reply: str, site: str | None, rcpt: bool, as_json: bool, home: Path | None) -> None:
    """Tell which rule a server's REPLY matches, and what happens then.

    Example: posthaste shaping try "421 4.7.0 Too many connections" --site google
    """
    settings = config_for(home)
    code, enhanced, text = parsed_reply(reply)
    if site is not None:
        known("site", site, list(settings.shaping.site))
    found = Shaping(settings).rules.find(code, enhanced, text, at_rcpt=rcpt, provider=site or "")
    row = _rule(found, settings.shaping) if found else None
    about = about_recipient(code, enhanced, text, at_rcpt=rcpt)
    if as_json:
        print_json({"rule": row, "about_recipient": about or None})
    elif row:
        click.echo(f"rule {row['name']} ({row['origin']}): {row['does']}")
        click.echo(f"  {row['reason']}" + (f" ({row['source']})" if row["source"] else ""))
    else:
        click.echo("no rule: " + (f"it is {about}" if about else "nothing is suspended or slowed"))
    if not found:
        raise SystemExit(NOT_FOUND)


def _figures(
    shape: Shape, tables: list[tuple[str, str]], settings: Settings
) -> list[dict[str, Any]]:
    """Each figure that is said, with the table and file it is from; of several the last says it."""
    rows = []
    for figure in FIGURES:
        value = getattr(shape, figure)
        if value is None:
            continue
        entry, origin = "rate", "posthaste.toml"
        for table_name, name in tables:
            if _said(settings.shaping, table_name, name, figure):
                entry = _heading(table_name, name)
                own = (table_name, name, figure) in settings.shaping.own
                origin = settings.shaping.path if own else "shipped"
        rows.append({"limit": figure, "value": value, "entry": entry, "origin": origin})
    return rows


def _said(settings: ShapingSettings, table_name: str, name: str, figure: str) -> bool:
    entries = getattr(settings, table_name)
    entry = entries if table_name == "default" else entries.get(name)
    return getattr(entry, figure, None) is not None


def _print_figures(rows: list[dict[str, Any]], why: dict[str, Any]) -> None:
    if not rows:
        click.echo("no limits of its own")
        return
    table(
        ("LIMIT", "VALUE", "ENTRY", "FROM"),
        [(each["limit"], f"{each['value']:g}", each["entry"], each["origin"]) for each in rows],
    )
    for text in filter(None, why.values()):
        click.echo(printable(text))


def _why(settings: ShapingSettings, place: tuple[str, str]) -> dict[str, Any]:
    table_name, name = place
    entries = getattr(settings, table_name)
    entry = entries if table_name == "default" else entries.get(name)
    return {"reason": getattr(entry, "reason", ""), "source": getattr(entry, "source", "")}


def _rule(rule: Rule, settings: ShapingSettings) -> dict[str, Any]:
    own = any(name == rule.name for place, name, _ in settings.own if place == "rule")
    return {
        "name": rule.name,
        "sites": sorted(rule.sites),
        "codes": sorted(rule.codes),
        "enhanced": [each + "*" if each.endswith(".") else each for each in rule.enhanced],
        "text": rule.text.pattern if rule.text else "",
        "suspend_seconds": rule.suspend_seconds,
        "slow": rule.slow,
        "does": _does(rule),
        "origin": settings.path if own else "shipped",
        "reason": rule.reason,
        "source": rule.source,
    }


def _does(rule: Rule) -> str:
    """In words."""
    does = [f"suspended for {rule.suspend_seconds:g} s"] if rule.suspend_seconds else []
    return ", then ".join([*does, "slower"] if rule.slow else does)


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _heading(table_name: str, name: str) -> str:
    return f"{table_name}.{name}" if name else table_name
