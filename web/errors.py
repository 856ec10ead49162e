"""From an exception to problem JSON (RFC 9457), the same shape everywhere.

A `Problem` is what a client is told; it never holds the text of another exception. What nobody
expected is a 500 without details, logged under the same request id.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

import msgspec
import structlog
from flask import Flask, Response, g
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from shared import report
from shared.errors import OutcomeUnknown, StoreError
from shared.store.quotas import Quota, Use
from shared.times import shown

RETRY_AFTER_SECONDS = 5

_log = structlog.get_logger(__name__)


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field."""

    pointer: str
    """RFC 6901."""
    code: str
    detail: str


class Problem(Exception):  # RFC 9457 calls it a problem.
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers or {}
        self.members = members or {}
        """Members of its own (RFC 9457 section 3.2)."""

    def body(self, request_id: str = "") -> dict[str, object]:
        """The members of the problem document."""
        members: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.members,
        }
        if self.errors:
            members["errors"] = [msgspec.structs.asdict(error) for error in self.errors]
        if request_id:
            members["request_id"] = request_id
        return members


def invalid(errors: Sequence[FieldError]) -> Problem:
    """422 with every wrong field."""
    count = len(errors)
    text = "1 field is wrong" if count == 1 else f"{count} fields are wrong"
    return Problem(422, "invalid", text, errors=errors)


def not_accepted(error: StoreError) -> Problem:
    """503 for mail that the store did not accept, or of which nobody knows whether it did."""
    if isinstance(error, OutcomeUnknown):
        return _unavailable(
            "acceptance_unknown",
            "The message may or may not have been accepted. Send it again with the same"
            " Idempotency-Key.",
        )
    return _unavailable("unavailable", "Nothing was done. Try again later.")


def over_quota(quota: Quota, full: Use, recipients: int) -> Problem:
    """429 for a message that does not fit its application's quota until `full` has ended."""
    seconds = max(1, math.ceil(full.wait_ms / 1000))
    this = "1 more" if recipients == 1 else f"{recipients} more"
    detail = (
        f"The application may send to {quota.limit(full.window)} recipients a {full.window};"
        f" {full.used} are used, and {this} would be too many. The next {full.window} begins at"
        f" {shown(full.reset_ms)}."
    )
    return Problem(
        429,
        "quota_exceeded",
        detail,
        headers={"Retry-After": str(seconds)},
        members={"quota": report.window(quota, full), "retry_after_seconds": seconds},
    )


def interrupted(reason: str, done: int, members: Mapping[str, object]) -> Problem:
    """503 for a change of many of which the store answered some; `members` say how many."""
    _log.warning("interrupted", reason=reason, done=done)
    doubt = f" and at most {members['in_doubt']} more" if members["in_doubt"] else ""
    detail = (
        f"{done} of {members['chosen']}{doubt} were done, then the store went away. Send the"
        " request again for the rest."
    )
    return _unavailable("interrupted", detail, members)


def interrupted_import(reason: str, members: Mapping[str, object]) -> Problem:
    """503 for an import of which the store took a part; `members` say how much."""
    done = int(str(members["imported"])) + int(str(members["unchanged"]))
    _log.warning("interrupted", reason=reason, done=done)
    doubt = f" and at most {members['in_doubt']} more" if members["in_doubt"] else ""
    detail = f"{done} rows{doubt} were taken, then the store went away. Send the file again."
    return _unavailable("interrupted", detail, members)


def _unavailable(code: str, detail: str, members: Mapping[str, object] | None = None) -> Problem:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(503, code, detail, headers=headers, members=members)


@contextmanager
def changing() -> Iterator[None]:
    """Around what changes the store: what fails in it or after it may have been done."""
    g.change = "begun"
    yield
    g.change = "done"


def _respond(problem: Problem) -> Response:
    g.problem = problem.code
    response = Response(
        json.dumps(problem.body(g.get("request_id", ""))),
        status=problem.status,
        content_type="application/problem+json",
    )
    response.headers.update(problem.headers)
    return response


def _from_http(error: HTTPException) -> Response:
    status = error.code or 500
    if error.response is not None or status < 400:
        return Response(status=status)
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    response = _respond(Problem(status, code, HTTPStatus(status).phrase))
    for name, value in error.get_headers():
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def _from_chunks(_: Exception) -> Response:
    """A body whose chunks are none (RFC 9112 section 7.1), found while it is read."""
    return _respond(Problem(400, "bad_chunks", "The body is not in the chunks that it says."))


def _from_store(error: StoreError) -> Response:
    """The accepting of mail is told by `not_accepted`; this is every other request."""
    _log.warning("store_refused", reason=error)
    change = g.get("change")
    if change == "done" or (change == "begun" and isinstance(error, OutcomeUnknown)):
        detail = (
            "The store did not answer in time: it may or may not have been done. Look, or send the"
            " request again."
        )
        return _respond(_unavailable("outcome_unknown", detail))
    return _respond(_unavailable("unavailable", "Nothing was done. Try again later."))


def _unexpected(error: Exception) -> Response:
    _log.error("unexpected_error", exc_info=error)
    return _respond(Problem(500, "internal_error", "Something went wrong on our side."))


def register(app: Flask) -> None:
    """Answer every exception of `app` with problem JSON."""
    app.register_error_handler(Problem, _respond)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(StoreError, _from_store)
    app.register_error_handler(ParseException, _from_chunks)
    app.register_error_handler(Exception, _unexpected)
