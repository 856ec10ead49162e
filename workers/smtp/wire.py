"""Bytes to and from one server: commands out, replies in, each with a deadline and a cap.

`Wire` is an asyncio protocol that one coroutine at a time waits on. Replies are matched by
counting, so whatever arrives unasked makes the session unusable. Every failure is a `Broken`.
A deadline is a number that is compared when the one timer of the connection fires: setting one
costs nothing, and a server that drips does not move it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Any

from workers.smtp.replies import parse_line, parse_reply
from workers.smtp.types import Broken, OutOfStep, Reply

MAX_LINE_BYTES = 4096
MAX_LINES = 100
MAX_REPLY_BYTES = 64 * 1024
MAX_UNREAD_BYTES = 512 * 1024
"""More than this was never asked for: the connection is closed."""


class Wire(asyncio.Protocol):
    """One connection's bytes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._writable = True
        self._watcher: Callable[[], None] | None = None
        self.closed = False

    # -- asyncio's callbacks ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, or was replaced by its TLS form."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._buffer += data
        if len(self._buffer) > MAX_UNREAD_BYTES:
            self.abort()
        self._wake()

    def eof_received(self) -> None:
        """The server has closed its side."""
        self.closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.closed = True
        self._forget_timer()
        if exc is not None:
            self._read_rest()
        self._wake()

    def _read_rest(self) -> None:
        """What the server had said before it reset the connection: often why it did."""
        transport = self._transport
        if transport is None or transport.get_extra_info("ssl_object") is not None:
            return
        try:
            self._buffer += os.read(transport.get_extra_info("socket").fileno(), MAX_REPLY_BYTES)
        except OSError:
            pass  # Nothing.

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        elif self._watcher is not None:
            self._watcher()

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call `watcher` when anything happens that nobody waits for."""
        self._watcher = watcher

    # -- waiting ----------------------------------------------------------------------------

    async def _wait(self, deadline: float) -> None:
        """Wait until anything happens. Raises `Broken` at the deadline."""
        self._waiter = self._loop.create_future()
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self._forget_timer()
            self._timer = self._loop.call_at(deadline, self._on_time)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_time(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() >= self._deadline:
            self._waiter.set_exception(Broken("timed out"))
        else:
            self._timer = self._loop.call_at(self._deadline, self._on_time)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- what a session uses ----------------------------------------------------------------

    def now(self) -> float:
        """The loop's time, which deadlines are in."""
        return self._loop.time()

    def address(self) -> str:
        """The address this end of the connection has, as an address literal (RFC 5321 4.1.3)."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        host = str(name[0]).partition("%")[0] if name else "127.0.0.1"
        return f"[IPv6:{host}]" if ":" in host else f"[{host}]"

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing came unasked."""
        return not self.closed and not self._buffer

    def expect_quiet(self) -> None:
        """Raise `OutOfStep` when there are bytes nobody asked for.

        After STARTTLS they are an injection.
        """
        if self._buffer:
            raise OutOfStep("unexpected data")

    async def start_tls(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Turn the connection into TLS. Raises `Broken` and `ssl.SSLError`."""
        try:
            self._transport = await self._loop.start_tls(
                self._transport, self, context, server_hostname=host, ssl_handshake_timeout=seconds
            )
        except ConnectionError as error:
            raise Broken("TLS handshake broke") from error
        if self._transport is None:
            raise Broken("connection lost")
        unasked = len(self._buffer)
        self._buffer.clear()  # Nothing from before the handshake is ever read as a reply.
        if unasked:
            raise OutOfStep("unexpected data")

    def tls_version(self) -> str:
        """The version spoken, such as `TLSv1.3`; empty without TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return tls.version() or "" if tls is not None else ""

    def certificate_end(self) -> str:
        """When the verified certificate of the server ends; empty without one."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        found = tls.getpeercert() if tls is not None else None
        return str((found or {}).get("notAfter", ""))

    def write(self, data: bytes) -> None:
        """Send bytes; the kernel takes them when it can."""
        if self.closed:
            raise Broken("connection lost")
        self._transport.write(data)

    def holds_back(self, size: int) -> bool:
        """Whether surely none of the last `size` bytes written has left this process.

        With TLS that cannot be told: its records are of other sizes.
        """
        transport = self._transport
        if transport is None or transport.get_extra_info("ssl_object") is not None:
            return False
        unsent: int = transport.get_write_buffer_size()
        return unsent >= size

    async def drained(self, seconds: float) -> bool:
        """Wait until the kernel has taken most of what was written.

        False when the server has said something first. Raises `Broken`.
        """
        if not self._writable:
            deadline = self._loop.time() + seconds
            while not (self._writable or self._buffer or self.closed):
                await self._wait(deadline)
        if self.closed and not self._buffer:
            raise Broken("connection lost")
        return not self._buffer

    async def reply(self, seconds: float) -> Reply:
        """The next reply, all of it within `seconds`. Raises `Broken`."""
        line = self._take_line()
        if line is None:
            return await self._slow_reply(seconds, ())
        if line[3:4] == b"-":
            return await self._slow_reply(seconds, (line,))
        return parse_line(line)

    async def begins(self, seconds: float) -> bool:
        """Whether a reply begins within `seconds`, or the connection ends."""
        deadline = self._loop.time() + seconds
        while not self._buffer and not self.closed:
            try:
                await self._wait(deadline)
            except Broken:
                return False
        return True

    async def reply_with_lines(self, seconds: float) -> tuple[Reply, list[str]]:
        """The next reply, and the text of each of its lines (EHLO's keywords). Raises `Broken`."""
        lines = await self._lines(seconds, ())
        return parse_reply(lines), [line[4:].decode("ascii", "replace") for line in lines]

    async def _slow_reply(self, seconds: float, begun: tuple[bytes, ...]) -> Reply:
        lines = await self._lines(seconds, begun)
        return parse_line(lines[0]) if len(lines) == 1 else parse_reply(lines)

    async def _lines(self, seconds: float, begun: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """All lines of a reply, those already read first."""
        deadline = self._loop.time() + seconds
        lines = list(begun)
        size = 0
        while not lines or lines[-1][3:4] == b"-":
            line = self._take_line()
            while line is None:
                if self.closed:
                    raise Broken("connection lost")
                await self._wait(deadline)
                line = self._take_line()
            lines.append(line)
            size += len(line)
            if len(lines) > MAX_LINES or size > MAX_REPLY_BYTES:
                raise OutOfStep("reply too long")
        return tuple(lines)

    def _take_line(self) -> bytes | None:
        """The next whole line without its end, or None. Raises `Broken` when it is too long."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > MAX_LINE_BYTES:
                raise OutOfStep("reply too long")
            return None
        if end > MAX_LINE_BYTES:
            raise OutOfStep("reply too long")
        line = bytes(buffer[: end - 1] if buffer[end - 1 : end] == b"\r" else buffer[:end])
        del buffer[: end + 1]
        return line

    def abort(self) -> None:
        """Close at once; what was not sent yet is not sent."""
        self.closed = True
        self._forget_timer()
        if self._transport is not None:
            self._transport.abort()
        self._wake()
