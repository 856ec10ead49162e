"""Figures and quotas."""

from __future__ import annotations

from typing import Any

from shared.model.message import CLASSES
from shared.stats_report import DEFAULT_DAYS, MOST_DAYS
from shared.store.outcomes import WHATS
from web.openapi.operation import Answer, Group, Operation, query
from web.openapi.schema import Schema, answer, choice, many, maybe, number, ref, text, time, whole

_ROW: dict[str, Any] = {
    "application": "shop",
    "class": "transactional",
    "site": "google",
    **dict.fromkeys(WHATS, 0),
    "delivered": 990,
    "bounced": 10,
    "complained": 1,
    "bounce_rate": 0.01,
    "complaint_rate": 0.00101,
}
_SHARE = "A share of 1; null: there is nothing to take it of."

SCHEMAS: dict[str, Schema] = {
    "Outcomes": answer(
        {
            "application": text(),
            "class": choice(CLASSES),
            "site": text("The provider's name, or `other`."),
            **{what: whole("Recipients.") for what in WHATS},
            "bounce_rate": maybe(number(f"Bounced at once or later. {_SHARE}")),
            "complaint_rate": maybe(number(_SHARE)),
        },
        "What became of recipients. `bounced_late`, `complained` and `unsubscribed` are told later,"
        " of mail that is counted as `delivered`, too.",
    ),
    "Stats": answer(
        {
            "days": whole("So many, the present one included."),
            "since": time("The beginning of the first, in UTC."),
            "data": many(ref("Outcomes")),
            "next_cursor": {"type": "null", "description": "Always null: these are all."},
        },
        "Figures of some days.",
    ),
    "Quota": answer(
        {
            "application": text("The key's."),
            "quota": many(ref("QuotaWindow"), "Empty: there is no quota."),
        },
        "What an application may send, and has used of that.",
    ),
}

GROUP = Group(
    "Figures",
    "What became of mail, and what an application may still send.",
    (
        Operation(
            method="GET",
            path="/v1/stats",
            name="getStats",
            summary="Figures of what became of mail",
            description="Of the key's application; with the scope operate of any, or of all. Asking"
            " for another application without it is a 403.",
            parameters=(
                query(
                    "days", whole("UTC days.", minimum=1, maximum=MOST_DAYS, default=DEFAULT_DAYS)
                ),
                query("application", text("Only of this one.", maxLength=255)),
            ),
            answers={
                200: Answer(
                    "The figures.",
                    ref("Stats"),
                    {
                        "days": 7,
                        "since": "2026-11-21T00:00:00.000Z",
                        "data": [_ROW],
                        "next_cursor": None,
                    },
                )
            },
            problems=("invalid", "missing_scope"),
        ),
        Operation(
            method="GET",
            path="/v1/quota",
            name="getQuota",
            summary="What may still be sent",
            description="Recipients by minute, day and month, where the installation sets a quota.",
            scopes=("send",),
            answers={
                200: Answer(
                    "The quota.",
                    ref("Quota"),
                    {
                        "application": "shop",
                        "quota": [
                            {
                                "window": "day",
                                "limit": 1000,
                                "used": 12,
                                "reset": "2026-11-28T00:00:00.000Z",
                            }
                        ],
                    },
                )
            },
            problems=("invalid",),
        ),
    ),
    SCHEMAS,
)
