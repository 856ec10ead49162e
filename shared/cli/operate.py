"""What the operators' commands share: the store's ports, how to choose, how to print.

`EXIT_CODES` says how each of them ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from shared.cli.store import settings_for
from shared.clock import Clock, SystemClock
from shared.destination_report import everything, of_destination
from shared.errors import ConfigError, OutcomeUnknown, StoreError
from shared.ids import parse_external
from shared.model.message import CLASSES
from shared.redrive import Choice, Redrive
from shared.routing import Routes
from shared.settings import Settings
from shared.store.operations import Destination
from shared.store.redis_operations import RedisOperations
from shared.store.redis_returns import RedisReturns
from shared.store.redis_spool import RedisSpool
from shared.store.redis_suppressions import RedisSuppressions
from shared.times import duration_seconds, parsed

NOT_FOUND = 1
EXIT_CODES = (
    "Exit codes: 0 done; 1 nothing was found; 2 a wrong call, or a store that does not answer or"
    " went away in the middle; 130 Ctrl-C; 141 nobody reads the output any more."
)

_Command = TypeVar("_Command", bound=Callable[..., Any])

home_option = click.option(
    "--home", type=click.Path(path_type=Path), help="Use the store of the `up` in this directory."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Store(msgspec.Struct, frozen=True):
    """The store as operators see it."""

    settings: Settings
    clock: Clock
    spool: RedisSpool
    operations: RedisOperations
    suppressions: RedisSuppressions
    returns: RedisReturns

    @property
    def redrive(self) -> Redrive:
        """Decisions about what is set aside."""
        return Redrive(self.spool, self.operations, self.settings.retry, self.clock)

    @property
    def routes(self) -> Routes:
        """Those of the settings."""
        return Routes(self.settings)

    def destinations(self, asked: str = "") -> list[Destination]:
        """Every destination, the configured ones that are idle too, and the site `asked` for."""
        return everything(self.operations, self.routes, asked)

    def print_changed(self, name: str) -> None:
        """One destination as JSON, after a change of it. Raises `ConfigError`."""
        try:
            rows = self.destinations(name)
        except StoreError as error:
            raise ConfigError(
                f"it was done, but then {error}; look with `posthaste queue`"
            ) from error
        print_json(of_destination(name, rows, self.clock.now_ms(), self.routes))

    def known(self, name: str) -> bool:
        """Whether a destination has mail. Raises `ConfigError` when there is none such."""
        rows = self.destinations(name)
        mine = [each for each in rows if each.hop == name]
        if not mine:
            there = ", ".join(sorted({each.hop for each in rows}))
            raise ConfigError(f"there is no destination {printable(name)}; there are: {there}")
        return any(each.ready or each.deferred or each.in_flight for each in mine)


@contextmanager
def opened(home: Path | None) -> Iterator[Store]:
    """The store of an installation, or the configured one."""
    settings = settings_for(home)
    spool, operations = RedisSpool(settings, connections=2), RedisOperations(settings)
    suppressions, returns = RedisSuppressions(settings), RedisReturns(settings)
    try:
        yield Store(settings, SystemClock(), spool, operations, suppressions, returns)
    finally:
        returns.close()
        spool.close()
        operations.close()
        suppressions.close()


@contextmanager
def changing(look: str = "posthaste queue") -> Iterator[None]:
    """Around one change: without an answer nobody knows whether it was done. `look` tells it."""
    try:
        yield
    except OutcomeUnknown as error:
        raise ConfigError(
            f"{error}: it may or may not have been done; look with `{look}`, and run it again"
        ) from error


def print_json(body: Any) -> None:
    """JSON for other programs."""
    click.echo(json.dumps(body, indent=2))


def interrupted(verb: str, done: int, chosen: int, in_doubt: int, why: str) -> str:
    """What to say when the store went away in the middle."""
    doubt = f", and at most {in_doubt:,} more" if in_doubt else ""
    return (
        f"{verb}: {done:,} of {chosen:,} done{doubt}, then the store went away ({why});"
        " run it again"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their widest entry; what came from outside cannot move the cursor."""
    texts = [[printable(each) for each in row] for row in [head, *rows]]
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]
    for row in texts:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def printable(value: object) -> str:
    """Text for a terminal: servers and senders do not write to it."""
    return "".join(each if each.isprintable() else "\ufffd" for each in str(value))


def message_id(text: str) -> bytes:
    """The id behind `msg_...`. Raises `ConfigError`."""
    found = parse_external(text)
    if found is None:
        raise ConfigError(f"{printable(text)} is no message id: they look like msg_0199...")
    return found


def moment(text: str | None, flag: str, now_ms: int) -> int | None:
    """A time, or how long ago (`2h`), in ms. Raises `ConfigError`."""
    if text is None:
        return None
    ago = duration_seconds(text)
    try:
        found = now_ms - ago * 1000 if ago is not None else parsed(text)
    except ValueError:
        found = None
    if found is None:
        raise ConfigError(
            f"{flag} takes a time such as 2027-01-31T12:00:00Z, or how long ago: 90s, 30m, 2h, 1d"
        )
    return found


def seconds(text: str | None, flag: str) -> int | None:
    """A duration in seconds. Raises `ConfigError`."""
    if text is None:
        return None
    found = duration_seconds(text)
    if not found:
        raise ConfigError(f"{flag} takes a duration such as 90s, 30m, 2h or 1d")
    return found


def choosing(command: _Command) -> _Command:
    """The options that choose what is set aside."""
    for option in reversed(
        (
            click.argument("ids", nargs=-1, metavar="[ID]..."),
            click.option("--cause", help="As `list` shows it, such as poison."),
            click.option("--destination", help="Only what was on its way there."),
            click.option("--app", "application", help="Only this application's."),
            click.option(
                "--class", "message_class", type=click.Choice(CLASSES), help="Only this class."
            ),
            click.option("--since", help="Set aside then or later: a time, or how long ago (2h)."),
            click.option("--until", help="Set aside before: a time, or how long ago."),
        )
    ):
        command = option(command)
    return command


def choice(kind: Any, now_ms: int, ids: Sequence[str], **fields: str | None) -> Choice:
    """What the options of `choosing` say. Raises `ConfigError`."""
    since = moment(fields.pop("since"), "--since", now_ms)
    until = moment(fields.pop("until"), "--until", now_ms)
    if since is not None and until is not None and since >= until:
        raise ConfigError("--until must lie after --since")
    return Choice(
        (kind,),
        tuple(message_id(each) for each in ids) or None,
        since_ms=since,
        until_ms=until,
        **fields,  # type: ignore[arg-type]  # The class is compared as text.
    )
