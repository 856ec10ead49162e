"""Turns of destinations that share what is scarce: the rules of `lua/parts/shares.lua`.

What is counted is kept for a while in `State.shares`, by class; `Turns` is what one claim makes of
it.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import islice

import msgspec

from shared.hops import ANY_SITE, MX, UNRESOLVED, mx_hop, shared_part
from shared.model.turns import hop_and_application
from shared.store.memory_limits import Limits

COUNTED = 2000
"""Queues of the ring; of a longer one its first part stands for all."""
GOLDEN = 0.6180339887498949
"""Multiples of it, without their whole part, are spread evenly however many there are."""


class Unlike(msgspec.Struct):
    """A destination that is not like the others."""

    queues: int
    weight: int
    had: int
    """Turns of its queues so far."""


class Shares(msgspec.Struct):
    """Whose queues the ring has."""

    at: int
    queues: int
    weights: int
    """Of all destinations together; 0: all are alike."""
    most: int
    """The largest one."""
    of_sites: int
    """That of sites, unless they have one of their own."""
    unlike: dict[str, Unlike]
    begun: tuple[str, int] | None = None
    """The queue at the ring's head whose turn goes on, and the legs that are left of it."""

    def hold(self, now: int, turns: int) -> bool:
        """Whether they say how long turns are."""
        return self.weights > 0 and 0 <= now - self.at <= max(1000, 2 * turns)


def is_stale(at: int | None, now: int, waiting: int) -> bool:
    """Whether the ring, of so many queues, is to be counted."""
    return at is None or not 0 <= now - at < max(100, waiting)


def counted(ring: deque[str], limits: Limits, before: Shares | None, now: int) -> Shares:
    """The ring, counted."""
    places = list(islice(ring, COUNTED))
    queues: dict[str, int] = {}
    for queue in places:
        key = shared_part(hop_and_application(queue)[0])
        queues[key] = queues.get(key, 0) + 1
    weights = {key: _weight(limits, key, *((ANY_SITE,) if _is_site(key) else ())) for key in queues}
    had = {key: one.had for key, one in before.unlike.items()} if before is not None else {}
    of_sites = _weight(limits, ANY_SITE)
    unlike = {
        key: Unlike(n, weights[key], had.get(key, 0))
        for key, n in queues.items()
        if n > 1 or weights[key] != (of_sites if _is_site(key) else 1)
    }
    if len(queues) == 1 or (not unlike and len(set(weights.values())) == 1):
        return Shares(now, len(places), 0, 1, of_sites, {})
    total, most = sum(weights.values()), max(weights.values())
    begun = before.begun if before is not None else None
    return Shares(now, len(places), total, most, of_sites, unlike, begun)


def _is_site(key: str) -> bool:
    return mx_hop(key) is not None and key != MX + UNRESOLVED


def _weight(limits: Limits, *keys: str) -> int:
    """By the first of these that has limits at all."""
    own = next((limits.configured[key] for key in keys if key in limits.configured), None)
    return max(1, own.weight) if own is not None else 1


class Turns:
    """How long the turns of one claim are."""

    def __init__(self, shares: Shares, turn: int, quantum: int) -> None:
        """`turn`: how long they would be if all destinations were alike."""
        self._shares = shares
        each = math.ceil(turn * shares.queues / shares.weights)
        self._each = min(each, max(1, quantum // shares.most))

    def of(self, queue: str, hop: str) -> int:
        """What one turn is in this round, maybe none."""
        shares = self._shares
        if shares.begun is not None and shares.begun[0] == queue:
            left, shares.begun = shares.begun[1], None
            return left
        key = shared_part(hop)
        one = shares.unlike.get(key) or Unlike(1, shares.of_sites if _is_site(key) else 1, 0)
        if one.queues == 1:
            return self._each * one.weight
        share = self._each * one.weight / one.queues
        to = share * (one.had % one.queues) + GOLDEN * (one.had // one.queues + 1) % 1
        one.had += 1
        return math.floor(to) - math.floor(to - share)

    def go_on(self, queue: str, left: int) -> None:
        """The next claim goes on with this turn."""
        self._shares.begun = (queue, left)
