"""Limits that an operator sets: what they may say, of what. One check for API and command. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from shared.hops import ANY_SITE, MX, UNDECIDED, UNRESOLVED, limit_keys, mx_hop, route_key
from shared.routing import Routes
from shared.shaping.checks import MOST
from shared.store.limits import FIELDS, Override
from shared.suspension import MOST_SECONDS, wrong_reason

_MOST_RATE = 1_000_000
_RATES = ("per_second", "connections_per_second")
_MOST: dict[str, float] = {
    "per_second": _MOST_RATE,
    "concurrency": 100_000,
    "per_minute": MOST,
    "per_hour": MOST,
    "per_day": MOST,
    "connections": 10_000,
    "connections_per_second": _MOST_RATE,
}
_LEAST_RATE = 0.001
_SITE = re.compile(r"[a-z0-9][a-z0-9._~-]{0,252}\Z")


def wrong_fields(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(field, what is wrong) of everything that is wrong with a limit; `""`: of all of it.

    `fields` are those of `FIELDS`, `seconds` and `reason`; others are not looked at.
    """
    found = [(name, text) for name in FIELDS if (text := _wrong_number(name, fields.get(name)))]
    if all(fields.get(name) is None for name in FIELDS):
        found.append(("", f"Say at least one of {', '.join(FIELDS)}."))
    seconds = fields.get("seconds")
    if seconds is not None and not (_is_whole(seconds) and 0 < seconds <= MOST_SECONDS):
        days = MOST_SECONDS // 86_400
        end = "leave it out for a limit that holds until it is cleared."
        found.append(("seconds", f"1 to {MOST_SECONDS} s ({days} days); {end}"))
    if wrong := wrong_reason(fields.get("reason", "")):
        found.append(("reason", wrong))
    return found


def override_of(fields: Mapping[str, Any], now_ms: int) -> Override:
    """What fields say that are not wrong."""
    said = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    for name in set(_RATES) & said.keys():
        said[name] = float(said[name])
    seconds = fields.get("seconds")
    until = None if seconds is None else now_ms + seconds * 1000
    return Override(**said, until_ms=until, reason=fields.get("reason", ""))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_number(name: str, value: Any) -> str:
    """What is wrong with a number; empty when nothing is. None: it is not said."""
    most = _MOST[name]
    if value is None:
        return ""
    if name not in _RATES:
        if _is_whole(value) and 0 <= value <= most:
            return ""
        return f"A whole number from 1 to {most:,}, or 0 for no limit."
    number = _is_whole(value) or (isinstance(value, float) and math.isfinite(value))
    if number and (value == 0 or _LEAST_RATE <= value <= most):
        return ""
    return f"A number from {_LEAST_RATE} to {most:,}, or 0 for no limit."


def limit_names(routes: Routes) -> list[str]:
    """What has limits by the settings: relays, routes with hops of their own, all sites."""
    keys = [key for hop in routes.hops for key in limit_keys(hop)]
    keys += [route_key(route) for route in sorted(routes.direct) if route]
    nothing = (f"{MX}{UNRESOLVED}", f"@{UNDECIDED}")
    found = [key for key in keys if key not in nothing and not key.startswith("pool:")]
    return [*dict.fromkeys(found), *([ANY_SITE] if routes.direct else [])]


def is_site(hop: str, routes: Routes) -> bool:
    """Whether mail that goes straight to MX hosts could be there, with mail there or without."""
    found = mx_hop(hop)
    if found is None or found.hop != hop or found.route not in routes.direct:
        return False
    return bool(_SITE.match(found.site) and _SITE.match(found.policy or found.site))


def wrong_name(name: str, routes: Routes) -> str:
    """What is wrong with the name of what gets a limit; empty when nothing is."""
    known = limit_names(routes)
    site = name.removeprefix(MX)
    if name in known or (routes.direct and name.startswith(MX) and _SITE.match(site)):
        return ""
    there = ", ".join([*known, *([f"{MX}SITE"] if routes.direct else [])])
    keys = [each for each in limit_keys(name) if each in known]
    if keys:
        return f"It has the limits of {' and '.join(keys)}; there are limits of {there}."
    if name.startswith("@"):
        return f"No such route has hops of its own; there are limits of {there}."
    return f"There are limits of {there}."
