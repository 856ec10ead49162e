"""The suppression list, and its files."""

from __future__ import annotations

from typing import Any

from shared.model.suppression import REASONS
from shared.suppressing.entry import EVERYBODY, MOST_ADDRESS, MOST_DETAIL
from web.openapi.operation import Answer, Body, Group, Operation, path, query
from web.openapi.problems import CHANGES, JSON_BODY, problem
from web.openapi.schema import (
    Schema,
    answer,
    choice,
    flag,
    many,
    maybe,
    page,
    ref,
    request,
    text,
    time,
    whole,
)

_SCOPES = ("send", "operate")
_ENTRY: dict[str, Any] = {
    "address": "bob@example.com",
    "application": "shop",
    "list": None,
    "reason": "manual",
    "source": "api:0123456789abcdef",
    "created_at": "2026-11-27T09:00:00.000Z",
    "expires_at": None,
    "detail": "asked by phone",
}
_ADDED = {"address": "bob@example.com", "reason": "manual", "detail": "asked by phone"}
_APPLICATION = text(f"Whose entries; `{EVERYBODY}`: everybody's. Others need the scope operate.")
_LIST = text("Only of this list; without it of all mail.")
_ADDRESS = path("address", text("URL-encoded: `bob%40example.com`.", example="bob@example.com"))
_FLAG = choice(("true", "false"), default="false")

_FIELDS: dict[str, Schema] = {
    "address": text("In its canonical form."),
    "application": text(f"Whose mail; `{EVERYBODY}`: everybody's."),
    "list": maybe(text("Which list's mail; null: all.")),
    "reason": choice(REASONS),
    "source": text("Who said so: `api:` and a key's id, `smtp`, `dsn`, `arf`, `one-click`, ..."),
    "created_at": time(),
    "expires_at": maybe(time("When it ends; null: never.")),
    "detail": text("Why, for people, without addresses."),
}
_TAKEN: dict[str, Schema] = {
    "rows": whole("Read, without header and empty lines."),
    "imported": whole("New on the list."),
    "unchanged": whole("Were on the list before."),
    "expired": whole("Had ended before now: passed by."),
    "bad_rows": whole("Rows that are wrong: passed by."),
    "errors": many(ref("BadRow"), "What is wrong with rows; the first 1,000."),
    "more_errors": whole("So many more things are wrong."),
    "more_bad_rows": many(whole(), "Rows that are wrong, beside those in `errors`."),
    "would_import": whole("`dry_run`: rows that would be imported."),
    "dry_run": flag("`dry_run`: true."),
}

SCHEMAS: dict[str, Schema] = {
    "Suppression": answer(_FIELDS, "An entry: mail to this address is not sent."),
    "NewSuppression": request(
        {
            "address": text("Without a name.", maxLength=MOST_ADDRESS),
            "application": maybe(text(f"The key's own, unless it has the scope operate;"
                                      f" `{EVERYBODY}` or null: everybody's.")),
            "list": maybe(text("Only of this list.", maxLength=256)),
            "reason": choice(REASONS, default="manual"),
            "expires_at": maybe(time("Never, if absent.")),
            "detail": text("Why, without addresses.", maxLength=MOST_DETAIL, default=""),
        },
        "An entry to be put on the list.",
        ("address",),
    ),
    "NewSuppressions": request(
        {"suppressions": many(ref("NewSuppression"), minItems=1, maxItems=1000)},
        "Entries, each of which is taken or refused by itself.",
        ("suppressions",),
    ),
    "Suppressions": page("Suppression", "Entries, in no particular order."),
    "SuppressionResults": answer(
        {
            "results": many(
                {
                    "anyOf": [
                        answer({**_FIELDS, "new": flag("Whether it was not there before.")}),
                        answer({"error": problem(("invalid", "missing_scope"))}),
                    ]
                },
                "One for each, in order.",
            )
        },
        "What came of each entry.",
    ),
    "Import": answer(_TAKEN, "What came of a file.", optional=("would_import", "dry_run")),
}  # fmt: skip

