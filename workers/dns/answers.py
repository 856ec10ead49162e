"""What DNS answered, as values: records, no such name, no such records, or nothing for now."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["A", "AAAA", "MX", "TXT"]


class Found(msgspec.Struct, frozen=True):
    """The name has such records."""

    records: tuple[str, ...]
    """Their text; the strings of a TXT record are joined (RFC 8461 section 3.1)."""
    name: str
    """Where they stand once aliases are followed: lower case, without the final dot."""


class NoData(msgspec.Struct, frozen=True):
    """The name exists and has no such records."""

    name: str
    """The name once aliases are followed: lower case, without the final dot."""


class NoSuchName(msgspec.Struct, frozen=True):
    """The name, or what it is an alias of, does not exist (NXDOMAIN)."""


class Temporary(msgspec.Struct, frozen=True):
    """Nobody knows at the moment: SERVFAIL, REFUSED, a timeout, no network."""

    reason: str
    """Words of ours; no name and no server is in it."""
    answered: bool = False
    """A server said that it cannot tell; else none said anything."""


Answer = Found | NoData | NoSuchName | Temporary


class Told(msgspec.Struct, frozen=True):
    """An answer, and how long DNS itself says that it may be kept."""

    answer: Answer
    seconds: float = 0.0
    """The least time to live on the way to the records (RFC 2181 section 5.2), or without records
    that of the zone's SOA (RFC 2308 section 5); 0 when the answer does not say."""
