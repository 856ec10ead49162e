"""The accounts of what came back and of the suppression list. Pure; `accounts.judge` asks it.

A recipient whose bounce was taken is bounced, one whom the list stood in the way of is suppressed
and has no copy, all others are delivered. What was in flight at a kill may be sent again, and then
find the list in its way, where the first copy has bounced meanwhile, say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from shared.model.message import MessageClass
from shared.model.status import Status
from shared.model.suppression import Reason
from tests.chaos.copies import Pair
from tests.chaos.fates import (
    APPLICATION,
    BOUNCES,
    LIST,
    Entry,
    Kind,
    stands_in_the_way,
)

DELIVERED, BOUNCED, SUPPRESSED = (
    status.value for status in (Status.DELIVERED, Status.BOUNCED, Status.SUPPRESSED)
)
_LISTS: dict[Kind, tuple[str, Reason]] = {
    "dead": ("", "bounce"), "complaint": ("", "complaint"), "unsubscribed": (LIST, "unsubscribe"),
}  # fmt: skip
"""Which entry comes of what is sent back: its list and reason."""


class To(msgspec.Struct, frozen=True):
    """A message, as far as it matters for who may get it."""

    message_class: MessageClass
    list: str
    began: float
    """When it was sent for the first time."""
    suppressed: frozenset[str]
    """Recipients who were suppressed, by its receipt."""


class Listed(msgspec.Struct, frozen=True):
    """An entry that was put on the list. Times are monotonic."""

    entry: Entry
    number: int
    """Of the message to that address."""
    asked_at: float
    answered_at: float


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A report that was taken."""

    number: int
    recipient: str
    kind: Kind
    taken_at: float = 0.0
    """Monotonic; 0: not yet."""
    tries: int = 0


class Back(msgspec.Struct, frozen=True):
    """Everything that was gathered of it."""

    told: Sequence[Told] = ()
    listed: Sequence[Listed] = ()
    on_list: Sequence[Entry] = ()
    outcomes: Mapping[str, int] = {}
    """The store's own figures: what -> recipients."""

    def by_kind(self) -> dict[Kind, set[Pair]]:
        """Whose copies were told of, once each."""
        found: dict[Kind, set[Pair]] = {}
        for each in self.told:
            found.setdefault(each.kind, set()).add((each.number, each.recipient))
        return found


class Ends:
    """Which ends of recipients can be explained."""

    def __init__(self, back: Back, to: Mapping[int, To], in_flight: Collection[Pair]) -> None:
        self.must: set[Pair] = set()
        """Those who were on the list before their message was sent."""
        self._may: dict[Pair, set[str]] = {}
        for kind, pairs in back.by_kind().items():
            for pair in pairs:
                self._may[pair] = _after(kind, to[pair[0]], pair in in_flight)
        for each in back.listed:
            pair, about = (each.number, each.entry.address), to.get(each.number)
            if about and stands_in_the_way(each.entry, about.message_class, about.list):
                self._may[pair] = {SUPPRESSED}
                if each.answered_at < about.began:
                    self.must.add(pair)
                else:
                    self._may[pair].add(DELIVERED)

    def may(self, pair: Pair) -> Collection[str]:
        """The ends that one recipient may have."""
        return self._may.get(pair, (DELIVERED,))


def _after(kind: Kind, to: To, in_flight: bool) -> set[str]:
    """The ends after something was told of a copy; `in_flight`: there may be a second one."""
    ends = {BOUNCED if kind in BOUNCES else DELIVERED}
    spared = kind == "complaint" and to.message_class == "critical"
    if in_flight and kind in _LISTS and not spared:
        ends.add(SUPPRESSED)
    return ends


def wrong(
    back: Back,
    ends: Ends,
    to: Mapping[int, To],
    statuses: Mapping[Pair, str | None],
    copies: Counter[Pair],
    in_flight: Collection[Pair],
) -> Iterator[tuple[str, Collection[object]]]:
    """What is wrong, each with those it is about; to tell where there are some."""
    yield "copies to recipients who were suppressed before", ends.must & copies.keys()
    by_receipt = {(number, address) for number, each in to.items() for address in each.suppressed}
    yield "suppressed, but the receipt does not say so", ends.must - by_receipt
    suppressed = {pair for pair, status in statuses.items() if status == SUPPRESSED}
    yield "suppressed by the receipt, and not in the end", by_receipt - suppressed
    yield "suppressed by the receipt, with a copy", by_receipt & copies.keys()
    yield (
        "suppressed, with a copy that was not in flight at a kill",
        {pair for pair in suppressed if copies[pair] and pair not in in_flight},
    )
    yield from _wrong_list(back)
    yield from _wrong_figures(back, len(suppressed))


def _wrong_list(back: Back) -> Iterator[tuple[str, Collection[object]]]:
    expected = {each.entry for each in back.listed}
    for kind, pairs in back.by_kind().items():
        if kind in _LISTS:
            name, reason = _LISTS[kind]
            expected |= {Entry(address, APPLICATION, name, reason) for _, address in pairs}
    there = Counter(back.on_list)
    yield "not on the suppression list", expected - there.keys()
    yield "on the suppression list without a reason", there.keys() - expected
    yield "twice on the suppression list", {each for each, count in there.items() if count > 1}


def _wrong_figures(back: Back, suppressed: int) -> Iterator[tuple[str, Collection[object]]]:
    by_kind = back.by_kind()
    bounced = set[Pair]().union(*(by_kind.get(kind, set()) for kind in BOUNCES))
    expected = {
        "bounced_late": len(bounced),
        "complained": len(by_kind.get("complaint", ())),
        "unsubscribed": len(by_kind.get("unsubscribed", ())),
        "suppressed": suppressed,
    }
    yield (
        "wrong figures (what, counted, expected)",
        {
            (what, back.outcomes.get(what, 0), count)
            for what, count in expected.items()
            if back.outcomes.get(what, 0) != count
        },
    )


def in_words(back: Back, at_accept: int, at_attempt: int) -> str:
    """What was done of it, as a line."""
    told = Counter(each.kind for each in back.told)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(told.items()))
    tries = sum(each.tries for each in back.told)
    return (
        f"sent back: {kinds}, in {tries} tries; put on the list {len(back.listed)}, on it in the"
        f" end {len(back.on_list)}; suppressed when accepted {at_accept}, at an attempt"
        f" {at_attempt}"
    )
