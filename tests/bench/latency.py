"""From the start of a POST to the moment when the receiver has answered 250 to the message."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.bench.effort import Effort
from tests.bench.figure import Figure
from tests.bench.http_load import Connection, message, percentile, request
from tests.bench.signing import signing
from tests.bench.sink import TimingSink

SPACE_SECONDS = 2.0
RATE = 200
CONNECTIONS = 10
"""Each sends RATE / CONNECTIONS messages a second, at its own times."""
P50_MS, P50_AIM_MS, P99_MS, P99_AIM_MS = 15, 8, 60, 30


class Sender:
    """POSTs with the times when they began."""

    def __init__(self, up: dict[str, Any], sink: TimingSink) -> None:
        self._up = up
        self._sink = sink
        self.began: dict[int, float] = {}

    def post(self, connection: Connection, number: int) -> None:
        """One message, accepted."""
        data = request(self._up["http"], "/v1/messages", self._up["key"], message(number))
        began = time.perf_counter()
        status, body = connection.ask(data)
        assert status == 202, body
        self.began[number] = began

    def connect(self) -> Connection:
        """A connection of its own."""
        return Connection(self._up["http"])

    def milliseconds(self) -> list[float]:
        """From the start of each POST to the 250."""
        return [(self._sink.wait(number) - at) * 1000 for number, at in self.began.items()]


def _spaced(up: dict[str, Any], sink: TimingSink, first: int, count: int) -> list[float]:
    """One message every two seconds: nothing is warm but the connections."""
    sender = Sender(up, sink)
    connection = sender.connect()
    for number in range(first, first + count):
        sender.post(connection, number)
        sink.wait(number)
        time.sleep(SPACE_SECONDS)
    connection.close()
    return sender.milliseconds()


def _steady(up: dict[str, Any], sink: TimingSink, first: int, seconds: float) -> list[float]:
    """RATE messages a second, evenly spaced over the connections."""
    sender = Sender(up, sink)
    count = int(seconds * RATE / CONNECTIONS)
    start = time.perf_counter() + 0.1

    def send(offset: int) -> None:
        connection = sender.connect()
        for turn in range(count):
            at = turn * CONNECTIONS + offset
            time.sleep(max(0.0, start + at / RATE - time.perf_counter()))
            sender.post(connection, first + at)
        connection.close()

    threads = [threading.Thread(target=send, args=(each,)) for each in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sender.began) == count * CONNECTIONS, "some POSTs were refused"
    return sender.milliseconds()


def latency(effort: Effort) -> list[Figure]:
    """One message every two seconds, then a steady load."""
    runs = effort.runs
    with TimingSink() as sink, signing(sink.port) as up:
        _steady(up, sink, 0, 1)  # Connections and caches.
        spaced = _spaced(up, sink, 10_000, effort.spaced_samples)
        steady = [
            _steady(up, sink, (run + 2) * 10_000, effort.steady_seconds) for run in range(runs)
        ]
    return [
        Figure("accept to 250, one message every 2 s, p50", tuple(spaced), "ms", "lower",
               P50_MS, P50_AIM_MS),
        Figure("the same, slowest", (max(spaced),), "ms", "lower", P99_MS, P99_AIM_MS),
        Figure(f"accept to 250 at {RATE}/s, p50", _shares(steady, 0.5), "ms", "lower",
               P50_MS, P50_AIM_MS),
        Figure(f"accept to 250 at {RATE}/s, p99", _shares(steady, 0.99), "ms", "lower",
               P99_MS, P99_AIM_MS),
    ]  # fmt: skip


def _shares(runs: list[list[float]], share: float) -> tuple[float, ...]:
    return tuple(percentile(values, share) for values in runs)
