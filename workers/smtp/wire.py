"""Bytes to and from one server: commands out, replies in, each with a deadline and a cap.

`Wire` is an asyncio protocol. Replies are matched by counting, so whatever arrives unasked makes
the session unusable. Every failure is a `Broken`.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from workers.smtp.types import Broken, Reply

MAX_LINE_BYTES = 4096
MAX_LINES = 100
KEPT_TEXT = 200

_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]?)(.*)\Z", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |\Z)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f]")


def command(text: str) -> bytes:
    """A command line. Raises `Broken` for C0 or DEL, before a byte is written (RFC 5321 4.1.1)."""
    if _FORBIDDEN.search(text):
        raise Broken("control character in a command")
    return text.encode("utf-8") + b"\r\n"


def parse_reply(lines: list[bytes]) -> Reply:
    """A reply from its lines, line ends removed. Raises `Broken` when they are no reply."""
    code, texts = 0, []
    for line in lines:
        match = _LINE.match(line)
        if match is None or (code and int(match[1]) != code):
            raise Broken("protocol error")
        code = int(match[1])
        texts.append(match[3].decode("utf-8", "replace"))
    enhanced = ""
    found = _ENHANCED.match(texts[0])
    if found:
        enhanced = found[1]
        texts = [text.removeprefix(enhanced).lstrip(" ") for text in texts]
    text = _CONTROL.sub("\ufffd", " ".join(texts))
    return Reply(code, enhanced, text[:KEPT_TEXT])


class Wire(asyncio.Protocol):
    """One connection's bytes."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = False
        self.bytes_sent = 0

    # -- asyncio's callbacks ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, or was replaced by its TLS form."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._buffer += data
        self._wake()

    def eof_received(self) -> None:
        """The server has closed its side."""
        self.closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.closed = True
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- what a session uses ----------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing came unasked."""
        return not self.closed and not self._buffer

    def discard_nothing(self) -> None:
        """Raise `Broken` when there are bytes nobody asked for (after STARTTLS: an injection)."""
        if self._buffer:
            raise Broken("unexpected data")

    async def start_tls(self, context: Any, host: str, seconds: float) -> None:
        """Turn the connection into TLS. Raises `Broken` and `ssl.SSLError`, `OSError`."""
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(
            self._transport,
            self,
            context,
            server_hostname=host,
            ssl_handshake_timeout=seconds,
        )

    def write(self, data: bytes) -> None:
        """Send bytes; the kernel takes them when it can."""
        if self.closed:
            raise Broken("connection lost")
        self._transport.write(data)
        self.bytes_sent += len(data)

    async def drained(self, seconds: float) -> None:
        """Wait until the kernel has taken most of what was written."""
        if self._writable.is_set():
            return
        try:
            await asyncio.wait_for(self._writable.wait(), seconds)
        except TimeoutError as error:
            raise Broken("timed out") from error
        if self.closed:
            raise Broken("connection lost")

    async def reply(self, seconds: float) -> Reply:
        """The next reply, all of it within `seconds`."""
        return parse_reply(await self._lines(seconds))

    async def reply_with_lines(self, seconds: float) -> tuple[Reply, list[str]]:
        """The next reply, and the text of each of its lines (EHLO's keywords)."""
        lines = await self._lines(seconds)
        return parse_reply(lines), [line[4:].decode("ascii", "replace") for line in lines]

    async def _lines(self, seconds: float) -> list[bytes]:
        deadline = asyncio.get_running_loop().time() + seconds
        lines: list[bytes] = []
        while True:
            line = await self._line(deadline)
            lines.append(line)
            if len(lines) > MAX_LINES:
                raise Broken("reply too long")
            if line[3:4] != b"-":
                return lines

    async def _line(self, deadline: float) -> bytes:
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                if len(line) > MAX_LINE_BYTES:
                    raise Broken("reply too long")
                return line.removesuffix(b"\r")
            if len(self._buffer) > MAX_LINE_BYTES:
                raise Broken("reply too long")
            if self.closed:
                raise Broken("connection lost")
            await self._more(deadline)

    async def _more(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        try:
            await asyncio.wait_for(self._waiter, deadline - loop.time())
        except TimeoutError as error:
            raise Broken("timed out") from error
        finally:
            self._waiter = None

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
