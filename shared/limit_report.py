"""What is told about limits: one shape for API and command. Pure."""

from __future__ import annotations

from typing import Any

from shared.hops import ANY_SITE
from shared.store.limits import FIELDS, Limited
from shared.times import shown

_UNITS = {
    "per_second": "{}/s",
    "per_minute": "{}/min",
    "per_hour": "{}/h",
    "per_day": "{}/day",
    "concurrency": "{} under way",
    "connections": "{} sessions",
    "connections_per_second": "{} new sessions/s",
}


def limit(each: Limited) -> dict[str, Any]:
    """What holds for a relay, a site, all sites or a route."""
    holds = each.effective
    override, slowed = holds.override, holds.slowed
    return {
        "destination": each.key,
        "limits": numbers(each),
        "operator": None
        if override is None
        else {"until": shown(override.until_ms), "reason": override.reason or None},
        "slowed": None
        if slowed is None
        else {
            "steps": slowed.steps,
            "until": shown(slowed.until_ms),
            "per_second": slowed.per_second or None,
        },
    }


def amount(number: dict[str, Any]) -> str:
    """One of `numbers` in few letters."""
    return _UNITS[number["name"]].format(f"{round(number['limit'], 3):,}".removesuffix(".0"))


def numbers(each: Limited) -> list[dict[str, Any]]:
    """Each limit by itself, with where it comes from; those that an operator has lifted, too."""
    return [told for name in FIELDS if (told := _number(each, name)) is not None]


def _number(each: Limited, name: str) -> dict[str, Any] | None:
    holds = each.effective
    now, configured = getattr(holds.limit, name), getattr(holds.configured, name)
    said = None if holds.override is None else getattr(holds.override, name)
    if not now and said is None:
        return None
    before = configured if said is None else said
    origin, until, reason = "configured", None, None
    if holds.slowed is not None and now != before:
        origin, until = "slowed", holds.slowed.until_ms
    elif said is not None and holds.override is not None:
        origin, until = "operator", holds.override.until_ms
        reason = holds.override.reason or None
    return {
        "of": each.key,
        "name": name,
        "limit": now or None,
        "used": None if each.key == ANY_SITE else each.used.get(name.removeprefix("per_")),
        "configured": configured or None,
        "from": origin,
        "until": shown(until),
        "reason": reason,
    }
