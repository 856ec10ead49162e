"""Rate limits under four worker processes, one of which is killed: reached, and never passed.

    python -m tests.bench.run limits           # about three minutes

More mail than a relay's `rate` allows waits for it, for as long as is measured; a receiver notes
when it answered each message. Of every 60 seconds that begin with a message the fullest counts. The
messages are unsigned: it is about permits.
"""

from __future__ import annotations

import os
import signal
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench.effort import Effort
from tests.bench.figure import Figure
from tests.bench.http_load import Load, message, request
from tests.bench.sink import TimingSink
from tests.support.installation import installation

TOGETHER = ((1, 10, 100, 500), (2000,))
"""Legs a second; those of a row share one installation."""
WINDOW_SECONDS = 60
MEASURED_SECONDS = 66
KILL_AFTER_SECONDS = 15
WORKERS = 4
PER_BATCH = 500
REACHED_PERCENT = 98.0


def limits(effort: Effort) -> list[Figure]:
    """For each limit the share that was reached, and the share of the fullest minute."""
    del effort  # A minute is a minute.
    return [figure for rates in TOGETHER for figure in _measured(rates)]


def _measured(rates: tuple[int, ...]) -> Iterator[Figure]:
    with ExitStack() as stack:
        sinks = {rate: stack.enter_context(TimingSink()) for rate in rates}
        up = stack.enter_context(_system(sinks))
        for rate in rates:
            _load(up, rate)
        time.sleep(KILL_AFTER_SECONDS)
        os.kill(up["pids"]["worker"][0], signal.SIGKILL)
        for rate, sink in sinks.items():
            sink.wait(rate * MEASURED_SECONDS - 1, 2 * MEASURED_SECONDS)
        for rate, sink in sinks.items():
            yield from _figures(rate, sink.times())


@contextmanager
def _system(sinks: dict[int, TimingSink]) -> Iterator[dict[str, Any]]:
    settings = "".join(
        f'[[relay]]\nname = "r{rate}"\nhost = "127.0.0.1"\nport = {sink.port}\nrate = {rate}\n'
        f'dkim = "off"\n[[route]]\nname = "to-{rate}"\nrelay = "r{rate}"\ntags = ["r{rate}"]\n'
        for rate, sink in sinks.items()
    )
    with installation("--web", "1", "--workers", str(WORKERS), settings=settings) as up:
        yield up


def _load(up: dict[str, Any], rate: int) -> None:
    """More than the relay may take in the time; it is being taken already."""
    mail = [
        {**message(number, 200), "tags": [f"r{rate}"]}
        for number in range(rate * (MEASURED_SECONDS + 20))
    ]
    bodies = [{"messages": mail[at : at + PER_BATCH]} for at in range(0, len(mail), PER_BATCH)]
    requests = [request(up["http"], "/v1/messages/batch", up["key"], body) for body in bodies]
    load = Load(up["http"], requests, 2).run()
    assert load.refused == 0, load.statuses


def _figures(rate: int, times: list[float]) -> Iterator[Figure]:
    allowed = rate * WINDOW_SECONDS
    counts = _windows(times)
    name = f"limit {rate:,}/s, {WORKERS} workers, one killed"
    yield Figure(
        f"{name}: of it reached in the emptiest minute", (100 * min(counts) / allowed,), "%",
        must=REACHED_PERCENT * (1 - rate * 0.1 / allowed),  # The killed worker's permits.
    )  # fmt: skip
    yield Figure(
        f"{name}: of it in the fullest minute", (100 * max(counts) / allowed,), "%", "lower",
        must=100 * (allowed * 1.02 + 1) / allowed,
    )  # fmt: skip


def _windows(times: list[float]) -> list[int]:
    """How many messages came in the 60 seconds from each one, as long as there are 60 left."""
    times = sorted(times)
    end = times[-1]
    return [
        bisect_left(times, at + WINDOW_SECONDS) - index
        for index, at in enumerate(times)
        if at + WINDOW_SECONDS <= end
    ]
