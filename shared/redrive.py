"""Choosing legs that are set aside, by message or by cause, and deciding about them.

The command line and the API share it. Failures are the `StoreError` family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from shared.clock import Clock
from shared.model.leg import LegState, leg_id
from shared.model.message import MessageClass
from shared.settings import RetrySettings
from shared.store.operations import Aside, Operations, Place, SetAside
from shared.store.ports import Spool

PAGE = 500
_STATES: dict[LegState, Aside] = {LegState.DEAD: "dead", LegState.HELD: "uncertain"}


class Choice(msgspec.Struct, frozen=True):
    """Which legs; what is not said matches everything."""

    kinds: tuple[Aside, ...]
    message_ids: tuple[bytes, ...] | None = None
    cause: str | None = None
    destination: str | None = None
    application: str | None = None
    message_class: MessageClass | None = None
    since_ms: int | None = None
    """Set aside then or later."""
    until_ms: int | None = None
    """Set aside before."""

    def matches(self, each: SetAside) -> bool:
        """Whether a leg is among them."""
        wanted = (
            (self.cause, each.leg.cause() or "unknown"),
            (self.destination, each.leg.hop),
            (self.application, each.head.application),
            (self.message_class, each.head.message_class),
        )
        return (
            each.kind in self.kinds
            and all(want is None or want == found for want, found in wanted)
            and (self.since_ms is None or each.since_ms >= self.since_ms)
            and (self.until_ms is None or each.since_ms < self.until_ms)
        )


class Redriven(msgspec.Struct, frozen=True):
    """What came of a decision."""

    chosen: int
    done: int
    """Fewer than chosen when somebody else has decided meanwhile."""
    overdue: int = 0
    """Requeued ones whose `deliver_by` has passed: they expire."""


class Redrive:
    """Decisions about what is set aside."""

    def __init__(
        self, spool: Spool, operations: Operations, retry: RetrySettings, clock: Clock
    ) -> None:
        self._spool = spool
        self._operations = operations
        self._retry = retry
        self._clock = clock

    def chosen(self, choice: Choice, before: Place | None = None) -> Iterator[SetAside]:
        """The legs, the last ones first, of each kind."""
        if choice.message_ids is not None:
            found = (leg for each in choice.message_ids for leg in self.of_message(each))
        else:
            found = (leg for kind in choice.kinds for leg in self._all(kind, before))
        return (each for each in found if choice.matches(each))

    def of_message(self, message_id: bytes) -> Iterator[SetAside]:
        """A message's legs that are set aside."""
        stored = self._spool.get(message_id)
        for number, leg in enumerate(stored.legs if stored else ()):
            kind = _STATES.get(leg.state)
            if stored is not None and kind is not None:
                since = leg.history[-1].at_ms if leg.history else stored.head.accepted_ms
                yield SetAside(leg_id(message_id, number), kind, since, leg, stored.head)

    def _all(self, kind: Aside, before: Place | None) -> Iterator[SetAside]:
        place = before
        while page := self._operations.aside(kind, PAGE, place):
            yield from page
            place = (page[-1].since_ms, page[-1].leg_id)

    def count(self, choice: Choice) -> Redriven:
        """What a decision would come to: nothing is changed."""
        legs = list(self.chosen(choice))
        return Redriven(len(legs), 0, sum(self._is_overdue(each) for each in legs))

    def requeue(self, choice: Choice) -> Redriven:
        """Queue them again, with the time that their class gives from now."""
        legs = list(self.chosen(choice))
        done = sum(
            sum(self._operations.requeue([(each.leg_id, self._give_up_ms(each)) for each in page]))
            for page in _pages(legs)
        )
        return Redriven(len(legs), done, sum(self._is_overdue(each) for each in legs))

    def drop(self, choice: Choice) -> Redriven:
        """Cancel what is open in them."""
        legs = list(self.chosen(choice))
        done = sum(
            sum(self._operations.drop([each.leg_id for each in page])) for page in _pages(legs)
        )
        return Redriven(len(legs), done)

    def _is_overdue(self, each: SetAside) -> bool:
        deliver_by = each.head.deliver_by_ms
        return deliver_by is not None and deliver_by <= self._clock.now_ms()

    def _give_up_ms(self, each: SetAside) -> int:
        seconds = self._retry.give_up_of(each.head.message_class)
        give_up = self._clock.now_ms() + seconds * 1000
        return give_up if each.head.deliver_by_ms is None else min(give_up, each.head.deliver_by_ms)


def _pages(legs: Iterable[SetAside]) -> Iterator[list[SetAside]]:
    waiting = iter(legs)
    while page := list(islice(waiting, PAGE)):
        yield page
