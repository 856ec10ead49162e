"""A receiver that notes when it answers 250 to each message, by the number in the subject.

    python -m tests.bench.sink        # prints its port, then "NUMBER TIME" for every message

One process, asyncio, no storage. TIME is time.perf_counter(), which all processes share on Linux.
A connection is noted as number -1. It can take a while to answer each message; on SIGUSR1 it begins
to answer 421 to every connection and message, on SIGUSR2 it ends that. `TimingSink` runs it. For
rates smtp-sink is used, which is cheaper (tests/bench/receiver.py).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import signal
import subprocess
import sys
import threading
import time

_NUMBER = re.compile(rb"^Subject: Your order (\d+)", re.MULTILINE)
_CONNECTION = -1


class _Manner:
    """How everybody is answered now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.closing = False


class _Protocol(asyncio.Protocol):
    """Just enough SMTP for a pipelining client."""

    def __init__(self, manner: _Manner) -> None:
        self._manner = manner
        self._buffer = b""
        self._in_data = self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        _note(_CONNECTION)
        if self._manner.closing:
            self._close()
        else:
            transport.write(b"220 sink\r\n")

    def _close(self) -> None:
        self._transport.write(b"421 4.3.2 not now\r\n")
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        while not self._waiting and not self._transport.is_closing() and self._step():
            pass

    def _take(self, message: bytes) -> None:
        """Answer a message. It is noted first, so that what is noted is all that was answered."""
        self._waiting = False
        found = _NUMBER.search(message)
        if found:
            _note(int(found[1]))
        self._transport.write(b"250 2.0.0 Ok\r\n")

    def _step(self) -> bool:
        """Take one command or one message off the buffer; False when there is none."""
        message, end, rest = self._buffer.partition(b"\r\n.\r\n" if self._in_data else b"\r\n")
        if not end:
            return False
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            if self._manner.seconds:
                self._waiting = True
                seconds = self._manner.seconds * random.uniform(0.5, 1.5)
                asyncio.get_running_loop().call_later(seconds, self._late, message)
            else:
                self._take(message)
            return True
        word = message[:4].upper()
        if word == b"MAIL" and self._manner.closing:
            self._close()
        elif word == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go\r\n")
        elif word == b"EHLO":
            self._transport.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
        else:
            self._transport.write(b"250 2.0.0 Ok\r\n")
        return True

    def _late(self, message: bytes) -> None:
        self._take(message)
        self._advance()


def _note(number: int) -> None:
    print(number, time.perf_counter(), flush=True)


async def _serve(host: str, port: int, seconds: float) -> None:
    loop, manner = asyncio.get_running_loop(), _Manner(seconds)
    loop.add_signal_handler(signal.SIGUSR1, setattr, manner, "closing", True)
    loop.add_signal_handler(signal.SIGUSR2, setattr, manner, "closing", False)
    server = await loop.create_server(lambda: _Protocol(manner), host, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class TimingSink:
    """A context manager; `wait(n)` gives the time when message number n was answered."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, seconds: float = 0.0) -> None:
        """`seconds`: how long it takes to answer a message, on average: from half of it to half as
        much again, because sessions that all take the same time end up in step."""
        self._options = [host, str(port), str(seconds)]
        self._times: dict[int, float] = {}
        self._connections: list[float] = []
        self._changed = threading.Condition()
        self.port = port
        self.copies = 0

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, at = line.split()
            with self._changed:
                if int(number) == _CONNECTION:
                    self._connections.append(float(at))
                    continue
                self.copies += 1
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

    def by_number(self) -> dict[int, float]:
        """The same, by the messages' numbers."""
        with self._changed:
            return dict(self._times)

    def connections(self) -> list[float]:
        """When somebody connected."""
        with self._changed:
            return list(self._connections)

    def close_all(self) -> None:
        """421 for everybody from now on."""
        self._process.send_signal(signal.SIGUSR1)

    def take_all(self) -> None:
        """No longer."""
        self._process.send_signal(signal.SIGUSR2)

    def kill(self) -> None:
        """End it as a crash does; what it has noted is kept."""
        self._process.kill()
        self._process.wait()
        self._thread.join(10)

    def __enter__(self) -> TimingSink:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.sink", *self._options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("seconds", nargs="?", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(_serve(given.host, given.port, given.seconds))
