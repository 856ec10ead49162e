"""An HTTPS server on loopback that answers what it is told to, for MTA-STS policies."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any


def plain(body: bytes) -> bytes:
    """A complete answer."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class PolicyServer:
    """An async context manager; `answer` is sent as it is, then the connection is closed."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self.answer = answer
        self.closes = True
        """Whether the connection is closed after the answer; else it stays, and says no more."""
        self.requests: list[str] = []
        self.connections = 0
        self.names: list[str | None] = []
        """The name each client asked for (SNI)."""
        self._context = context
        self._context.sni_callback = self._named
        self._done = asyncio.Event()

    def _named(self, _: Any, name: str | None, __: ssl.SSLContext) -> None:
        self.names.append(name)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode("ascii"))
            writer.write(self.answer)
            await writer.drain()
            if not self.closes:
                await self._done.wait()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client has gone: it did not like the certificate, or the answer.
        finally:
            writer.transport.abort() if not self.closes else writer.close()

    async def __aenter__(self) -> PolicyServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._done.set()
        self._server.close()
        await self._server.wait_closed()
