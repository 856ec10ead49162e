"""Destinations: how they stand; suspend, resume, flush, move."""

from __future__ import annotations

from typing import Any

from shared.model.message import CLASSES
from shared.suspension import MOST_REASON, MOST_SECONDS
from web.openapi.limits import NUMBER
from web.openapi.operation import Answer, Body, Group, Operation, path
from web.openapi.problems import CHANGES, JSON_BODY
from web.openapi.schema import (
    Schema,
    answer,
    choice,
    flag,
    many,
    maybe,
    number,
    ref,
    request,
    text,
    time,
    whole,
)

_STATES = ("suspended", "backing_off", "probing", "limited", "active", "idle")
NAME = path("name", text("As the list has it, URL-encoded: `mx%3Agoogle`.", example="relay"))
_ROW: dict[str, Any] = {
    "destination": "relay",
    "class": "transactional",
    "state": "backing_off",
    "until": "2026-11-27T09:00:04.000Z",
    "reason": "connection refused",
    "since": "2026-11-27T09:00:00.000Z",
    "strikes": 2,
    "ready": 40,
    "deferred": 3,
    "in_flight": 0,
    "oldest_seconds": 12,
    "per_minute": 120.5,
    "connections": 0,
    "rate_limit": None,
    "limits": [],
    "last_refusal": {"at": "2026-11-27T08:59:00.000Z", "reply": "421 4.7.0 try later"},
    "applications": [{"application": "shop", "ready": 40}],
}
_TOTALS = (
    "ready", "waiting", "in_flight", "dead_letters", "held_as_uncertain", "live_workers",
)  # fmt: skip
_STANDING: dict[str, Schema] = {
    "state": choice(_STATES, "What it does."),
    "until": maybe(time("Until when.")),
    "reason": maybe(text("Why it stands still.")),
}

SCHEMAS: dict[str, Schema] = {
    "Destination": answer(
        {
            "destination": text("The hop: a relay, `pool:NAME`, or `mx:SITE`."),
            "class": choice(CLASSES),
            **_STANDING,
            "since": maybe(time("Since when.")),
            "strikes": whole("Failures in a row."),
            "ready": whole("Legs that may go."),
            "deferred": whole("Legs that wait for their time."),
            "in_flight": whole("Legs that workers have."),
            "oldest_seconds": maybe(whole("Age of the oldest leg.")),
            "per_minute": number("Legs delivered in a minute."),
            "connections": whole("That are open."),
            "rate_limit": maybe(number("Legs a second that it may get; null: no limit.")),
            "limits": many(ref("LimitNumber"), "Of its relay or site, and of its route."),
            "last_refusal": maybe(
                answer({"at": time(), "reply": text()}, "The last refusal of two days.")
            ),
            "applications": many(
                answer({"application": text(), "ready": whole()}),
                "Those with the most ready legs; 20 at most.",
            ),
        },
        "One destination in one class. A leg is a message on its way to one destination.",
    ),
    "Destinations": answer(
        {
            "data": many(ref("Destination"), "The deepest first."),
            "next_cursor": {"type": "null", "description": "Always null: these are all."},
            "totals": answer({name: whole() for name in _TOTALS}, "Over all destinations."),
        },
        "All destinations.",
    ),
    "DestinationState": answer(
        {
            "destination": text("Its name."),
            "data": many(ref("Destination"), "One for each class."),
            "members": many(
                answer(
                    {
                        "destination": text(),
                        "weight": whole(),
                        **_STANDING,
                        "state": maybe(_STANDING["state"]),
                        "in_flight": whole(),
                    }
                ),
                "Of a pool: how its members are.",
            ),
        },
        "One destination.",
        optional=("members",),
    ),
    "LimitNumber": NUMBER,
    "Flushed": answer(
        {
            "chosen": whole("Legs that were deferred."),
            "flushed": whole("Legs that are due now; if fewer, ask again."),
            "stand_still": many(text(), "Destinations whose mail does not go for all that."),
        },
        "What came of a flush.",
    ),
    "Moved": answer(
        {
            "to": text("Where."),
            "chosen": whole("Legs that were looked at."),
            "moved": whole("Legs that wait elsewhere now."),
            "stay": whole("They may have arrived where they were."),
            "same": whole("The routes send them where they are."),
            "stand_still": many(text(), "Of the new destinations those that do not go."),
        },
        "What came of a move.",
    ),
}


