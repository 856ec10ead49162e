"""A receiver that notes when it answers 250 to each message, by the number in the subject.

    python -m tests.bench.sink        # prints its port, then "NUMBER TIME" for every message

One process, asyncio, no storage. TIME is time.perf_counter(), which all processes share on Linux.
`TimingSink` runs it. For rates smtp-sink is used, which is cheaper (tests/bench/receiver.py).
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time

_NUMBER = re.compile(rb"^Subject: Your order (\d+)", re.MULTILINE)


class _Protocol(asyncio.Protocol):
    """Just enough SMTP for a pipelining client."""

    def __init__(self) -> None:
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
        """Take one command or one message off the buffer; False when there is none."""
        message, end, rest = self._buffer.partition(b"\r\n.\r\n" if self._in_data else b"\r\n")
        if not end:
            return False
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            self._transport.write(b"250 2.0.0 Ok\r\n")
            _note(message)
            return True
        word = message[:4].upper()
        if word == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go\r\n")
        elif word == b"EHLO":
            self._transport.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
        else:
            self._transport.write(b"250 2.0.0 Ok\r\n")
        return True


def _note(message: bytes) -> None:
    found = _NUMBER.search(message)
    if found:
        print(int(found[1]), time.perf_counter(), flush=True)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class TimingSink:
    """A context manager; `wait(n)` gives the time when message number n was answered."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        self._changed = threading.Condition()
        self.port = 0

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, at = line.split()
            with self._changed:
                self._times.setdefault(int(number), float(at))
                self._changed.notify_all()

    def wait(self, number: int, seconds: float = 30) -> float:
        """When a message was answered for the first time, as time.perf_counter()."""
        with self._changed:
            came = self._changed.wait_for(lambda: number in self._times, seconds)
            assert came, f"message {number} did not arrive in {seconds} s"
            return self._times[number]

    def times(self) -> list[float]:
        """When each message so far was answered."""
        with self._changed:
            return list(self._times.values())

    def __enter__(self) -> TimingSink:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.sink"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(10)


if __name__ == "__main__":
    asyncio.run(_serve())
