"""`posthaste up`: the whole system on this machine, in one command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from shared.cli.store import DEFAULT_HOME
from shared.supervisor.home import Home
from shared.supervisor.installation import READY, Installation
from shared.supervisor.plan import Options

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _port(flag: str, text: str) -> Callable[[_Command], _Command]:
    return click.option(flag, type=click.IntRange(0, 65535), help=text)


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path), default=DEFAULT_HOME, show_default=True,
    help="Where settings, mail and logs stand.",
)  # fmt: skip
@_port("--http", "Port of the API; 0 for a free one. With it the other ports default to free ones.")
@_port("--operator", "Port of the API's metrics and health.")
@_port("--exporter", "Port of the store's metrics.")
@_port("--bounces", "Port of the SMTP server that bounces come to.")
@_port("--inbox", "Port of the inbox's pages.")
@_port("--inbox-smtp", "Port of the inbox's SMTP server.")
@click.option("--smtp-relay", help="smtp://host:port to send to, instead of the inbox.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--web", type=click.IntRange(1, 64), help="Web processes.")
@click.option("--detach", is_flag=True, help="Return when ready; stop with `posthaste down`.")
@click.option("--report-to", type=int, hidden=True)
def up(
    home: Path,
    http: int | None,
    operator: int | None,
    exporter: int | None,
    bounces: int | None,
    inbox: int | None,
    inbox_smtp: int | None,
    smtp_relay: str | None,
    workers: int,
    web: int | None,
    detach: bool,
    report_to: int | None,
) -> None:
    """Run the whole system here: store, API, workers, and an inbox that captures the mail.

    Example: posthaste up --home /tmp/trial --http 8080 --workers 2 --detach
    """
    options = Options(
        http, operator, inbox, inbox_smtp, exporter, bounces, smtp_relay, workers, web
    )  # fmt: skip
    if detach:
        _detach()
        return
    detached = report_to is not None
    Installation(Home(home), options, _reporter(report_to), detached=detached).run()


def _reporter(descriptor: int | None) -> Callable[[str], None]:
    """How the screen reaches the user: printed, or sent to the process that waits for it."""
    if descriptor is None:
        return _show

    def report(text: str) -> None:
        os.write(descriptor, text.encode())
        if text == READY:
            os.close(descriptor)

    return report


def _show(text: str) -> None:
    """Print it; mail goes on where nobody reads it any more."""
    with suppress(BrokenPipeError):
        click.echo(text, nl=False)


def _detach() -> None:
    """Run the same command in the background, and return when it is ready."""
    arguments = [each for each in sys.argv[1:] if each != "--detach"]
    read, write = os.pipe()
    command = [sys.executable, "-P", "-m", "shared.cli.main", *arguments, "--report-to", str(write)]
    process = subprocess.Popen(  # noqa: S603  # This very command.
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=write,
        pass_fds=(write,),
        start_new_session=True,
    )
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        lines: list[str] = []
        for line in pipe:
            if line == READY:
                click.echo("".join(lines), nl=False)
                return
            lines.append(line)
    code = process.wait()
    sys.stderr.write("".join(lines))
    sys.exit(code or 1)
