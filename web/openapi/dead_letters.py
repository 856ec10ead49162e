"""Dead letters, and what is held as uncertain."""

from __future__ import annotations

from typing import Any

from shared.model.message import CLASSES
from web.openapi.message import UNCERTAIN_FIELDS, attempt_fields
from web.openapi.messages import ID, IDENTIFIER
from web.openapi.operation import Answer, Body, Group, Operation, query
from web.openapi.problems import CHANGES, JSON_BODY
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

_KIND = choice(("dead", "uncertain"), "Dead letters if absent; with ids both.")
_FILTERS: dict[str, Schema] = {
    "kind": _KIND,
    "class": choice(CLASSES, "Only of this class."),
    "cause": text("Only of this cause, such as `poison`.", maxLength=255),
    "destination": text("Only of this hop.", maxLength=255),
    "application": text("Only of this application.", maxLength=255),
    "since": time("Set aside then or later."),
    "until": time("Set aside before."),
}
_FIELDS: dict[str, Schema] = {
    "id": text("The message's id."),
    "kind": choice(("dead", "uncertain")),
    "cause": text("Why, as a fixed word or a note."),
    "explanation": maybe(text("The same for people.")),
    "since": time("When it was set aside."),
    "destination": text("Where it was to go."),
    "class": choice(CLASSES),
    "application": text(),
    "from": text("The sender's mailbox."),
    "subject": text(),
    "recipients": many(text(), "Mailboxes of those that are concerned."),
    "attempt_count": whole("Attempts that count."),
    "deliver_by": maybe(time()),
}
_ROW: dict[str, Any] = {
    "id": ID,
    "kind": "dead",
    "cause": "poison",
    "explanation": "Workers ended while they delivered it, as often as worker.max_crashes says.",
    "since": "2026-11-27T09:00:00.000Z",
    "destination": "relay",
    "class": "transactional",
    "application": "shop",
    "from": "orders@shop.test",
    "subject": "Your order",
    "recipients": ["customer@example.test"],
    "attempt_count": 0,
    "deliver_by": None,
}
_DECIDED = {"chosen": 40, "done": 40, "overdue": 0, "next_cursor": None}
_BODY = Body(
    ref("DeadLetterChoice"),
    {
        "One cause, only counted": {"cause": "poison", "dry_run": True},
        "All of an application": {"application": "shop"},
        "By id": {"ids": [ID]},
        "Everything": {"all": True},
    },
)

SCHEMAS: dict[str, Schema] = {
    "DeadLetter": answer(_FIELDS, "Mail that an operator has to decide about."),
    "DeadLetters": page("DeadLetter", "Those set aside last first."),
    "DeadLetterDetails": answer(
        {
            "data": many(
                answer(
                    {
                        **_FIELDS,
                        "attempts": many(
                            answer(
                                {"address": maybe(text("Null: for all.")), **attempt_fields()},
                                optional=UNCERTAIN_FIELDS,
                            )
                        ),
                    }
                ),
                "One for each destination of the message.",
            )
        },
        "A message's dead letters with every attempt.",
    ),
    "DeadLetterChoice": request(
        {
            **_FILTERS,
            "ids": many(text(pattern="^msg_[0-9a-f]{32}$"), minItems=1, maxItems=1000),
            "all": flag("Without ids and filters it must be true.", default=False),
            "dry_run": flag("Only count.", default=False),
            "cursor": maybe(text("`next_cursor` of the answer before; not with ids.")),
        },
        "Which ones: a filter, ids, or all.",
    ),
    "Decided": answer(
        {
            "chosen": whole("Those that the request was about."),
            "done": whole("Those decided about; fewer when somebody else was faster."),
            "overdue": whole("Of those the ones whose deliver_by has passed: they expire."),
            "next_cursor": maybe(text("Send the request again with it; null: that was all.")),
        },
        "What came of it. One request looks at 10,000.",
    ),
}


def _decide(what: str, name: str, summary: str, description: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/dead-letters/{what}",
        name=name,
        summary=summary,
        description=description,
        scopes=("operate",),
        body=_BODY,
        answers={200: Answer("What came of it.", ref("Decided"), _DECIDED)},
        problems=(*JSON_BODY, "interrupted", *CHANGES),
    )


GROUP = Group(
    "Dead letters",
    "What Posthaste could not process, and what it holds because nobody knows whether a server took"
    " it (`on_uncertain: hold`). For operators.",
    (
        Operation(
            method="GET",
            path="/v1/dead-letters",
            name="listDeadLetters",
            summary="List dead letters",
            description="In pages. One may be empty and still have a `next_cursor`.",
            scopes=("operate",),
            parameters=(
                *(query(name, schema) for name, schema in _FILTERS.items()),
                query("limit", whole("Of a page.", minimum=1, maximum=500, default=100)),
                query("cursor", text("`next_cursor` of the page before.")),
            ),
            answers={
                200: Answer("A page.", ref("DeadLetters"), {"data": [_ROW], "next_cursor": None})
            },
            problems=("invalid",),
        ),
        Operation(
            method="GET",
            path="/v1/dead-letters/{id}",
            name="getDeadLetter",
            summary="Look at a dead letter",
            description="With every attempt and the server's replies.",
            scopes=("operate",),
            parameters=(IDENTIFIER,),
            answers={
                200: Answer(
                    "Its parts.", ref("DeadLetterDetails"), {"data": [{**_ROW, "attempts": []}]}
                )
            },
            problems=("invalid", "not_found"),
        ),
        _decide(
            "requeue",
            "requeueDeadLetters",
            "Try again",
            "What is chosen is queued again. What is uncertain may arrive twice.",
        ),
        _decide("drop", "dropDeadLetters", "Drop", "Recipients that are chosen are `cancelled`."),
    ),
    SCHEMAS,
)
