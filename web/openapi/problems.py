"""Every `code` that a problem document of web has (RFC 9457), with its status and its meaning.

`tests/unit/web/openapi` walks web's source: a code that is not here fails there. Codes of single
fields are in `fields.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from web.openapi.schema import Schema, answer, choice, flag, many, maybe, ref, text, whole


class Code(msgspec.Struct, frozen=True):
    """What one code says."""

    status: int
    meaning: str
    members: dict[str, Schema] = {}
    """What such a problem has besides."""


_IN_DOUBT = {
    "interrupted": flag("Always true."),
    "in_doubt": whole("At most so many more may have been done."),
}
_CHOSEN = whole("What the request was about.")
_INTERRUPTED: dict[str, Schema] = {
    "chosen": _CHOSEN,
    **_IN_DOUBT,
    "done": whole("Dead letters: decided about."),
    "overdue": whole("Dead letters: those of them whose deliver_by has passed."),
    "flushed": whole("Flush: due now."),
    "moved": whole("Move: wait elsewhere now."),
    "to": text("Move: where."),
    "stay": whole("Move: may have arrived where they were."),
    "same": whole("Move: are where the routes send them."),
    "stand_still": many(text(), "Destinations whose mail does not go."),
    "rows": whole("Import: rows read."),
    "imported": whole("Import: new on the list."),
    "unchanged": whole("Import: were on the list."),
    "expired": whole("Import: had ended already."),
    "bad_rows": whole("Import: rows that are wrong."),
    "errors": many(ref("BadRow"), "Import: what is wrong with rows."),
    "more_errors": whole("Import: so many more things were wrong."),
    "more_bad_rows": many(whole(), "Import: the other bad rows."),
}
_FIELDS: dict[str, Schema] = {"errors": many(ref("FieldError"), "One entry for each field.")}
_ROWS = {
    name: _INTERRUPTED[name]
    for name in (
        "rows",
        "imported",
        "unchanged",
        "expired",
        "bad_rows",
        "errors",
        "more_errors",
        "more_bad_rows",
    )
}

CODES: dict[str, Code] = {
    "bad_request": Code(400, "The request is no HTTP that can be read."),
    "bad_json": Code(400, "The body is not JSON; `detail` says where."),
    "bad_encoding": Code(400, "The body is not UTF-8, or has a byte order mark."),
    "bad_number": Code(400, "NaN, Infinity, or a number of more than 20 digits."),
    "duplicate_key": Code(400, "A key stands twice in one object."),
    "too_deep": Code(400, "The body is nested too deep."),
    "not_an_object": Code(400, "The body is JSON, and no object."),
    "bad_gzip": Code(400, "The body is said to be gzip, and is not."),
    "bad_chunks": Code(400, "The body comes in chunks, and they are none."),
    "incomplete_body": Code(400, "The body is shorter than its `Content-Length`."),
    "bad_idempotency_key": Code(
        400,
        "`Idempotency-Key` is not 1 to 256 printable ASCII characters, or it stands in a header"
        " where each item of a batch has its own.",
    ),
    "missing_key": Code(401, "There is no API key: `Authorization: Bearer ph_...`."),
    "wrong_key": Code(401, "The API key is unknown or revoked."),
    "missing_scope": Code(403, "The API key lacks the scope for this.", _FIELDS),
    "from_not_allowed": Code(403, "The API key may not send from this domain.", _FIELDS),
    "return_path_not_allowed": Code(403, "The same of the return path.", _FIELDS),
    "class_not_allowed": Code(403, "The API key may not use this class.", _FIELDS),
    "not_found": Code(404, "It is not there, not any more, or another application's."),
    "method_not_allowed": Code(405, "Another method is needed; `Allow` has them."),
    "idempotency_mismatch": Code(409, "The same idempotency key came with another request."),
    "in_flight": Code(409, "The message is being delivered right now."),
    "already_cancelled": Code(409, "The message was cancelled before."),
    "too_late": Code(409, "The message has been attempted, or is final."),
    "not_suspended": Code(409, "The destination does not stand still."),
    "no_limit_set": Code(409, "No operator has set a limit of it."),
    "too_large": Code(413, "The body is too large, as it comes or once it is unpacked."),
    "message_too_large": Code(413, "Text, HTML and attachments together are too large."),
    "too_many_lines": Code(413, "The file has too many lines for one request: send parts."),
    "unsupported_media_type": Code(415, "The body has another type than this endpoint reads."),
    "unsupported_charset": Code(415, "The body is said to be in another charset than UTF-8."),
    "unsupported_encoding": Code(415, "Content-Encoding is neither gzip nor absent."),
    "invalid": Code(422, "Fields are wrong: `errors` has all of them.", _FIELDS),
    "bad_file": Code(
        422, "The file cannot be read, and nothing was imported.", {"errors": _ROWS["errors"]}
    ),
    "bad_rows": Code(422, "`strict`: rows are wrong, and nothing was imported.", _ROWS),
    "quota_exceeded": Code(
        429,
        "The application has used its quota; `Retry-After` says until when.",
        {
            "quota": ref("QuotaWindow", "The window that is full."),
            "retry_after_seconds": whole("Until the next one begins."),
        },
    ),
    "internal_error": Code(500, "A fault of ours; the log has it under `request_id`."),
    "unavailable": Code(503, "Nothing was done: the store is away or full. Try again later."),
    "acceptance_unknown": Code(
        503,
        "The message may or may not have been accepted: send it again with the same"
        " idempotency key.",
    ),
    "outcome_unknown": Code(503, "It may or may not have been done: look, or ask again."),
    "interrupted": Code(
        503, "A part was done, then the store went away: ask again for the rest.", _INTERRUPTED
    ),
}

KEYED = ("missing_key", "wrong_key", "unavailable", "internal_error")
"""Of every endpoint that needs a key."""
JSON_BODY = (
    "bad_request", "bad_json", "bad_encoding", "bad_number", "duplicate_key", "too_deep",
    "not_an_object", "bad_gzip", "bad_chunks", "incomplete_body", "too_large",
    "unsupported_media_type", "unsupported_charset",
    "unsupported_encoding", "invalid",
)  # fmt: skip
"""Of every endpoint that reads JSON."""
CHANGES = ("outcome_unknown",)
"""Of every endpoint that changes something else than by accepting mail."""

PROBLEM = answer(
    {
        "type": text("Always `about:blank`: `code` says what it is.", const="about:blank"),
        "title": text("The status in words."),
        "status": whole("That of the answer.", minimum=400, maximum=599),
        "code": text("What it is, for programs.", examples=["invalid"]),
        "detail": text("What it is, for people; never what the request said."),
        "request_id": text("That of the answer's `X-Request-Id`."),
    },
    "A problem document (RFC 9457). A code may have members of its own.",
    optional=("request_id",),
)


def problem(codes: Iterable[str]) -> Schema:
    """A problem that has one of these codes, and what those have besides."""
    found = list(codes)
    members = {name: schema for code in found for name, schema in CODES[code].members.items()}
    if sum("errors" in CODES[code].members for code in found) > 1 and "bad_file" in found:
        members["errors"] = many({"anyOf": [ref("FieldError"), ref("BadRow")]})
    return {**ref("Problem"), "properties": {"code": choice(found), **members}}


SCHEMAS: dict[str, Schema] = {
    "Problem": PROBLEM,
    "FieldError": answer(
        {
            "pointer": text("Which field: a JSON pointer (RFC 6901).", examples=["/to/0"]),
            "code": ref("FieldCode"),
            "detail": text("What is wrong with it, for people."),
        },
        "One wrong field.",
    ),
    "BadRow": answer(
        {
            "row": whole("The line of the file that it begins in; the header is in 1."),
            "column": text("As the file calls it; empty: the whole row."),
            "code": ref("FieldCode"),
            "detail": text("What is wrong with it, for people."),
        },
        "One thing that is wrong with one row of a file.",
    ),
    "QuotaWindow": answer(
        {
            "window": choice(("minute", "day", "month")),
            "limit": whole("Recipients that may be sent to in it."),
            "used": whole("Those that are used."),
            "reset": maybe(text("When the next one begins, in UTC.", format="date-time")),
        },
        "A quota in one window of the calendar, in UTC.",
    ),
}
