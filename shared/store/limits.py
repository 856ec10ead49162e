"""Limits as the store keeps them, and what operators set instead for a while. Pure.

The hash `shaping` has three fields for a key (a relay, `mx:SITE`, `mx:*` for every site, `@ROUTE`):
the key itself for what is configured, `!` before it for what an operator has set, `~` before it for
how far replies have slowed it down. A release before has a hash `limits` of three numbers each. It
is left to it: its claims break on any other text, while the queue they have in hand is in no list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from shared.hops import ANY_SITE, MX, UNRESOLVED, DestinationLimit

BY_OPERATOR = "!"
SLOWED = "~"
MOST_STEPS = 5
"""A destination is slowed down to a 32nd at most."""
STEP_MS = 60_000
"""After so long without another such reply it may have twice as much."""
PACE_MS = 1000.0
"""From leg to leg, of a destination that had too little for anybody to know what it can take."""
SLOW_TOGETHER_MS = 10_000
"""What is said within this time counts once, where the destination does not stand still for it."""
WINDOWS_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
BUCKETS = 60
"""Parts of a window. A leg counts for a part longer than the window, so never for less."""


class Override(msgspec.Struct, frozen=True):
    """What an operator has set. None: as configured; 0: no limit."""

    per_second: float | None = None
    concurrency: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    connections: int | None = None
    connections_per_second: float | None = None
    until_ms: int | None = None
    """None: until it is cleared."""
    reason: str = ""

    def is_over(self, now_ms: int) -> bool:
        """Whether its time has passed."""
        return self.until_ms is not None and self.until_ms <= now_ms

    def over(self, limit: DestinationLimit) -> DestinationLimit:
        """The limit with this on top."""
        said = {name: value for name in FIELDS if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(limit, **said)


FIELDS = ("per_second", "concurrency", "per_minute", "per_hour", "per_day", "connections",
          "connections_per_second")  # fmt: skip
"""What an `Override` may say."""


class Slowed(msgspec.Struct, frozen=True):
    """How far replies have slowed a destination down, as of now."""

    steps: int
    """Half as much for each."""
    until_ms: int
    """When it is as configured again, if no such reply comes."""
    per_second: float = 0.0
    """What it may have now, by the rate that it had then; 0: nothing was sent then."""


class Slowing(msgspec.Struct, frozen=True):
    """The same as it is stored."""

    till_ms: int
    """The end of the pause after the last such reply: from then on it recovers. Until then only its
    probe ends its trouble."""
    steps: int
    interval: float
    """Milliseconds from leg to leg at the rate before it was slowed down; 0: unknown."""

    def steps_at(self, now_ms: int) -> int:
        """Those that are left."""
        past = max(0, (now_ms - self.till_ms) // STEP_MS)
        return max(0, self.steps - past)

    def changes(self, now_ms: int) -> int | None:
        """When there is one step less; None: none is left."""
        if not self.steps_at(now_ms):
            return None
        return self.till_ms + (max(0, now_ms - self.till_ms) // STEP_MS + 1) * STEP_MS

    def is_over(self, now_ms: int) -> bool:
        """Whether nothing is left of it."""
        return now_ms >= self.till_ms and not self.steps_at(now_ms)

    def over(self, limit: DestinationLimit, now_ms: int) -> DestinationLimit:
        """The limit as it is slowed down."""
        factor = 2 ** self.steps_at(now_ms)
        if factor == 1:
            return limit
        own = 1000 / limit.per_second if limit.per_second else 0.0
        interval = max(own * factor, self.interval * factor)
        return msgspec.structs.replace(
            limit,
            per_second=1000 / interval if interval else 0.0,
            concurrency=math.ceil(limit.concurrency / factor),
            connections=math.ceil(limit.connections / factor),
        )

    def shown(self, now_ms: int) -> Slowed | None:
        """For people; None when it is over."""
        steps = self.steps_at(now_ms)
        if not steps:
            return None
        rate = 1000 / (self.interval * 2**steps) if self.interval else 0.0
        return Slowed(steps, self.till_ms + self.steps * STEP_MS, rate)


def pack_limit(limit: DestinationLimit | None) -> str:
    """Its text; empty where there is none. One without any number is one: a site that has it does
    not have what every site has."""
    if limit is None:
        return ""
    numbers = (
        _interval(limit.per_second), limit.burst, limit.concurrency, limit.per_minute,
        limit.per_hour, limit.per_day, limit.connections, _interval(limit.connections_per_second),
        limit.weight,
    )  # fmt: skip
    return "|".join(map(repr, numbers))


def unpack_limit(text: str) -> DestinationLimit:
    """From its text."""
    interval, _, *whole, sessions, weight = text.split("|")[:9]  # Of a site a day follows.
    concurrency, minute, hour, day, connections = map(int, whole)
    return DestinationLimit(
        _rate(float(interval)), concurrency, minute, hour, day, connections,
        _rate(float(sessions)), int(weight),
    )  # fmt: skip


def pack_override(override: Override) -> str:
    """Its text: until when, what a limit has, with nothing where nothing is said, the reason."""
    rate, sessions = override.per_second, override.connections_per_second
    burst = None if rate is None else DestinationLimit(rate).burst
    numbers = (
        override.until_ms or 0, None if rate is None else _interval(rate), burst,
        override.concurrency, override.per_minute, override.per_hour, override.per_day,
        override.connections, None if sessions is None else _interval(sessions),
    )  # fmt: skip
    return "|".join(["" if each is None else repr(each) for each in numbers] + [override.reason])


def unpack_override(text: str) -> Override:
    """From its text."""
    until, rate, _, *numbers, sessions, reason = text.split("|", 9)
    concurrency, minute, hour, day, connections = (int(each) if each else None for each in numbers)
    return Override(
        _rate(float(rate)) if rate else None,
        concurrency,
        minute,
        hour,
        day,
        connections,
        _rate(float(sessions)) if sessions else None,
        int(until) or None,
        reason,
    )


def unpack_slowing(text: str) -> Slowing:
    """From the text that `trouble.lua` writes."""
    till, steps, interval = text.split("|")
    return Slowing(int(till), int(steps), float(interval))


class Effective(msgspec.Struct, frozen=True):
    """The limit of a destination now, and what it is made of."""

    limit: DestinationLimit
    configured: DestinationLimit
    override: Override | None
    slowed: Slowed | None


class Limited(msgspec.Struct, frozen=True):
    """A key of limits, and what holds for it now."""

    key: str
    effective: Effective
    used: Mapping[str, int] = {}
    """Window -> legs that count for it, where it has a limit."""


def override_of(key: str, overrides: Mapping[str, Override], now_ms: int) -> Override | None:
    """What an operator has set for it, or else for every site, and is not over."""
    said = (overrides.get(each) for each in _with_general(key))
    return next((each for each in said if each is not None and not each.is_over(now_ms)), None)


def effective(
    key: str,
    configured: Mapping[str, DestinationLimit],
    overrides: Mapping[str, Override],
    slowing: Mapping[str, Slowing],
    now_ms: int,
) -> Effective:
    """What holds for a key now. A site has its own limit, or that of every site."""
    if key == f"{MX}{UNRESOLVED}":
        return Effective(DestinationLimit(), DestinationLimit(), None, None)
    general = ANY_SITE if key.startswith(MX) else key
    own = configured.get(key) or configured.get(general) or DestinationLimit()
    override = override_of(key, overrides, now_ms)
    limit = override.over(own) if override is not None else own
    slow = slowing.get(key)
    if slow is None:
        return Effective(limit, own, override, None)
    return Effective(slow.over(limit, now_ms), own, override, slow.shown(now_ms))


def fields_of(keys: Iterable[str]) -> list[str]:
    """The fields of the hash `shaping` that say something of these keys."""
    named = dict.fromkeys(each for key in keys for each in _with_general(key))
    return [mark + key for key in named for mark in ("", BY_OPERATOR, SLOWED)]


def _with_general(key: str) -> tuple[str, ...]:
    return (key, ANY_SITE) if key.startswith(MX) else (key,)


class Fields:
    """The hash `shaping`, read."""

    def __init__(self, fields: Mapping[str, bytes]) -> None:
        self._configured: dict[str, DestinationLimit] = {}
        self._overrides: dict[str, Override] = {}
        self._slowing: dict[str, Slowing] = {}
        for field, value in fields.items():
            if field.startswith(BY_OPERATOR):
                self._overrides[field[1:]] = unpack_override(value.decode())
            elif field.startswith(SLOWED):
                self._slowing[field[1:]] = unpack_slowing(value.decode())
            else:
                self._configured[field] = unpack_limit(value.decode())

    @property
    def keys(self) -> list[str]:
        """Those of which anything is said."""
        return sorted({*self._configured, *self._overrides, *self._slowing})

    def effective(self, key: str, now_ms: int) -> Effective:
        """What holds for a key now."""
        return effective(key, self._configured, self._overrides, self._slowing, now_ms)


def windows(limit: DestinationLimit) -> Iterator[tuple[str, int]]:
    """(window, most legs) of those that have a limit."""
    most = zip(WINDOWS_MS, (limit.per_minute, limit.per_hour, limit.per_day), strict=True)
    return ((window, number) for window, number in most if number)


def reached(limit: DestinationLimit, used: Mapping[str, int], flying: int) -> str:
    """The field that keeps legs back, of several the one that does the longest; empty: none does.

    `flying` are legs under lease.
    """
    for window, most in reversed(tuple(windows(limit))):
        if used.get(window, 0) >= most:
            return f"per_{window}"
    if limit.concurrency and flying >= limit.concurrency:
        return "concurrency"
    return "per_second" if limit.per_second else ""


def part_of(window: str, now_ms: int) -> int:
    """The number of the part of a window that is now."""
    return math.floor(now_ms / (WINDOWS_MS[window] / BUCKETS))


def in_window(window: str, used: Mapping[int, int], now_ms: int) -> int:
    """How many legs still count, by the part of the window that they were claimed in."""
    first = part_of(window, now_ms) - BUCKETS
    return sum(count for part, count in used.items() if part >= first)


def _interval(per_second: float) -> float:
    return 1000 / per_second if per_second else 0


def _rate(interval_ms: float) -> float:
    return 1000 / interval_ms if interval_ms else 0.0
