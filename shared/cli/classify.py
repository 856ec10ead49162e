"""`posthaste classify`: what a server's reply would mean, and by which rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from shared.classification.classification import Classification
from shared.classification.file import statuses
from shared.classification.meaning import Meaning
from shared.classification.settings import ClassificationSettings, ReplySettings
from shared.cli.operate import EXIT_CODES, home_option, json_option, print_json, printable, table
from shared.cli.replies import known, parsed_reply
from shared.cli.store import config_for
from shared.errors import ConfigError

_WIDTH = 50
"""Characters of an expression in the table; --json has all of it."""
SHIPPED = "shipped"
_ABOUT = {
    "recipient": "about this recipient",
    "message": "about the message",
    "site": "about the site",
    "source": "about who sends",
}


@click.command(epilog=EXIT_CODES)
@click.argument("reply", required=False)
@click.option("--site", metavar="NAME", help="The provider that says it, such as google.")
@click.option("--rcpt", is_flag=True, help="It answers RCPT.")
@click.option("--list", "listed", is_flag=True, help="List the rules, in the order they are asked.")
@json_option
@home_option
def classify(
    reply: str | None,
    site: str | None,
    rcpt: bool,
    listed: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Tell what a server's REPLY means: deferral or bounce, why, for whom, and by which rule.

    Nothing is sent, and no store is asked. REPLY may have several lines, as a server sends them, or
    begin with "smtp;" as in a bounce.

    Example: posthaste classify "550 5.1.1 User unknown" --site google
    """
    if (reply is None) != listed:
        raise ConfigError('give a reply, such as "550 5.1.1 User unknown", or else --list')
    settings = config_for(home)
    found = Classification(settings)
    if reply is None:
        _list([_row(each, settings.classification) for each in found], as_json)
        return
    code, enhanced, text = parsed_reply(reply)
    if code // 100 not in (4, 5):
        raise ConfigError(f"{code} refuses nothing: only replies of 4xx and 5xx are classified")
    if site is not None:
        known("site", site, list(settings.shaping.site))
    meaning = found.of(code, enhanced, text, provider=site or "", at_rcpt=rcpt)
    why = _why(meaning.rule, found, settings.classification)
    if as_json:
        print_json(msgspec.to_builtins(meaning) | why)
        return
    _print(meaning, why)


def _print(meaning: Meaning, why: dict[str, str | None]) -> None:
    click.echo(f"{meaning.outcome}: {meaning.category} ({_ABOUT[meaning.scope]})")
    dead = "yes, the address is dead" if meaning.suppresses else "no"
    if meaning.doubt:
        dead = (
            f'no, for "{printable(meaning.doubt)}": it may be about something else than the'
            " address, or not for good"
        )
    click.echo(f"  suppresses the address: {dead}")
    click.echo(f"  by {meaning.rule} ({why['origin']})")
    if why["reason"]:
        source = f" ({why['source']})" if why["source"] else ""
        click.echo(f"  {printable(why['reason'])}{printable(source)}")


def _why(
    rule: str, found: Classification, settings: ClassificationSettings
) -> dict[str, str | None]:
    """Where a rule is from, and what it says of itself."""
    for entry in found:
        if entry.name == rule:
            origin = _origin(entry, settings)
            return {"origin": origin, "reason": entry.reason, "source": entry.source or None}
    of = rule.rpartition(" ")[2]
    for status in statuses():
        if status.of == of.partition(".")[2] or status.of == of:
            return {"origin": SHIPPED, "reason": status.reason, "source": status.source}
    reason = "no rule knows its text, nor any its code: the first digit decides"
    if rule.startswith("552"):
        reason = "552 to RCPT has long meant too many recipients, which is temporary"
    source = "https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.10"
    if rule.startswith("digit"):
        source = "https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1"
    return {"origin": SHIPPED, "reason": reason, "source": source}


def _origin(entry: ReplySettings, settings: ClassificationSettings) -> str:
    return settings.path if entry.name in settings.own else SHIPPED


def _row(entry: ReplySettings, settings: ClassificationSettings) -> dict[str, Any]:
    return {**msgspec.to_builtins(entry), "origin": _origin(entry, settings)}


def _list(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"data": rows})
        return
    table(
        ("RULE", "PROVIDERS", "CODES", "TEXT", "MEANS", "SUPPRESSES", "FROM"),
        [
            (
                each["name"], ", ".join(each["providers"]) or "all",
                " ".join([*map(str, each["codes"]), *each["enhanced"]]) or "any",
                _short(each["text"]) or "any",
                f"{each['outcome'] or 'by its digit'}: {each['category']} ({each['scope']})",
                "yes" if each["suppresses"] else "no", each["origin"],
            )
            for each in rows
        ],
    )  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
