"""What one message has in it that may tell whose copy it is about, gathered while it is read.

In order of likelihood, without doubles, bounded; and bounded in work: looking at an address that is
none costs more than at one that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from workers.returns.fields import Fields
from workers.returns.mailboxes import in_header, in_text, raw, typed
from workers.returns.report import MOST_CANDIDATES, MOST_REFERENCES
from workers.returns.trouble import Troubles

MOST_LOOKED_AT = 1000
"""At signs."""
REFERENCE = "x-posthaste-reference"

_RETURN_PATH = re.compile(r"(?<![\w.+-])(b-[A-Za-z0-9]{20,62})@", re.IGNORECASE)
_FOR = re.compile(r"\bfor\s+<?([^\s<>;]{3,320})>?")
_RETURN_PATH_FIELDS = (
    "return-path", "x-envelope-from", "x-env-sender", "x-envelope-sender", "envelope-from",
    "x-sender", "x-mail-from", "x-original-return-path", "errors-to", "received", "received-spf",
    "authentication-results",
)  # fmt: skip
_RECIPIENT_FIELDS = (
    "x-hmxmroriginalrecipient", "x-failed-recipients", "x-original-to", "original-recipient",
    "x-envelope-to", "envelope-to", "x-rcpt-to", "x-real-to", "delivered-to", "apparently-to",
)  # fmt: skip
_SEEN_FIELDS = ("to", "cc", "bcc", "resent-to", "resent-cc")
_MOST_VALUES = 50
"""Of one name."""


class Gathered:
    """References, return paths and candidates."""

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self._left = MOST_LOOKED_AT
        self._references: dict[str, None] = {}
        self._return_paths: dict[str, None] = {}
        self._candidates: dict[str, None] = {}
        self.returned = False

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(self._references)

    @property
    def return_paths(self) -> tuple[str, ...]:
        return tuple(self._return_paths)

    @property
    def candidates(self) -> tuple[str, ...]:
        return tuple(self._candidates)

    def original(self, fields: Fields) -> None:
        """The header of the message that came back, and nothing else's."""
        if not len(fields):
            return
        self.returned = True
        for value in fields.all(REFERENCE)[:MOST_REFERENCES]:
            words = value.split(maxsplit=1)  # None of white space alone, Unicode's included.
            if words and len(self._references) < MOST_REFERENCES:
                self._references[words[0][:200]] = None
        for value in _values(fields, _RETURN_PATH_FIELDS):
            self.return_path(value)
        for value in _values(fields, _RECIPIENT_FIELDS):
            self.header(value.removeprefix("rfc822;"))
        for found in map(_FOR.search, _values(fields, ("received",))):
            self.header(found[1] if found else "")
        for value in _values(fields, _SEEN_FIELDS):
            self.header(value)

    def return_path(self, value: str) -> None:
        """A return path, or what has one in it."""
        for found in _RETURN_PATH.finditer(value):
            if len(self._return_paths) < MOST_REFERENCES:
                self._return_paths[found[1].lower()] = None

    def address(self, address: str) -> None:
        """One that is checked."""
        if not address or address in self._candidates:
            return
        if len(self._candidates) >= MOST_CANDIDATES:
            self._troubles.add("too_many_addresses")
            return
        self._candidates[address] = None

    def typed(self, value: str) -> None:
        """`rfc822; a@b`, both ways where it can be read in two."""
        if self._may(1):
            self.address(typed(value))
            self.address(raw(value))

    def header(self, value: str) -> None:
        """A header field of addresses."""
        if self._may(value.count("@")):
            for address in in_header(value):
                self.address(address)

    def text(self, text: str) -> None:
        """All that a text names."""
        if self._may(text.count("@")):
            for address in in_text(text):
                self.address(address)

    def _may(self, looks: int) -> bool:
        if self._left < looks or len(self._candidates) >= MOST_CANDIDATES:
            if looks:
                self._troubles.add("too_many_addresses")
            return False
        self._left -= looks
        return looks > 0


def _values(fields: Fields, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from fields.all(name)[:_MOST_VALUES]
