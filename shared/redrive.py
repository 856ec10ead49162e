"""Choosing legs that are set aside, by message or by cause, and deciding about them.

The command line and the API share it. Legs are read in pages; of what is chosen only the ids are
held, of at most `WINDOW` legs at once. A store that goes away in the middle is an ordinary outcome
(`Redriven.interrupted`); before that, while nothing was done, it is the `StoreError` family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from shared.clock import Clock
from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.model.leg import LegState, leg_id
from shared.model.message import MessageClass
from shared.settings import RetrySettings
from shared.store.operations import Aside, Operations, Place, SetAside
from shared.store.ports import Spool

PAGE = 500
"""Legs that are read at once."""
BATCH = 100
"""Legs of one script: so many are in doubt when its answer does not come."""
WINDOW = 10_000
"""Legs that are looked at before those chosen are decided about, where nothing else is said; one
request of the API is one."""
_STATES: dict[LegState, Aside] = {LegState.DEAD: "dead", LegState.HELD: "uncertain"}


class Choice(msgspec.Struct, frozen=True):
    """Which legs; what is not said matches everything."""

    kinds: tuple[Aside, ...]
    """One, unless messages are named."""
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


class Redriven(msgspec.Struct):
    """What came of a decision so far."""

    chosen: int = 0
    done: int = 0
    """Fewer than chosen when somebody else has decided meanwhile, or when it was interrupted."""
    overdue: int = 0
    """Requeued ones whose `deliver_by` has passed: they expire."""
    next: Place | None = None
    """Where it goes on; None when nothing is left to look at."""
    interrupted: str = ""
    """Why the store went away in the middle; empty when it did not."""
    in_doubt: int = 0
    """Interrupted: at most so many more may have been done."""


class _Leg(msgspec.Struct, frozen=True):
    """What is held of a chosen leg."""

    place: Place
    give_up_ms: int
    overdue: bool


_Act = Callable[[Sequence[_Leg]], int]


class Redrive:
    """Decisions about what is set aside."""

    def __init__(
        self,
        spool: Spool,
        operations: Operations,
        retry: RetrySettings,
        clock: Clock,
        *,
        window: int = 0,
    ) -> None:
        self._spool = spool
        self._operations = operations
        self._retry = retry
        self._clock = clock
        self._given_window = window

    def chosen(self, choice: Choice, before: Place | None = None) -> Iterator[SetAside]:
        """The legs, the last ones first."""
        pages = self._pages(choice, before)
        return (each for page in pages for each in page if choice.matches(each))

    def page(
        self, choice: Choice, limit: int, before: Place | None = None
    ) -> tuple[list[SetAside], Place | None]:
        """At most `limit` legs, and where the list goes on.

        There may be fewer, even none, and still a place: then a window was looked at.
        """
        found: list[SetAside] = []
        looked = 0
        for page in self._pages(choice, before):
            for each in page:
                if choice.matches(each):
                    if len(found) == limit:
                        return found, _place(found[-1])
                    found.append(each)
            looked += len(page)
            if looked >= self._most_looked() and choice.message_ids is None:
                return found, _place(page[-1])
        return found, None

    def of_message(self, message_id: bytes) -> Iterator[SetAside]:
        """A message's legs that are set aside."""
        stored = self._spool.get(message_id)
        for number, leg in enumerate(stored.legs if stored else ()):
            kind = _STATES.get(leg.state)
            if stored is not None and kind is not None:
                last = leg.last_try()
                since = stored.head.accepted_ms if last is None else last.at_ms
                yield SetAside(leg_id(message_id, number), kind, since, leg, stored.head)

    def _pages(self, choice: Choice, before: Place | None) -> Iterator[list[SetAside]]:
        if choice.message_ids is not None:
            yield from (list(self.of_message(each)) for each in dict.fromkeys(choice.message_ids))
            return
        for kind in choice.kinds:
            place = before
            while page := self._operations.aside(kind, PAGE, place):
                yield page
                place = _place(page[-1])

    def count(
        self, choice: Choice, before: Place | None = None, *, windows: int | None = None
    ) -> Redriven:
        """What a decision would come to: nothing is changed. The numbers are as in `requeue`."""
        return self._work(choice, None, before, windows)

    def requeue(
        self, choice: Choice, before: Place | None = None, *, windows: int | None = None
    ) -> Redriven:
        """Queue them again, with the time that their class gives from now.

        Goes on at `before`; ends after so many `windows`, or when nothing is left.
        """

        def act(legs: Sequence[_Leg]) -> int:
            return sum(
                self._operations.requeue([(each.place[1], each.give_up_ms) for each in legs])
            )

        return self._work(choice, act, before, windows)

    def drop(
        self, choice: Choice, before: Place | None = None, *, windows: int | None = None
    ) -> Redriven:
        """Cancel what is open in them; otherwise as `requeue`."""

        def act(legs: Sequence[_Leg]) -> int:
            return sum(self._operations.drop([each.place[1] for each in legs]))

        return self._work(choice, act, before, windows)

    def _work(
        self, choice: Choice, act: _Act | None, before: Place | None, windows: int | None
    ) -> Redriven:
        told = Redriven(next=before)
        try:
            while True:
                legs, place = self._window(choice, told.next)
                told.chosen += len(legs)
                told.overdue += sum(each.overdue for each in legs)
                if act is not None:
                    _decide(legs, act, told)
                told.next = place
                windows = None if windows is None else windows - 1
                if place is None or windows == 0:
                    return told
        except StoreError as error:
            if not isinstance(error, OutcomeUnknown):
                told.in_doubt = 0
            if not told.done and not told.in_doubt:
                raise StoreUnavailable(str(error)) from error
            told.interrupted = str(error)
            return told

    def _window(self, choice: Choice, before: Place | None) -> tuple[list[_Leg], Place | None]:
        """What is chosen among the next legs, and where the ones behind them begin."""
        found: list[_Leg] = []
        looked = 0
        for page in self._pages(choice, before):
            found += [self._leg(each) for each in page if choice.matches(each)]
            looked += len(page)
            if looked >= self._most_looked() and choice.message_ids is None:
                return found, _place(page[-1])
        return found, None

    def _most_looked(self) -> int:
        return self._given_window or WINDOW

    def _leg(self, each: SetAside) -> _Leg:
        now, deliver_by = self._clock.now_ms(), each.head.deliver_by_ms
        give_up = now + self._retry.give_up_of(each.head.message_class) * 1000
        if deliver_by is None:
            return _Leg(_place(each), give_up, overdue=False)
        return _Leg(_place(each), min(give_up, deliver_by), overdue=deliver_by <= now)


def _decide(legs: Sequence[_Leg], act: _Act, told: Redriven) -> None:
    for start in range(0, len(legs), BATCH):
        batch = legs[start : start + BATCH]
        told.in_doubt = len(batch)
        told.done += act(batch)
        told.in_doubt = 0


def _place(each: SetAside) -> Place:
    return each.since_ms, each.leg_id


def cursor(place: Place | None) -> str | None:
    """A place as text, for whoever goes on from there."""
    return None if place is None else f"{place[0]}-{place[1].hex()}"


def place_of(text: str) -> Place | None:
    """The inverse of `cursor`; None when it is none."""
    since, _, leg = text.partition("-")
    try:
        if since.isascii() and since.isdecimal() and len(since) < 17 and len(leg) == 36:
            return int(since), bytes.fromhex(leg)
    except ValueError:
        pass  # Not hexadecimal.
    return None
