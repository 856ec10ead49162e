"""Limits of destinations that operators set."""

from __future__ import annotations

from typing import Any

from shared.store.limits import FIELDS
from shared.suspension import MOST_REASON, MOST_SECONDS
from web.openapi.operation import Answer, Body, Group, Operation, path
from web.openapi.problems import CHANGES, JSON_BODY
from web.openapi.schema import (
    Schema,
    answer,
    choice,
    many,
    maybe,
    number,
    ref,
    request,
    text,
    time,
    whole,
)

_NAME = path("name", text("A relay, `mx:SITE`, `mx:*` or `@ROUTE`, URL-encoded.", example="relay"))
_RATES = ("per_second", "connections_per_second")
_LIMIT: dict[str, Any] = {
    "destination": "relay",
    "limits": [
        {
            "of": "relay",
            "name": "per_minute",
            "limit": 60,
            "used": 12,
            "configured": None,
            "from": "operator",
            "until": "2026-11-27T10:00:00.000Z",
            "reason": "warming up",
        }
    ],
    "operator": {"until": "2026-11-27T10:00:00.000Z", "reason": "warming up"},
    "slowed": None,
}

NUMBER: Schema = answer(
    {
        "of": text("Whose: a relay, `mx:SITE`, `mx:*` or `@ROUTE`."),
        "name": choice(FIELDS),
        "limit": maybe(number("What holds now; null: none, an operator has lifted it.")),
        "used": maybe(whole("Of it, where that is counted.")),
        "configured": maybe(number("By the settings.")),
        "from": choice(("configured", "operator", "slowed"), "Where it comes from."),
        "until": maybe(time("When that ends.")),
        "reason": maybe(text("Why an operator has set it.")),
    },
    "One limit.",
)

SCHEMAS: dict[str, Schema] = {
    "Limit": answer(
        {
            "destination": text("Whose limits these are."),
            "limits": many(ref("LimitNumber"), "What holds now."),
            "operator": maybe(
                answer(
                    {"until": maybe(time()), "reason": maybe(text())}, "What an operator has set."
                )
            ),
            "slowed": maybe(
                answer(
                    {
                        "steps": whole("Half as much for each."),
                        "until": time("When it is as configured again."),
                        "per_second": maybe(number("What it may have now, by its rate then.")),
                    },
                    "How far replies have slowed it down.",
                )
            ),
        },
        "What holds for a relay, a site, all sites or a route.",
    ),
    "NewLimit": request(
        {
            **{
                name: maybe((number if name in _RATES else whole)("0: no limit.", minimum=0))
                for name in FIELDS
            },
            "seconds": maybe(
                whole("Until it is cleared, if absent.", minimum=1, maximum=MOST_SECONDS)
            ),
            "reason": text("For people.", maxLength=MOST_REASON, default=""),
        },
        "At least one number.",
        anyOf=[{"required": [name]} for name in FIELDS],
    ),
}


def _operation(method: str, name: str, summary: str, description: str, **more: Any) -> Operation:
    problems = more.pop("problems", ())
    return Operation(
        method=method,
        path="/v1/destinations/{name}/limit",
        name=name,
        summary=summary,
        description=description,
        scopes=("operate",),
        parameters=(_NAME,),
        answers={200: Answer("As it is now.", ref("Limit"), _LIMIT)},
        problems=("invalid", "not_found", *problems),
        **more,
    )


GROUP = Group(
    "Limits",
    "How much a destination gets: by the settings, by an operator for a while, and by what its"
    " replies ask for. For operators.",
    (
        _operation("GET", "getLimit", "Look at limits", "What holds now, and where it comes from."),
        _operation(
            "PUT",
            "setLimit",
            "Set limits",
            "In place of what is configured, until it ends or is cleared. What is not said is as"
            " configured.",
            body=Body(
                ref("NewLimit"),
                {"For an hour": {"per_minute": 60, "seconds": 3600, "reason": "warming up"}},
            ),
            problems=(*JSON_BODY, *CHANGES),
        ),
        _operation(
            "DELETE",
            "clearLimit",
            "Clear limits",
            "What is configured holds again.",
            problems=("no_limit_set", *CHANGES),
        ),
    ),
    SCHEMAS,
)
