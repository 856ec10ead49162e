"""A brake on suppressing: a server that calls everybody dead, as one without its directory does.

Takes what transactions came to, by the relay or site of their hop. Says when what a server calls
dead is no longer to be believed: the bounces stand, but for the suppression list, which may hold
for ever, they are too many. What is counted is of this process alone, and of the last minutes and
recipients: where thousands were delivered a moment ago, those must not hide the trouble. It logs
nothing and asks nobody.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from shared.clock import Clock
from shared.hops import shared_part

LEAST_DEAD = 20
"""Recipients that must have been called dead: of fewer a share says nothing."""
MOST_DEAD_PERCENT = 80
"""Above it, of those that were delivered or called dead, nobody is believed. A bad list has 30 to
60 % dead addresses at a site that works."""
SPAN_SECONDS = 300
SPAN_RECIPIENTS = 100
"""A span ends after so long or so many; what counts is this span and the one before."""
MOST_HOPS = 4096
"""Relays and sites whose counts are kept: of those not heard of for longest they are forgotten."""
TELL_SECONDS = 60.0
"""A relay or site is told of once in this time."""


class Braked(msgspec.Struct, frozen=True):
    """A server that is not believed."""

    hop: str
    """The relay or site."""
    dead: int
    """Recipients it has called dead."""
    delivered: int
    """Recipients it has taken mail for, meanwhile."""
    tell: bool
    """Whether it is time to tell somebody."""


class _Counts:
    """Of one relay or site: this span and the one before."""

    __slots__ = ("dead", "dead_before", "delivered", "delivered_before", "span", "told")

    def __init__(self, span: int) -> None:
        self.span = span
        self.delivered = self.dead = self.delivered_before = self.dead_before = 0
        self.told = float("-inf")

    def turn(self, span: int) -> None:
        """Begin another span, in the same 300 s or later ones."""
        kept = span - self.span <= 1
        self.delivered_before = self.delivered if kept else 0
        self.dead_before = self.dead if kept else 0
        self.delivered = self.dead = 0
        self.span = span


class Brake:
    """One a process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hops: OrderedDict[str, _Counts] = OrderedDict()

    def heard(self, hop: str, delivered: int, dead: int) -> Braked | None:
        """Count a transaction's recipients; None: those it called dead, if any, are believed."""
        now = self._clock.monotonic()
        span, part = int(now // SPAN_SECONDS), shared_part(hop)
        counts = self._hops.get(part)
        if counts is None:
            counts = self._new(part, span)
        else:
            self._hops.move_to_end(part)
        if counts.span != span or counts.delivered + counts.dead >= SPAN_RECIPIENTS:
            counts.turn(span)
        counts.delivered += delivered
        if not dead:  # As a rule.
            return None
        counts.dead += dead
        return _judged(part, counts, now)

    def _new(self, part: str, span: int) -> _Counts:
        counts = self._hops[part] = _Counts(span)
        if len(self._hops) > MOST_HOPS:
            self._hops.popitem(last=False)
        return counts


def _judged(part: str, counts: _Counts, now: float) -> Braked | None:
    dead = counts.dead + counts.dead_before
    delivered = counts.delivered + counts.delivered_before
    if dead < LEAST_DEAD or dead * 100 <= MOST_DEAD_PERCENT * (dead + delivered):
        return None
    tell = now - counts.told >= TELL_SECONDS
    if tell:
        counts.told = now
    return Braked(part, dead, delivered, tell)
