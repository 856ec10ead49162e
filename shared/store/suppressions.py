"""The port of the suppression list, and what a message asks of it.

Blocking; raises the `StoreError` family and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from shared.addresses import canonical
from shared.model.message import Head
from shared.model.suppression import REASONS, Addressed, Suppression

MOST_AT_ONCE = 1000
"""Entries of one call of `add`; more are sent in several scripts."""
MOST_SOURCE = 64
MOST_DETAIL = 100
"""Characters, and 255 bytes."""


class Check(msgspec.Struct, frozen=True):
    """Some recipients of one message, as the list is asked about them."""

    application: str
    list: str
    critical: bool
    addresses: tuple[tuple[int, str], ...]
    """Index in `Head.recipients`, and the canonical address."""

    def addressed(self) -> dict[int, Addressed]:
        """The same, one by one."""
        return {
            index: Addressed(address, self.application, self.list, self.critical)
            for index, address in self.addresses
        }


def check_of(head: Head, indices: Iterable[int] | None = None) -> Check:
    """What to ask for the recipients with these indices; None: for all."""
    people = head.recipients
    asked = range(len(people)) if indices is None else indices
    addresses = tuple([(index, canonical(people[index].email)) for index in asked])
    return Check(head.application, head.list, head.message_class == "critical", addresses)


class Starting(msgspec.Struct, frozen=True):
    """A leg whose delivery is about to start."""

    leg_id: bytes
    fence: int
    check: Check | None = None
    """None: the list is not asked."""


class Started(msgspec.Struct, frozen=True):
    """The answer."""

    may_go: bool
    """False where the lease is lost, or the hop has come to stand still: do not send."""
    suppressed: Mapping[int, Suppression] = {}
    """Index in `Head.recipients` -> the entry that stands in the way; see `foremost`."""


def foremost(entries: Iterable[Suppression]) -> Suppression:
    """The one that is told where several stand in the way."""
    return min(entries, key=lambda each: (REASONS.index(each.reason), each.application, each.list))


def gives_way(there: Suppression, entry: Suppression) -> bool:
    """Whether an entry that is there is replaced by another one of the same identity."""
    if there.reason in ("unsubscribe", entry.reason):
        return True
    if there.expires_ms is None or entry.expires_ms is None:
        return entry.expires_ms is None
    return entry.expires_ms >= there.expires_ms


def bounded(entry: Suppression) -> Suppression:
    """The entry as it is kept: what is said for people is no longer than it should be."""
    source, detail = _cut(entry.source, MOST_SOURCE), _cut(entry.detail, MOST_DETAIL)
    if source == entry.source and detail == entry.detail:
        return entry
    return msgspec.structs.replace(entry, source=source, detail=detail)


def _cut(text: str, most: int) -> str:
    return text[:most].encode()[:255].decode(errors="ignore")


class AcceptedPayload(msgspec.Struct, frozen=True):
    """Payload of an `accepted` event, a map; it is empty where nobody was suppressed."""

    suppressed: tuple[int, ...]
    """Indices in `Head.recipients`."""


class Unsuppressed(msgspec.Struct, frozen=True):
    """Payload of an `unsuppressed` event, a map. That of a `suppressed` one is the `Suppression`.

    Both events have no leg id.
    """

    address: str
    application: str
    list: str


class Page(msgspec.Struct, frozen=True):
    """A part of the list."""

    entries: tuple[Suppression, ...]
    next_cursor: str = ""
    """Where it goes on; empty: that was all."""


class Suppressions(Protocol):
    """Addresses that are not sent to. Entries that have expired are not there."""

    def add(self, entries: Sequence[Suppression], *, together: bool = False) -> list[bool]:
        """Put entries on the list; whether each is new.

        One that is there already is replaced, except that `bounce`, `complaint` and `manual` are
        not replaced by a later entry with another reason that ends earlier. The list counts as
        changed for workers at once. An event `suppressed` for each that changes something; or,
        `together`, one `imported` for a few hundred, so that millions do not push all other events
        out of the stream.
        """
        ...

    def remove(self, address: str, application: str, list_name: str) -> bool:
        """Take one off; whether it was there. An event `unsuppressed`."""
        ...

    def find(self, address: str) -> list[Suppression]:
        """All entries of a canonical address, whoever's they are."""
        ...

    def page(self, cursor: str, limit: int, application: str | None = None) -> Page:
        """Entries, in no particular order; with `application` those of that one only.

        Every entry that is there throughout comes exactly once from the first page (cursor "") to
        the last. A page may have fewer than `limit`, or none, and still not be the last. Raises
        `ValueError` for a cursor that comes from no page.
        """
        ...

    def count(self) -> int:
        """How many there are, those that have expired since the last sweep too."""
        ...
