"""What web takes in, without delivery: batches, single POSTs, and one client beside another.

python -m tests.bench.run accept-batch accept-single fair
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.effort import Effort
from tests.bench.figure import Figure
from tests.bench.http_load import Connection, Load, message, percentile, request
from tests.bench.signing import accepted, batches, singles
from tests.support.installation import installation

SINGLES_A_SECOND = 200
"""At most, of the client that sends beside batches."""


@contextmanager
def _nowhere() -> Iterator[dict[str, Any]]:
    """An installation whose relay does not answer: nothing is delivered."""
    with installation("--smtp-relay", "smtp://127.0.0.1:9", "--workers", "1") as up:
        accepted(batches(up, 100, 0))
        yield up


def accept_batch(effort: Effort) -> list[Figure]:
    """1,000-message batches over two connections."""
    count = effort.batch_messages
    with _nowhere() as up:
        runs = [accepted(batches(up, count, run * count)) for run in range(effort.runs)]
    rates = tuple(count / load.seconds for load in runs)
    return [Figure("batch accept, 1,000 a request, 2 connections", rates, "/s", must=5000)]


def accept_single(effort: Effort) -> list[Figure]:
    """Single POSTs over 16 connections."""
    count = effort.single_messages
    with _nowhere() as up:
        runs = [accepted(singles(up, count, run * count)) for run in range(effort.runs)]
    rates = tuple(count / load.seconds for load in runs)
    p99 = tuple(percentile(load.latencies, 0.99) * 1000 for load in runs)
    return [
        Figure("single accept, 16 connections", rates, "/s", must=1500),
        Figure("single accept, p99", p99, "ms", "lower"),
    ]


def _beside(up: dict[str, Any], heavy: Load) -> list[float]:
    """Latencies of one client's POSTs for as long as the heavy one runs."""
    thread = threading.Thread(target=heavy.run)
    thread.start()
    connection = Connection(up["http"])
    latencies: list[float] = []
    while thread.is_alive():
        number = 10**6 + len(latencies)
        data = request(up["http"], "/v1/messages", up["key"], message(number))
        began = time.perf_counter()
        status, _ = connection.ask(data)
        latencies.append(time.perf_counter() - began)
        assert status == 202, status
        time.sleep(1 / SINGLES_A_SECOND)
    connection.close()
    return latencies


def fair(effort: Effort) -> list[Figure]:
    """One client's single POSTs while another sends batches all the time."""
    count = 2 * effort.batch_messages
    p99, rates = [], []
    with _nowhere() as up:
        for run in range(effort.runs):
            heavy = batches(up, count, run * count)
            heavy.connections = 1
            p99.append(percentile(_beside(up, heavy), 0.99) * 1000)
            rates.append(count / heavy.seconds)
    return [
        Figure("another client's accept during batches, p99", tuple(p99), "ms", "lower", must=50),
        Figure("the batches meanwhile, 1 connection", tuple(rates), "/s"),
    ]
