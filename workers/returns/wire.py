"""One connection of a client that brings mail: lines and message data in, replies out.

Only CRLF ends a line and only CRLF.CRLF ends a message (RFC 5321 sections 2.3.8 and 4.1.1.4): a
bare LF or CR is a character like others, so nobody can hide a second message in a first one. What
is unread is bounded, by the socket too; whoever is too slow is told by an exception.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

MOST_UNREAD = 128 * 1024
"""Bytes that wait here before the client has to."""
WRITE_SECONDS = 60.0
HANDSHAKE_SECONDS = 30.0
LINGER_SECONDS = 30.0
"""For what was said last, to a client that does not read."""
_END = b"\r\n.\r\n"


class Gone(Exception):
    """The client has gone, or was sent away."""


class TooSlow(Exception):
    """It has not sent, or not read, what it was to in its time."""


class LineTooLong(Exception):
    """A line that does not end."""


class TooLarge(Exception):
    """A message, read to its end, that has more bytes than one may have."""


class NoRoom(Exception):
    """A message, read to its end, for which all sessions together have no memory."""


class Room:
    """Bytes of messages that all sessions may hold together."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, count: int) -> bool:
        """Whether there is room for so many; then they are taken."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def widen(self, more: int) -> None:
        """So many more, or fewer, from now on."""
        self._left += more

    def give_back(self, count: int) -> None:
        """They are held no longer."""
        self._left += count


class Wire(asyncio.Protocol):
    """See the module. `connected` is called once."""

    def __init__(self, connected: Callable[[Wire], None]) -> None:
        self._connected = connected
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._full = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._lingering: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport
        self.encrypted = False

    # -- asyncio's ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast(asyncio.Transport, transport)
        self._connected(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._buffer += data
        if len(self._buffer) > MOST_UNREAD and not self._full:
            self._full = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Replies to what it has sent still go to it, where it only sends no more."""
        self._ended = True
        self._wake()
        return not self.encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._lingering is not None:
            self._lingering.cancel()
        self._ended = True
        self._may_write.set()
        self._wake()

    def pause_writing(self) -> None:
        """See asyncio."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._may_write.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the session's -----------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The client's IP address; empty when it has gone already."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    async def line(self, most: int, seconds: float) -> bytes:
        """The next line, without its CRLF. Raises `Gone`, `TooSlow` and `LineTooLong`."""
        until = self._loop.time() + seconds
        while (at := self._buffer.find(b"\r\n", 0, most + 2)) < 0:
            if len(self._buffer) >= most + 2:
                raise LineTooLong
            await self._more(until)
        found = bytes(self._buffer[:at])
        del self._buffer[: at + 2]
        return found

    async def message(self, most: int, silence: float, seconds: float, room: Room) -> bytes:
        """A message as it was before dots were doubled; each byte is taken from `room`.

        The caller gives them back. Raises `Gone`, `TooSlow`, `TooLarge` and `NoRoom`; of a message
        too large up to four times as much is read, then `Gone`.
        """
        until = self._loop.time() + seconds
        text = bytearray(b"\r\n")  # The line before has ended: a dot may be all there is.
        taken = read = seen = 0
        refused: Exception | None = None
        try:
            while True:
                read += len(self._buffer)
                text += self._buffer
                self._buffer.clear()
                at = text.find(_END, max(0, seen - len(_END) + 1))
                if at >= 0:
                    self._buffer += text[at + len(_END) :]
                    del text[at + 2 :]
                # Of what has no end yet the last bytes may be a part of that.
                if refused is None and len(text) - 2 - (0 if at >= 0 else len(_END)) > most:
                    refused = TooLarge()
                elif refused is None and not room.take(len(text) - 2 - taken):
                    refused = NoRoom()
                elif refused is None:
                    taken = len(text) - 2
                if at >= 0:
                    break
                if refused is not None:
                    room.give_back(taken)
                    taken = 0
                    del text[: -len(_END)]
                if read > 4 * most:
                    raise Gone
                seen = len(text)
                await self._more(min(until, self._loop.time() + silence))
            if refused is not None:
                raise refused
            plain = bytes(text.replace(b"\r\n.", b"\r\n")[2:])  # RFC 5321 section 4.5.2.
            room.give_back(taken - len(plain))
            taken = 0  # Now it is the caller's.
            return plain
        finally:
            room.give_back(taken)

    async def _more(self, until: float) -> None:
        """Wait for bytes, until a time of the loop's clock."""
        if self._ended:
            raise Gone
        if self._full:
            self._full = False
            self.transport.resume_reading()
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout_at(until):
                await self._waiter
        except TimeoutError:
            raise TooSlow from None
        finally:
            self._waiter = None

    @property
    def unread(self) -> bool:
        """Whether it has sent more than was read."""
        return bool(self._buffer)

    async def say(self, reply: str) -> None:
        """Send a reply: its lines. Raises `Gone` and `TooSlow`."""
        self.tell(reply)
        if not self._may_write.is_set():
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._may_write.wait()
            except TimeoutError:
                raise TooSlow from None

    def tell(self, reply: str) -> None:
        """The same without waiting."""
        if not self.transport.is_closing():
            self.transport.write(reply.encode("ascii", "replace") + b"\r\n")

    def end(self) -> None:
        """Read no more: whoever waits for a line hears that the client has gone."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """Close it when what was said has been sent; at once where nobody reads."""
        if self._may_write.is_set():
            self.transport.close()
            self._lingering = self._loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.abort()

    async def encrypt(self, context: ssl.SSLContext) -> None:
        """Go on under TLS (RFC 3207). Raises `Gone`.

        Nothing may be unread: what was sent in plain text must not count as encrypted.
        """
        try:
            transport = await self._loop.start_tls(
                self.transport, self, context,
                server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )  # fmt: skip
        except (OSError, ssl.SSLError, TimeoutError):
            raise Gone from None
        if transport is None:
            raise Gone
        self.transport = transport
        self.encrypted = True
