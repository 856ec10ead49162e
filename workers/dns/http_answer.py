"""One HTTP/1.1 answer, read with bounds (RFC 9112): only a complete 200 in plain text will do.

`read_answer` gives its body or raises `NotUsable` with the reason; no redirect is followed. The
caller limits the time, and the length of lines by its reader's limit.
"""

from __future__ import annotations

import asyncio
import re

MOST_HEAD_BYTES = 16 * 1024
MOST_BODY_BYTES = 64 * 1024
"""RFC 8461 section 3.3."""
_MOST_CHUNK_LINE_BYTES = 256

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\x00]*)\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n\Z")


class NotUsable(Exception):
    """The answer is none that counts; ends at the fetch's edge."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """The body. Raises `NotUsable`, and `OSError` when the connection breaks."""
    try:
        fields = _head(await reader.readuntil(b"\r\n\r\n"))
        _check_content(fields)
        if fields.get("transfer-encoding"):
            return await _chunked(reader, fields["transfer-encoding"])
        if fields.get("content-length"):
            return await _counted(reader, fields["content-length"])
        return await _until_the_end(reader)
    except asyncio.LimitOverrunError as error:
        raise NotUsable("the answer's head is too large") from error
    except asyncio.IncompleteReadError as error:
        raise NotUsable("the answer is not complete") from error


def _head(head: bytes) -> dict[str, list[str]]:
    """The fields of a 200, by name in lower case."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status = _STATUS.match(first)
    if status is None:
        raise NotUsable("the answer is not HTTP")
    if status[1] != b"200":  # RFC 8461 section 3.3: redirects too are no answer.
        raise NotUsable(f"the answer is {status[1].decode('ascii')}")
    fields: dict[str, list[str]] = {}
    for line in lines:
        field = _FIELD.match(line)
        if field is None:
            raise NotUsable("the answer's head is not HTTP")
        name, value = field[1].decode("ascii").lower(), field[2].decode("latin-1").strip(" \t")
        fields.setdefault(name, []).append(value)
    return fields


def _check_content(fields: dict[str, list[str]]) -> None:
    types = [each.partition(";")[0].strip().lower() for each in fields.get("content-type", [])]
    if types != ["text/plain"]:
        raise NotUsable("the answer is not text/plain")
    if any(each.lower() != "identity" for each in fields.get("content-encoding", [])):
        raise NotUsable("the answer is encoded")


async def _counted(reader: asyncio.StreamReader, lengths: list[str]) -> bytes:
    if len(set(lengths)) != 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
        raise NotUsable("the answer has no one length")
    length = int(lengths[0])
    if length > MOST_BODY_BYTES:
        raise NotUsable("the answer is too large")
    return await reader.readexactly(length)


async def _chunked(reader: asyncio.StreamReader, encodings: list[str]) -> bytes:
    if [each.lower() for each in encodings] != ["chunked"]:
        raise NotUsable("the answer is encoded")
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        chunk = _CHUNK.match(line) if len(line) <= _MOST_CHUNK_LINE_BYTES else None
        if chunk is None:
            raise NotUsable("the answer is not HTTP")
        size = int(chunk[1], 16)
        if size == 0:
            return bytes(body)  # Trailers say nothing that counts.
        if len(body) + size > MOST_BODY_BYTES:
            raise NotUsable("the answer is too large")
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise NotUsable("the answer is not HTTP")


async def _until_the_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while block := await reader.read(MOST_BODY_BYTES):
        body += block
        if len(body) > MOST_BODY_BYTES:
            raise NotUsable("the answer is too large")
    return bytes(body)
