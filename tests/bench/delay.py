"""A TCP relay that holds every byte for a while, so that loopback has a round trip.

python -m tests.bench.delay LISTEN_PORT TARGET_PORT ONE_WAY_MS
"""

from __future__ import annotations

import asyncio
import sys


class _End(asyncio.Protocol):
    """One side of a relayed connection."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.other: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(self._seconds, self._pass_on, data)

    def _pass_on(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._loop.call_later(self._seconds, self._end)

    def _end(self) -> None:
        if self.other is not None:
            self.other.close()


async def serve(port: int, target: int, seconds: float) -> None:
    """Relay until killed."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def join(near: _End) -> None:
        _, far = await loop.create_connection(lambda: _End(seconds), "127.0.0.1", target)
        far.other, near.other = near.transport, far.transport
        for data in near.early:
            near.other.write(data)

    class Accepting(_End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(join(self))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await loop.create_server(lambda: Accepting(seconds), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    listen, to, ms = (int(each) for each in sys.argv[1:4])
    asyncio.run(serve(listen, to, ms / 1000))
