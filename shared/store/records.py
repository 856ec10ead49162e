"""The port of small records that change together: users, sessions, links, drafts, throttles.

A record is bytes under a kind and a key. Whoever changes one says what it was when it was read: all
changes of a `write` happen in one step, or none. So two processes never both take one code, one
place or one name. What they mean is packed and checked by whoever owns the kind (`shared.accounts`,
`web.console`). Blocking; any method may raise the `StoreError` family and nothing else. Times are
milliseconds by the store's clock.

With the writes comes the audit trail: who did what, appended in the same step as what was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, Protocol

import msgspec


class Unread(Enum):
    """What a change expects that does not care."""

    ANY = "any"


ANY: Final = Unread.ANY

ENTRY_ID = r"[1-9][0-9]{0,14}-[0-9]{1,15}"
"""What an id in the audit trail looks like."""
MOST_CHANGES = 100
"""Of one write."""
MOST_AUDITED = 100_000
"""Entries of the audit trail that are kept."""


class Change(msgspec.Struct, frozen=True):
    """One record's change."""

    kind: str
    """Lower-case letters and dashes."""
    key: bytes
    value: bytes | None
    """None: it goes."""
    expected: bytes | Unread | None = None
    """What it is now; None: it is not there; ANY: whatever it is. A record beyond its end is not
    there."""
    ends_ms: int | None = None
    """When it goes by itself; None: never. Of the value written."""


class Audited(msgspec.Struct, frozen=True):
    """An entry of the audit trail."""

    act: str
    """Such as `key.created`: what was done."""
    who: str
    """The user's id; `cli` or `system` where it was none."""
    login: str = ""
    """The user's name at that time."""
    address: str = ""
    """The client's address."""
    what: str = ""
    """What it was done to: an id, a name, a hop. Never content, never a secret."""
    details: Mapping[str, str] = {}
    request_id: str = ""
    id: str = ""
    """Of the entry, in order; the store gives it."""
    at_ms: int = 0
    """The store gives it."""


class Records(Protocol):
    """Records and the audit trail."""

    def get(self, kind: str, key: bytes) -> bytes | None:
        """The record, if it is there."""
        ...

    def some(self, kind: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Several, in order."""
        ...

    def all(self, kind: str) -> dict[bytes, bytes]:
        """Every record of a kind, by key; for kinds of some thousands."""
        ...

    def write(self, changes: Sequence[Change], audited: Sequence[Audited] = ()) -> bool:
        """Make all changes and append to the audit trail; False, and nothing is done, when one of
        them is not as expected. At most `MOST_CHANGES`; either may be empty."""
        ...

    def trail(self, before: str = "", limit: int = 100) -> list[Audited]:
        """The audit trail, the newest first; with `before`, an entry's id, what is older. Nothing
        is older than what is no id."""
        ...
