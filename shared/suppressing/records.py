"""CSV (RFC 4180) record by record, from a stream of any length, in bounded memory.

Takes pieces of bytes, gives records with the line they begin in, or what is wrong with them. Unlike
with the standard library's reader, one bad row costs one row: a quotation mark that nobody closes,
a field of a megabyte or bytes that are not UTF-8 are named, and it goes on in the next line. Line
ends are CRLF, LF or CR; a byte order mark is passed by; between cells stand commas, or what stands
in the first line, where that has no comma.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec

MOST_RECORD_BYTES = 65_536
_UTF8_MARK = b"\xef\xbb\xbf"
_UNTERMINATED = "A quotation mark is not closed, or not where a field ends."


class Record(msgspec.Struct, frozen=True):
    """One row."""

    line: int
    """The line of the file it begins in; the first is 1."""
    cells: list[str]


class Broken(msgspec.Struct, frozen=True):
    """A row that cannot be read."""

    line: int
    code: str
    detail: str


class _Line(msgspec.Struct, frozen=True):
    number: int
    data: bytes
    """With its end; empty when the line was too long."""


class Records:
    """The records of one stream, to be iterated over once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._lines = _lines(pieces)
        self._again: deque[_Line] = deque()
        """Lines of a record that was none: each is looked at by itself."""
        self._delimiter = ""
        self.plausible: Callable[[list[str]], bool] = bool
        """Whether a record of several lines can be one; else its first line is broken."""

    def __iter__(self) -> Iterator[Record | Broken]:
        while (line := self._next()) is not None:
            if not line.data:
                yield Broken(line.number, "row_too_long", f"Over {MOST_RECORD_BYTES} bytes.")
            elif line.data.count(b'"') % 2:
                yield self._several(line)
            else:
                yield self._read(line.number, line.data)

    def _next(self) -> _Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _several(self, first: _Line) -> Record | Broken:
        """A record whose quotation marks are not all closed in its first line."""
        taken, size, odd = [first], len(first.data), True
        while odd and (line := self._next()) is not None:
            taken.append(line)
            size += len(line.data)
            if not line.data or size > MOST_RECORD_BYTES:
                break
            odd ^= line.data.count(b'"') % 2 == 1
        if not odd:
            found = self._read(first.number, b"".join(each.data for each in taken))
            if isinstance(found, Record) and self.plausible(found.cells):
                return found
        self._again.extendleft(reversed(taken[1:]))
        return Broken(first.number, "bad_quotes", _UNTERMINATED)

    def _read(self, number: int, data: bytes) -> Record | Broken:
        if b"\0" in data:
            return Broken(number, "nul_byte", "Holds a NUL byte.")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return Broken(number, "bad_encoding", "Is not UTF-8: save the file as UTF-8.")
        if not self._delimiter and text.strip():
            self._delimiter = next((each for each in ",;\t" if each in text), ",")
        delimiter = self._delimiter or ","
        if '"' not in text:
            return Record(number, text.rstrip("\r\n").split(delimiter))
        rows = csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True)
        try:
            return Record(number, next(rows))
        except csv.Error:
            return Broken(number, "bad_quotes", _UNTERMINATED)


def _lines(pieces: Iterable[bytes]) -> Iterator[_Line]:
    """Lines, numbered. Of one that is too long nothing is kept."""
    number, rest, skipping, begun = 1, b"", False, False
    for piece in pieces:
        rest += piece
        if not begun:
            if len(rest) < len(_UTF8_MARK) and _UTF8_MARK.startswith(rest):
                continue
            begun, rest = True, rest.removeprefix(_UTF8_MARK)
        whole = rest.splitlines(keepends=True)
        # The end of the last one may be half of a CRLF.
        rest = whole.pop() if whole and not whole[-1].endswith(b"\n") else b""
        for data in whole:
            fits = not skipping and len(data) <= MOST_RECORD_BYTES
            yield _Line(number, data if fits else b"")
            skipping = False
            number += 1
        if len(rest) > MOST_RECORD_BYTES:
            skipping, rest = True, rest[-1:]
    if rest or skipping:
        yield _Line(number, b"" if skipping or len(rest) > MOST_RECORD_BYTES else rest)
