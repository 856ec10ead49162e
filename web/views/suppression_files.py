"""The suppression list as CSV: import a file, export all of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import msgspec
import structlog
from flask import Blueprint, Response, request

from shared.errors import StoreError
from shared.suppressing.exporting import exported
from shared.suppressing.importing import PIECE_BYTES, BadRow, Import, Imported, Options
from web.answers import answer
from web.errors import Problem, changing, interrupted_import
from web.parse import read_body
from web.validation.suppression import asked
from web.views.context import Context
from web.views.suppressions import asking, key_of

MOST_LISTED = 1000
"""Bad things of rows that an answer tells; of all other bad rows it has the lines."""

MOST_LINES = 200_000
"""Of one request: about 10 s of the store and of a thread here; a load balancer waits for 40."""

_log = structlog.get_logger(__name__)


def blueprint(context: Context) -> Blueprint:
    """The routes of files under /v1/suppressions."""
    routes = Blueprint("suppression_files", __name__)
    views = _Views(context)
    routes.post("/v1/suppressions/import")(views.take)
    routes.get("/v1/suppressions/export")(views.give)
    return routes


class _Bad(msgspec.Struct):
    """What an answer tells of bad rows."""

    errors: list[BadRow] = []
    more_errors: int = 0
    more_bad_rows: list[int] = []
    """Lines of those that none of `errors` is about."""

    def add(self, row: BadRow) -> None:
        """One more bad thing, of the same row as the one before or of a later one."""
        if len(self.errors) < MOST_LISTED:
            self.errors.append(row)
            return
        self.more_errors += 1
        last = self.more_bad_rows[-1] if self.more_bad_rows else self.errors[-1].row
        if row.row != last:
            self.more_bad_rows.append(row.row)


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._list = context.services.suppressions

    def take(self) -> Response:
        """POST /v1/suppressions/import: a file of CSV, good rows in, bad rows named."""
        key = key_of(self._context)
        flags = ("strict", "dry_run", "ignore_columns")
        wanted = asked(request, key, ("application", "list", "reason"), flags=flags)
        body = self._body()
        on_behalf = asking(self._context, key)
        if wanted.application is not None:
            on_behalf = msgspec.structs.replace(on_behalf, application=wanted.application)
        options = Options(
            msgspec.structs.replace(on_behalf, source="import"),
            wanted.reason,  # type: ignore[arg-type]  # `asked` has compared it.
            wanted.list or "",
            *(flag in wanted.flags for flag in flags),
        )
        bad = _Bad()
        run = Import(self._list, options, bad.add)
        with changing():
            told = run.run(lambda: _pieces(body))
        return _answer(told, options, bad)

    def _body(self) -> bytes:
        """The file. Raises a `Problem`."""
        if request.mimetype != "text/csv":
            raise Problem(415, "unsupported_media_type", "The body must be text/csv.")
        charset = request.mimetype_params.get("charset", "utf-8").lower()
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise Problem(415, "unsupported_charset", "The body must be UTF-8.")
        body = read_body(request, self._context.services.settings.web.max_request_bytes)
        if max(body.count(b"\n"), body.count(b"\r")) > MOST_LINES:
            text = f"At most {MOST_LINES:,} lines in one request: send the file in parts, each with"
            raise Problem(413, "too_many_lines", f"{text} the header, or import it by the command.")
        return body

    def give(self) -> Response:
        """GET /v1/suppressions/export: all that the key may see, as it is read from the store."""
        key = key_of(self._context)
        wanted = asked(request, key, ("application",))
        application = wanted.application
        if application is None and "operate" not in key.scopes:
            application = key.application
        pieces = exported(self._list, application)
        first = next(pieces)  # A store that does not answer is a 503.
        response = Response(_told(first, pieces), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = 'attachment; filename="suppressions.csv"'
        response.headers["X-Accel-Buffering"] = "no"  # nginx must not gather it on its disk.
        return response


def _pieces(body: bytes) -> Iterator[bytes]:
    """A body in pieces, none of which is the whole."""
    file = io.BytesIO(body)
    return iter(lambda: file.read(PIECE_BYTES), b"")


def _told(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of an export. One that breaks off has no end, which clients see as an error."""
    yield first
    try:
        yield from rest
    except StoreError as error:
        _log.warning("export_broken_off", reason=error)
        raise


def _answer(told: Imported, options: Options, bad: _Bad) -> Response:
    """What came of an import."""
    if told.refused:
        text = "The file cannot be read. " + " ".join(each.detail for each in told.refused)
        members = {
            "errors": [_refused(each.field, each.code, each.detail) for each in told.refused]
        }
        raise Problem(422, "bad_file", text, members=members)
    body: dict[str, Any] = {
        "rows": told.rows,
        "imported": told.imported,
        "unchanged": told.unchanged,
        "expired": told.expired,
        "bad_rows": told.bad_rows,
        **msgspec.to_builtins(bad),
    }
    if options.dry_run:
        return answer({**body, "would_import": told.good, "dry_run": True})
    if options.strict and told.bad_rows:
        text = f"Nothing was imported: {told.bad_rows} of {told.rows} rows are bad."
        raise Problem(422, "bad_rows", text, members=body)
    if told.interrupted:
        raise interrupted_import(told.interrupted, {**body, "in_doubt": told.in_doubt})
    return answer(body)


def _refused(column: str, code: str, detail: str) -> dict[str, object]:
    return {"row": 1, "column": column, "code": code, "detail": detail}
