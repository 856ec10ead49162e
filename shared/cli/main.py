"""The `posthaste` command: one group, one file a command or group of commands.

A wrong setting, a busy port or an unreachable store is a line on standard error with the remedy,
and exit code 2; never a traceback. When nobody reads the output any more it is 141, after Ctrl-C
130.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import click

from shared.cli.aside import dead, uncertain
from shared.cli.classify import classify
from shared.cli.destination_table import destinations
from shared.cli.destinations import flush, queue, resume, suspend
from shared.cli.dkim import dkim
from shared.cli.doctor import doctor
from shared.cli.keys import key
from shared.cli.lifecycle import down, reload, status
from shared.cli.limit import limit
from shared.cli.log_hash import log_hash
from shared.cli.message import message
from shared.cli.move import move
from shared.cli.operate import printable
from shared.cli.quota import quota
from shared.cli.returns import returns
from shared.cli.roles import bounces, exporter, inbox, web, worker
from shared.cli.route import route
from shared.cli.shaping import shaping
from shared.cli.stats import stats
from shared.cli.suppression import suppression
from shared.cli.up import up
from shared.cli.user import user
from shared.errors import ConfigError, StoreError


class _Root(click.Group):
    """The group that every call passes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click. Bytes that are no text (halves of surrogate pairs) go no further."""
        for number, argument in enumerate(args, 1):
            try:
                argument.encode()
            except UnicodeEncodeError:
                raise ConfigError(
                    f"argument {number}, {argument!a}, is not UTF-8 text: write it anew"
                ) from None
        with _output():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """See click."""
        with _output():
            try:
                return super().invoke(ctx)
            except click.FileError as error:  # click ends it with 1: nothing was found.
                raise ConfigError(f"{error.ui_filename}: {error.message}") from error


@contextmanager
def _output() -> Iterator[None]:
    """Around what prints: a reader that has gone, or Ctrl-C, is told as shells do, never by 1."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # It is None where the shell has closed it.
                sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # What is still to be flushed.
        raise SystemExit(128 + signal.SIGPIPE) from None
    except KeyboardInterrupt:
        click.echo("Aborted!", err=True)
        raise SystemExit(128 + signal.SIGINT) from None


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("posthaste"), message="posthaste %(version)s")
def cli() -> None:
    """Posthaste: a self-hosted, high-volume transactional mail sender."""


for command in (
    up, status, reload, down, doctor, web, worker, bounces, exporter, inbox, key, dkim, queue,
    destinations, message,
    dead, uncertain, suspend, resume, flush, move, limit, route, shaping, classify, quota,
    stats,
    suppression,
    returns, log_hash, user,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """The entry of the command."""
    try:
        cli(standalone_mode=True)
    except ConfigError as error:
        text = "\n".join(printable(line) for line in str(error).splitlines())
        sys.stderr.write(f"posthaste: {text}\n")
        sys.exit(2)
    except StoreError as error:
        sys.stderr.write(
            f"posthaste: {error}; check store.redis_url, or name a running installation with"
            " --home\n"
        )
        sys.exit(2)
    except OSError as error:
        sys.stderr.write(f"posthaste: {error.strerror}: {error.filename or 'no file'}\n")
        sys.exit(2)
    except Exception as error:
        # The outermost shell: a bug of ours, told by its place. Its values stay out of it.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}:{place.lineno}"
        sys.stderr.write(f"posthaste: a bug ended it: {type(error).__name__} at {where}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
