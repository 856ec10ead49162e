"""What is told about destinations: one shape for API and command.

`everything` asks the store; the rest takes its values and gives what JSON can hold, and is pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from shared import limit_report
from shared.hops import limit_keys, shared_part
from shared.limiting import is_site
from shared.routing import Routes
from shared.store.operations import Destination, Operations, Outline
from shared.times import shown

MOST_APPLICATIONS = 20
"""Of a destination those with the most ready mail are told."""


def everything(
    operations: Operations, routes: Routes, asked: str = "", hops: Collection[str] | None = None
) -> list[Destination]:
    """The destinations, and behind them the configured hops that have nothing to do, and the site
    that is `asked` for: thousands of them are told only while they have mail. With `hops` those at
    these only.

    May raise the `StoreError` family.
    """
    rows = operations.destinations(hops)
    busy = {each.hop for each in rows}
    wanted = [*routes.hops, *([asked] if is_site(asked, routes) else [])]
    names = [
        each
        for each in dict.fromkeys(wanted)
        if each not in busy and (hops is None or each in hops)
    ]
    keys = list(dict.fromkeys(key for name in names for key in limit_keys(name)))
    limits = {each.key: each for each in operations.limits(keys)}
    refusals = operations.refusals(names)
    idle = [
        Destination(
            hop=name,
            message_class="transactional",
            limits=tuple(limits[key] for key in limit_keys(name)),
            refusal=refusals.get(name),
        )
        for name in names
    ]
    return [*rows, *(_limited(each) for each in idle)]


def outlines(operations: Operations, routes: Routes) -> list[Outline]:
    """The same destinations and idle hops, with what their counters tell.

    May raise the `StoreError` family.
    """
    rows = operations.outlines()
    busy = {each.hop for each in rows}
    idle = [
        Outline(hop=name, message_class="transactional") for name in routes.hops if name not in busy
    ]
    return [*rows, *idle]


def around(name: str, routes: Routes) -> list[str]:
    """The hops that `of_destination` needs: the destination's own, and of a pool its members'."""
    pool = routes.pools.get(name)
    return [name, *(hop for hop, _ in pool.members)] if pool is not None else [name]


def _limited(each: Destination) -> Destination:
    own = each.limits[0]
    return msgspec.structs.replace(
        each,
        limit=own.effective.limit,
        override=own.effective.override,
        slowed=own.effective.slowed,
        used=own.used,
    )


def destinations(rows: Sequence[Destination], now_ms: int) -> list[dict[str, Any]]:
    """Destinations; of each one all its classes."""
    return [_destination(each, now_ms, probe(each, rows)) for each in rows]


def probe(each: Destination, rows: Sequence[Destination]) -> str:
    """How a destination in state `probing` is probed: one probe is for all its classes."""
    busy = any(other.in_flight for other in rows if other.hop == each.hop)
    return "being probed" if busy else "probed by its next message"


def of_destination(
    name: str, rows: Sequence[Destination], now_ms: int, routes: Routes
) -> dict[str, Any]:
    """One destination in each class; of a pool also how its members are."""
    mine = [each for each in rows if each.hop == name]
    told: dict[str, Any] = {"destination": name, "data": destinations(mine, now_ms)}
    pool = routes.pools.get(name)
    if pool is not None:
        told["members"] = [_member(hop, weight, rows, now_ms) for hop, weight in pool.members]
    return told


def _member(hop: str, weight: int, rows: Sequence[Destination], now_ms: int) -> dict[str, Any]:
    """What matters of a member of a pool: the classes of one hop stand still together."""
    found = [_destination(each, now_ms, probe(each, rows)) for each in rows if each.hop == hop]
    keys = ("state", "until", "reason")
    first = max(found, key=lambda told: told["reason"] is not None, default={})
    busy = sum(told["in_flight"] for told in found)
    about = {key: first.get(key) for key in keys}
    return {"destination": hop, "weight": weight, **about, "in_flight": busy}


def limits(each: Destination) -> list[dict[str, Any]]:
    """Each limit by itself, of its relay or site, and of its route."""
    found = [number for limited in each.limits for number in limit_report.numbers(limited)]
    for number in found:
        if (number["of"], number["name"]) == (shared_part(each.hop), "connections"):
            number["used"] = each.connections
    return found


def _destination(each: Destination, now_ms: int, probed: str) -> dict[str, Any]:
    pause = each.pause
    state = each.state(now_ms)
    until = pause.until_ms if pause else each.wakes_ms if state == "limited" else None
    reason = (pause.reason or None) if pause else None
    if state == "probing":
        reason = "; ".join(filter(None, (reason, probed)))
    return {
        "destination": each.hop,
        "class": each.message_class,
        "state": state,
        "until": shown(until),
        "reason": reason,
        "since": shown(pause.since_ms) if pause else None,
        "strikes": pause.strikes if pause else 0,
        "ready": each.ready,
        "deferred": each.deferred,
        "in_flight": each.in_flight,
        "oldest_seconds": None if each.oldest_ms is None else max(0, each.oldest_ms // 1000),
        "per_minute": round(each.per_minute, 1),
        "connections": each.connections,
        "rate_limit": each.rate or None,
        "limits": limits(each),
        "last_refusal": None
        if each.refusal is None
        else {"at": shown(each.refusal.at_ms), "reply": each.refusal.text},
        "applications": [
            {"application": name, "ready": ready}
            for name, ready in each.applications[:MOST_APPLICATIONS]
        ],
    }
