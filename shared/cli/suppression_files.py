"""`posthaste suppression import|export`: the suppression list as CSV."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from shared.cli.operate import EXIT_CODES, home_option, json_option, opened, print_json, printable
from shared.errors import ConfigError
from shared.model.suppression import REASONS, Reason
from shared.suppressing.entry import EVERYBODY, Asking, Wrong, application_of, list_of
from shared.suppressing.exporting import exported
from shared.suppressing.importing import PIECE_BYTES, BadRow, Import, Imported, Options

_EXIT_CODES = (
    "Exit codes: 0 every row was good; 2 a row was bad (the good ones are imported, with --strict"
    " none), the file or the call was wrong, or the store does not answer; 130 Ctrl-C."
)
_BAD_ROWS = 2
"""The exit code when any row is bad."""


@click.command("import", epilog=_EXIT_CODES)
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option("--application", help="Whose entries, where the file has no column for it.")
@click.option("--all", "everybody", is_flag=True, help="The same for all applications.")
@click.option("--list", "list_name", help="The list of rows that say none.")
@click.option(
    "--reason", type=click.Choice(REASONS), help="Of rows that say none, or in words of their own."
)
@click.option("--strict", is_flag=True, help="Import nothing when any row is bad.")
@click.option("--dry-run", is_flag=True, help="Only say what is wrong.")
@click.option("--ignore-columns", is_flag=True, help="Pass by columns that are not known.")
@json_option
@home_option
def import_(
    file: BinaryIO,
    application: str | None,
    everybody: bool,
    list_name: str | None,
    reason: Reason | None,
    strict: bool,
    dry_run: bool,
    ignore_columns: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Import CSV: our own export, or one of SendGrid, Mailgun, Postmark or SES.

    Its first row names the columns: address (or email), and maybe application, list, reason,
    source, created_at, expires_at, detail. Good rows are imported; each bad one is named with its
    line on standard error, and the exit code is 2 then.

    Example: posthaste suppression import bounces.csv --application shop --reason bounce
    """
    if application is not None and everybody:
        raise ConfigError("say --application NAME or --all, not both")
    whose = application_of(EVERYBODY if everybody else application, wrong := list[Wrong]())
    name = list_of(list_name, wrong)
    if wrong:
        raise ConfigError(f"--{wrong[0].field}: {wrong[0].detail}")
    told_whose = everybody or application is not None
    with opened(home) as store, _readable(file, again=strict and not dry_run) as source:
        now_ms = store.clock.now_ms()
        asking = Asking(whose if told_whose else None, "import", now_ms, operate=True)
        options = Options(asking, reason, name, strict, dry_run, ignore_columns)
        screen = _Screen()
        told = Import(store.suppressions, options, screen.bad, screen.progress).run(
            lambda: _pieces(source)
        )
        screen.end()
    if told.refused:
        raise ConfigError("\n".join(_refused(each) for each in told.refused))
    _print(told, options, as_json)
    if told.interrupted:
        doubt = f", and at most {told.in_doubt:,} more" if told.in_doubt else ""
        raise ConfigError(
            f"{told.imported + told.unchanged:,} rows were taken{doubt}, then the store went away"
            f" ({told.interrupted}); run it again"
        )
    if told.bad_rows:
        raise SystemExit(_BAD_ROWS)


def _print(told: Imported, options: Options, as_json: bool) -> None:
    if as_json:
        body: dict[str, Any] = {
            name: getattr(told, name)
            for name in ("rows", "imported", "unchanged", "expired", "bad_rows")
        }
        print_json({**body, "dry_run": options.dry_run})
        return
    if options.dry_run:
        done = f"{told.good:,} would be imported"
    elif options.strict and told.bad_rows:
        done = "nothing was imported"
    else:
        done = f"{told.imported:,} imported, {told.unchanged:,} were on the list"
    more = f", {told.expired:,} have ended" if told.expired else ""
    click.echo(f"{told.rows:,} rows: {done}{more}, {told.bad_rows:,} bad")


def _refused(each: Wrong) -> str:
    column = f"column {printable(each.field)}: " if each.field else ""
    return f"the file cannot be read: {column}{each.detail}"


class _Screen:
    """What a terminal shows meanwhile, on standard error."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = False

    def bad(self, row: BadRow) -> None:
        """Name a bad row."""
        self.end()
        column = f", {printable(row.column)}" if row.column else ""
        click.echo(f"line {row.row}{column}: {row.detail}", err=True)

    def progress(self, told: Imported) -> None:
        """Say how far it is, over what was said before."""
        if self._terminal:
            click.echo(f"\r{told.rows:,} rows, {told.bad_rows:,} bad", err=True, nl=False)
            self._shown = True

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)
            self._shown = False


@contextmanager
def _readable(file: BinaryIO, *, again: bool) -> Iterator[BinaryIO]:
    """The file; what cannot be read `again` is kept in one without a name meanwhile."""
    if not again or file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        for piece in _read(file):
            copy.write(piece)
        yield copy


def _pieces(file: BinaryIO) -> Iterable[bytes]:
    if file.seekable():
        file.seek(0)
    return _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(PIECE_BYTES), b"")


@click.command(epilog=EXIT_CODES)
@click.option("--application", help="Only this application's entries.")
@click.option("--all", "everybody", is_flag=True, help="Only those that hold for all applications.")
@click.option(
    "--output", "-o", type=click.File("wb", lazy=True), default="-", metavar="FILE",
    help="Default: standard output.",
)  # fmt: skip
@home_option
def export(application: str | None, everybody: bool, output: BinaryIO, home: Path | None) -> None:
    """Write the list as CSV, which `import` reads back as it is.

    Example: posthaste suppression export --application shop -o suppressions.csv
    """
    if application is not None and everybody:
        raise ConfigError("say --application NAME or --all, not both")
    whose = "" if everybody else application
    with opened(home) as store:
        for piece in exported(store.suppressions, whose):
            output.write(piece)
