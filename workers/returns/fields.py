"""Header fields and the fields of reports, from bytes; forgiving (RFC 5322 section 2.2).

Takes line ends as LF. Bounded in bytes and fields; linear. Values are text: what is not UTF-8 is
taken as Latin-1, encoded words (RFC 2047) stay as they are until somebody asks.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Collection

from workers.returns.charsets import text_of
from workers.returns.trouble import Troubles

MOST_HEADER_BYTES = 256 * 1024
MOST_LINES = 5000
"""Of the header of a message."""
MOST_PART_LINES = 300
"""Of the header of a part."""
MOST_VALUE = 16 * 1024
"""Characters of one value that are kept."""

_NAME = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{1,20})?\?([bBqQ])\?([^?\s]{0,2000})\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t]+(?==\?)")
_MOST_WORDS = 20_000
"""Characters of a value in which encoded words are looked for."""


class Fields:
    """The fields of one block, in order; names in lower case."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    def add(self, name: str, value: str) -> None:
        """One more field."""
        self._values.setdefault(name, []).append(value[:MOST_VALUE])

    def update(self, other: Fields) -> None:
        """Those of another block, too."""
        for name, values in other._values.items():
            self._values.setdefault(name, []).extend(values)

    def first(self, name: str) -> str:
        """The first value; empty: there is none."""
        values = self._values.get(name)
        return values[0] if values else ""

    def all(self, name: str) -> list[str]:
        """All values."""
        return self._values.get(name, [])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return len(self._values)

    def has(self, names: Collection[str]) -> int:
        """How many of these names are there."""
        return sum(name in self._values for name in names)


def header_of(
    data: bytes, start: int, end: int, troubles: Troubles, most_lines: int = MOST_LINES
) -> tuple[Fields, int]:
    """The header that begins at `start`, and where the body begins."""
    if data.startswith(b"\n", start, end):
        return Fields(), start + 1
    blank = data.find(b"\n\n", start, end)
    stop, body = (end, end) if blank < 0 else (blank, blank + 2)
    first = data[start : start + 200]
    if not _NAME.match(first) and not first.startswith((b"From ", b">From ")):
        return Fields(), start  # No header at all: what is there is the body.
    if stop - start > MOST_HEADER_BYTES:
        troubles.add("header_too_long")
        stop = start + MOST_HEADER_BYTES
    return fields_of(data[start:stop], troubles, most_lines=most_lines), body


def fields_of(
    block: bytes, troubles: Troubles, known: Collection[str] = (), most_lines: int = MOST_LINES
) -> Fields:
    """The fields of a block. With `known`: other names, unless they begin with X-, are words of
    the value before them, which lacked a fold."""
    reading = _Reading()
    lines = block.split(b"\n", most_lines)
    if len(lines) > most_lines:
        troubles.add("too_many_fields")
        lines.pop()
    for line in lines:
        if line[:1] in (b" ", b"\t", b""):
            reading.more(line)
            continue
        found = _NAME.match(line)
        name = found[1].decode("ascii").lower() if found else ""
        if found and (not known or name in known or name.startswith("x-")):
            reading.begin(name, line[found.end() :])
        elif reading.more(line):
            troubles.add("unfolded_field" if known else "bad_header_line")
        elif not line.startswith((b"From ", b">From ")):  # The first line of a file of mail.
            troubles.add("bad_header_line")
    return reading.end()


class _Reading:
    """Puts values together, each cut at `MOST_VALUE`: a thousand folds cost what they weigh."""

    def __init__(self) -> None:
        self._fields = Fields()
        self._name, self._pieces, self._size = "", [b""], 0

    def begin(self, name: str, value: bytes) -> None:
        self.end()
        self._name, self._pieces, self._size = name, [], 0
        self.more(value)

    def more(self, line: bytes) -> bool:
        """Whether there was a value that it could be of."""
        if self._name and self._size < MOST_VALUE:
            piece = line[:MOST_VALUE].strip()
            if piece:
                self._pieces.append(piece)
                self._size += len(piece) + 1
        return bool(self._name)

    def end(self) -> Fields:
        if self._name:
            self._fields.add(self._name, text_of(b" ".join(self._pieces)))
        self._name = ""
        return self._fields


def words(value: str) -> str:
    """A value with its encoded words decoded (RFC 2047); what is none stays."""
    if "=?" not in value:
        return value
    value = _BETWEEN_WORDS.sub(r"\1", value[:_MOST_WORDS])
    return _WORD.sub(_decoded, value)


def _decoded(found: re.Match[str]) -> str:
    charset, encoding, text = found.groups()
    try:
        raw = text.encode("ascii")
        if encoding in "bB":
            data = base64.b64decode(raw + b"=" * (-len(raw) % 4))
        else:
            data = quopri.decodestring(raw, header=True)
    except (ValueError, binascii.Error):
        return found[0]
    return text_of(data, charset)
