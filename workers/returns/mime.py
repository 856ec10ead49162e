"""The parts of a message, by a walk of our own: linear, bounded, and never an exception (RFC 2046).

Takes line ends as LF. Goes into multiparts, not into attached messages: what is returned is only
asked for its header. Each level is one search for its boundary, so the time is at most the
message's size times `MOST_DEPTH`, at the speed of a search.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from workers.returns.fields import MOST_PART_LINES, Fields, header_of
from workers.returns.trouble import Troubles

MOST_DEPTH = 10
MOST_PARTS = 200

_TYPE = re.compile(r"[\s\"']*([\w.+-]{1,60}/[\w.+-]{1,100})")
_PARAMETER = re.compile(r";\s*([\w*-]{1,40})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;]*))")
_QUOTED_PAIR = re.compile(r"\\(.)")
_SNIFFED = re.compile(rb"\n--([!-~][ -~]{0,199}?)[ \t]*\n(?=content-)", re.IGNORECASE)
_SNIFF_BYTES = 64 * 1024
_MOST_TYPE = 2000
"""Characters of a Content-Type that are looked at."""


class Part(msgspec.Struct, frozen=True):
    """One part that is no multipart: where its content is in the message."""

    media: str
    """`text/plain`, in lower case; where it is not declared, too."""
    parameters: dict[str, str]
    fields: Fields
    start: int
    end: int


class Mail(msgspec.Struct, frozen=True):
    """A message: its header and the parts of its body, in order."""

    fields: Fields
    media: str
    parameters: dict[str, str]
    parts: list[Part]


def content_type(value: str) -> tuple[str, dict[str, str]]:
    """Media type and parameters, names in lower case; empty: it is not one."""
    value = value[:_MOST_TYPE]
    found = _TYPE.match(value)
    parameters: dict[str, str] = {}
    for each in _PARAMETER.finditer(value):
        name, quoted, plain = each.groups()
        text = _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else plain.strip().strip("'\"")
        parameters.setdefault(name.lower(), text)
    return (found[1].lower() if found else ""), parameters


def walk(data: bytes, start: int, troubles: Troubles) -> Mail:
    """A message in `data`, from `start` to its end. The byte before `start` must be LF."""
    fields, body = header_of(data, start, len(data), troubles)
    media, parameters = content_type(fields.first("content-type"))
    parts: list[Part] = []
    _Walk(data, parts, troubles).enter(fields, body, len(data), 0)
    return Mail(fields, media, parameters, parts)


class _Walk:
    def __init__(self, data: bytes, parts: list[Part], troubles: Troubles) -> None:
        self._data, self._parts, self._troubles = data, parts, troubles

    def enter(self, fields: Fields, start: int, end: int, depth: int) -> None:
        """One entity whose header is read."""
        media, parameters = content_type(fields.first("content-type"))
        boundary = self._boundary(media, parameters, start, end)
        if not boundary:
            self._parts.append(Part(media or "text/plain", parameters, fields, start, end))
            return
        if depth >= MOST_DEPTH:
            self._troubles.add("too_deep")
            return
        for first, last in self._entities(boundary, start, end):
            if len(self._parts) >= MOST_PARTS:
                self._troubles.add("too_many_parts")
                return
            inner, body = header_of(self._data, first, last, self._troubles, MOST_PART_LINES)
            self.enter(inner, body, last, depth + 1)

    def _entities(self, boundary: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        line = re.compile(rb"\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\n|\Z)")
        first = -1
        for found in line.finditer(self._data, start - 1, end):
            if first >= 0:
                yield first, max(first, found.start())
            first = found.end() + 1  # Behind the line's end.
            if found[1]:
                return
        if 0 <= first <= end:
            self._troubles.add("no_end_boundary")
            yield first, end

    def _boundary(self, media: str, parameters: dict[str, str], start: int, end: int) -> bytes:
        """What parts its parts; empty: it is not a multipart."""
        if not media.startswith("multipart/"):
            return b""
        declared = parameters.get("boundary", "").rstrip().encode("utf-8", "replace")
        if declared and self._data.find(b"\n--" + declared, start - 1, end) >= 0:
            return declared
        self._troubles.add("wrong_boundary" if declared else "no_boundary")
        return sniffed(self._data, start, end)


def sniffed(data: bytes, start: int, end: int) -> bytes:
    """The first line that looks like a boundary, as it has a part's header behind it."""
    found = _SNIFFED.search(data, start - 1, min(end, start + _SNIFF_BYTES))
    return found[1] if found else b""


def walk_undeclared(data: bytes, start: int, end: int, troubles: Troubles) -> list[Part]:
    """The parts of a multipart that is not declared as one; empty: it is none."""
    boundary = sniffed(data, start, end)
    if not boundary:
        return []
    fields = Fields()
    text = boundary.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    fields.add("content-type", f'multipart/mixed; boundary="{text}"')
    parts: list[Part] = []
    _Walk(data, parts, troubles).enter(fields, start, end, 0)
    troubles.add("undeclared_multipart")
    return parts