GROUP = Group(
    "Suppressions",
    "Who gets no mail. A key with the scope `send` has to do with its own application's entries,"
    " one with `operate` with all.",
    (
        Operation(
            method="POST",
            path="/v1/suppressions",
            name="addSuppressions",
            summary="Add one entry, or many",
            description="One is answered as it is on the list; of up to 1,000 in `suppressions`"
            " the good ones are added, whatever is wrong with others.",
            scopes=_SCOPES,
            body=Body(
                {"anyOf": [ref("NewSuppression"), ref("NewSuppressions")]},
                {"One": _ADDED, "Many": {"suppressions": [_ADDED, {"address": "eve@example.com"}]}},
            ),
            answers={
                200: Answer(
                    "It was there before; or what came of each of many.",
                    {"anyOf": [ref("Suppression"), ref("SuppressionResults")]},
                    {"results": [{**_ENTRY, "new": True}]},
                ),
                201: Answer("It is new.", ref("Suppression"), _ENTRY),
            },
            problems=(*JSON_BODY, *CHANGES),
        ),
        Operation(
            method="GET",
            path="/v1/suppressions",
            name="listSuppressions",
            summary="List entries",
            description="In pages. One may be empty and still have a `next_cursor`.",
            scopes=_SCOPES,
            parameters=(
                query("limit", whole("Of a page.", minimum=1, maximum=500, default=100)),
                query("cursor", text("`next_cursor` of the page before.")),
                query("application", _APPLICATION),
                query("list", _LIST),
                query("reason", choice(REASONS, "Only of this reason.")),
            ),
            answers={
                200: Answer(
                    "A page.", ref("Suppressions"), {"data": [_ENTRY], "next_cursor": None}
                )
            },
            problems=("invalid",),
        ),
        Operation(
            method="GET",
            path="/v1/suppressions/{address}",
            name="getSuppressions",
            summary="Look an address up",
            description="Its entries of the key's application and everybody's; with the scope"
            " operate all.",
            scopes=_SCOPES,
            parameters=(_ADDRESS,),
            answers={
                200: Answer(
                    "Its entries.", ref("Suppressions"), {"data": [_ENTRY], "next_cursor": None}
                )
            },
            problems=("invalid", "not_found"),
        ),
        Operation(
            method="DELETE",
            path="/v1/suppressions/{address}",
            name="removeSuppression",
            summary="Remove an entry",
            description="The key's application's for all mail, unless the query says another.",
            scopes=_SCOPES,
            parameters=(_ADDRESS, query("application", _APPLICATION), query("list", _LIST)),
            answers={204: Answer("It is gone.")},
            problems=("invalid", "not_found", *CHANGES),
        ),
        Operation(
            method="POST",
            path="/v1/suppressions/import",
            name="importSuppressions",
            summary="Import CSV",
            description="Ours, or an export of SendGrid, Mailgun, Postmark or Amazon SES. Good rows"
            " are imported, bad ones are named. The same file twice adds nothing more.",
            scopes=_SCOPES,
            parameters=(
                query("application", _APPLICATION),
                query("list", text("Of rows that say none.")),
                query("reason", choice(REASONS, "Of rows that say none.")),
                query("strict", {**_FLAG, "description": "Nothing, when a row is bad."}),
                query("dry_run", {**_FLAG, "description": "Only look."}),
                query("ignore_columns", {**_FLAG, "description": "Pass unknown columns by."}),
            ),
            body=Body(
                text("UTF-8, with a header."),
                {"Two rows": "address,reason\nbob@example.com,bounce\neve@example.com,manual\n"},
                "text/csv",
            ),
            answers={
                200: Answer(
                    "What came of it.",
                    ref("Import"),
                    {
                        **dict.fromkeys(("rows", "imported"), 2),
                        **dict.fromkeys(("unchanged", "expired", "bad_rows", "more_errors"), 0),
                        "errors": [],
                        "more_bad_rows": [],
                    },
                )
            },
            problems=(
                "bad_request", "bad_gzip", "bad_chunks", "incomplete_body", "too_large",
                "too_many_lines", "unsupported_media_type",
                "unsupported_charset", "unsupported_encoding", "invalid", "bad_file", "bad_rows",
                "interrupted", *CHANGES,
            ),
        ),
        Operation(
            method="GET",
            path="/v1/suppressions/export",
            name="exportSuppressions",
            summary="Export CSV",
            description="All that the key may see. A download that breaks off has no end.",
            scopes=_SCOPES,
            parameters=(query("application", _APPLICATION),),
            answers={
                200: Answer(
                    "The file.",
                    text(),
                    "address,application,list,reason,source,created_at,expires_at,detail\r\n"
                    "bob@example.com,shop,,manual,cli,2026-11-27T09:00:00.000Z,,\r\n",
                    "text/csv",
                    {"Content-Disposition": text("With a file name.")},
                )
            },
            problems=("invalid",),
        ),
    ),
    SCHEMAS,
)  # fmt: skip