def _post(
    what: str, name: str, summary: str, description: str, body: Body, told: Answer,
    problems: tuple[str, ...] = (),
) -> Operation:  # fmt: skip
    return Operation(
        method="POST",
        path="/v1/destinations/{name}/" + what,
        name=name,
        summary=summary,
        description=description,
        scopes=("operate",),
        parameters=(NAME,),
        body=body,
        answers={200: told},
        problems=(*JSON_BODY, "not_found", *problems, *CHANGES),
    )


_SHOWN = Answer("As it is now.", ref("DestinationState"), {"destination": "relay", "data": [_ROW]})
_DRY_RUN = flag("Only count.", default=False)

GROUP = Group(
    "Destinations",
    "Where mail waits, why, and what to do about it. For operators.",
    (
        Operation(
            method="GET",
            path="/v1/destinations",
            name="listDestinations",
            summary="List destinations",
            scopes=("operate",),
            answers={
                200: Answer(
                    "All of them.",
                    ref("Destinations"),
                    {"data": [_ROW], "next_cursor": None, "totals": dict.fromkeys(_TOTALS, 0)},
                )
            },
            problems=("invalid",),
        ),
        Operation(
            method="GET",
            path="/v1/destinations/{name}",
            name="getDestination",
            summary="Look at a destination",
            scopes=("operate",),
            parameters=(NAME,),
            answers={200: _SHOWN},
            problems=("invalid", "not_found"),
        ),
        _post(
            "suspend",
            "suspendDestination",
            "Suspend",
            "Its mail stays queued, until then or until it is resumed.",
            Body(
                request(
                    {
                        "seconds": maybe(whole(minimum=1, maximum=MOST_SECONDS)),
                        "reason": text("For people.", maxLength=MOST_REASON, default=""),
                    }
                ),
                {"For an hour": {"seconds": 3600, "reason": "relay is being moved"}},
                required=False,
            ),
            _SHOWN,
        ),
        _post(
            "resume",
            "resumeDestination",
            "Resume",
            "Its mail goes at once; lifts a back-off and what has slowed it down, too.",
            Body(request({}), {"Resume": {}}, required=False),
            _SHOWN,
            ("not_suspended",),
        ),
        _post(
            "flush",
            "flushDestination",
            "Flush",
            "Deferred mail is due now; at most 10,000 legs of a class at once.",
            Body(
                request({"class": choice(CLASSES), "dry_run": _DRY_RUN}),
                {"Only count": {"dry_run": True}, "One class": {"class": "transactional"}},
                required=False,
            ),
            Answer(
                "What came of it.",
                ref("Flushed"),
                {"chosen": 3, "flushed": 3, "stand_still": []},
            ),
            ("interrupted",),
        ),
        _post(
            "move",
            "moveMail",
            "Move mail",
            "What waits here waits elsewhere. What may have arrived already stays, unless"
            " `uncertain` is true.",
            Body(
                request(
                    {
                        "to": text("A hop, or `routes`: where each would go now."),
                        "class": choice(CLASSES),
                        "application": maybe(text()),
                        "limit": maybe(whole("Legs.", minimum=1, maximum=10_000)),
                        "now": flag("Deferred mail is due at once.", default=False),
                        "uncertain": flag("Also what may have arrived.", default=False),
                        "dry_run": _DRY_RUN,
                    },
                    required=("to",),
                ),
                {"To another relay": {"to": "spare", "class": "bulk", "dry_run": True}},
            ),
            Answer(
                "What came of it.",
                ref("Moved"),
                {"to": "spare", "chosen": 3, "moved": 3, "stay": 0, "same": 0, "stand_still": []},
            ),
            ("interrupted",),
        ),
    ),
    SCHEMAS,
)
