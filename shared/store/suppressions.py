"""The port of the suppression list. Blocking; raises the `StoreError` family and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from shared.model.suppression import Suppression

MOST_AT_ONCE = 1000
"""Entries of one call of `add`; more are sent in several scripts."""


class Page(msgspec.Struct, frozen=True):
    """A part of the list."""

    entries: tuple[Suppression, ...]
    next_cursor: str = ""
    """Where it goes on; empty: that was all."""


class Suppressions(Protocol):
    """Addresses that are not sent to. Entries that have expired are not there."""

    def add(self, entries: Sequence[Suppression]) -> list[bool]:
        """Put entries on the list; whether each is new.

        One that is there already is replaced, except that `bounce`, `complaint` and `manual` are
        not replaced by a later entry with another reason that ends earlier. The list counts as
        changed for workers at once. An event `suppressed` each.
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
        the last. A page may have fewer than `limit` and still not be the last.
        """
        ...

    def count(self) -> int:
        """How many there are, those that have expired since the last sweep too."""
        ...
