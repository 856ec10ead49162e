"""An SMTP sink that notes when it answers 250 to a message: one thread, asyncio, no storage."""

from __future__ import annotations

import asyncio
import threading
import time


class _Protocol(asyncio.Protocol):
    """Just enough SMTP for a pipelining client."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        if self._in_data:
            body, end, rest = self._buffer.partition(b"\r\n.\r\n")
            if not end:
                return False
            self._buffer, self._in_data = rest, False
            self._transport.write(b"250 2.0.0 Ok\r\n")
            self._sink.note()
            return bool(body)
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return False
        self._buffer = rest
        word = line[:4].upper()
        if word == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go\r\n")
        elif word == b"EHLO":
            self._transport.write(b"250-sink\r\n250-PIPELINING\r\n250 SIZE\r\n")
        else:
            self._transport.write(b"250 2.0.0 Ok\r\n")
        return True


class Sink:
    """A context manager; `wait(n)` gives when the n-th message was answered (perf_counter)."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self.port = 0

    def note(self) -> None:
        """One more message."""
        with self._changed:
            self._times.append(time.perf_counter())
            self._changed.notify_all()

    def wait(self, number: int, seconds: float = 30) -> float:
        """When the `number`-th message was answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._times) >= number, seconds)
            return self._times[number - 1]

    def __enter__(self) -> Sink:
        started = threading.Event()

        async def serve() -> None:
            server = await self._loop.create_server(lambda: _Protocol(self), "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
