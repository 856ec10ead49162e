"""A pool's first relay is killed under load: how soon the second has its mail.

    python -m tests.bench.run failover      # about a minute

Batches are sent at a steady pace all the time. Both receivers note each message before they answer
it, so that everything that was accepted is found with one of them, or waits: what was at its final
dot at the kill may have arrived, and stays with the first.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from typing import Any

from shared.model.status import Status
from tests.bench.effort import QUICK, Effort
from tests.bench.figure import Figure
from tests.bench.http_load import Connection, message, request
from tests.bench.sink import TimingSink
from tests.bench.throughput import spool_of
from tests.support.installation import installation

SETTINGS = """
[[relay]]
name = "first"
host = "127.0.0.1"
port = {first}
dkim = "off"
[[relay]]
name = "second"
host = "127.0.0.1"
port = {second}
dkim = "off"
[[route]]
name = "pair"
relays = ["first", "second"]
"""
A_SECOND = 400
PAUSE_SECONDS = 0.05
BEFORE_SECONDS = 4.0
AFTER_SECONDS = 6.0
SETTLE_SECONDS = 20.0
WINDOW_SECONDS = 0.25
BACK = 0.9
MUST_SECONDS = 2.0


def failover(effort: Effort) -> list[Figure]:
    """Seconds from the kill, and how many messages wait for the first to come back."""
    found = [_once() for _ in range(1 if effort is QUICK else effort.runs)]
    first, back, kept = zip(*found, strict=True)
    return [
        Figure(f"a pool's first relay killed at {A_SECOND}/s: to the second's first 250", first,
               "s", "lower", must=MUST_SECONDS),
        Figure("until 90 % of the rate before", back, "s", "lower", must=MUST_SECONDS),
        Figure("in flight at the kill, kept for the first; none lost", kept, "", "lower"),
    ]  # fmt: skip


def _kept(up: dict[str, Any], sent: int) -> int:
    """How many of all that was sent are deferred; the others are delivered."""
    deadline = time.monotonic() + SETTLE_SECONDS
    with spool_of(up) as spool:
        while True:
            states = Counter[str]()
            for by_status in spool.depth().by_status.values():
                states.update(by_status)
            kept = states[Status.DEFERRED.value]
            if states[Status.DELIVERED.value] + kept == sent:
                return kept
            assert time.monotonic() < deadline, f"{sent} were sent: {+states}"
            time.sleep(0.05)


def _once() -> tuple[float, float, float]:
    with TimingSink() as first, TimingSink() as second:
        settings = SETTINGS.format(first=first.port, second=second.port)
        with installation("--web", "1", "--workers", "2", settings=settings) as up:
            pace = _Pace(up)
            pace.start()
            time.sleep(BEFORE_SECONDS)
            killed = time.perf_counter()
            first.kill()
            time.sleep(AFTER_SECONDS)
            pace.over.set()
            pace.join()
            assert not pace.refused, f"{pace.refused} were refused"
            kept = _kept(up, pace.sent)
            arrived = first.by_number().keys() | second.by_number().keys()
            missing = pace.sent - len(arrived)
            assert missing <= kept, f"{missing} of {pace.sent} did not arrive, {kept} are kept"
            return *_judged(killed, first, second), float(kept)


def _judged(killed: float, first: TimingSink, second: TimingSink) -> tuple[float, float]:
    before = [at for at in first.times() if killed - 2 <= at < killed]
    rate = len(before) / 2
    after = sorted(at for at in second.times() if at >= killed)
    wanted = BACK * rate * WINDOW_SECONDS
    back = next(
        at + WINDOW_SECONDS
        for index, at in enumerate(after)
        if bisect_left(after, at + WINDOW_SECONDS) - index >= wanted
    )
    return after[0] - killed, back - killed


class _Pace(threading.Thread):
    """The load: a batch every `PAUSE_SECONDS`."""

    def __init__(self, up: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._up = up
        self.over = threading.Event()
        self.sent = self.refused = 0

    def run(self) -> None:
        """Until it is over."""
        up, count = self._up, round(A_SECOND * PAUSE_SECONDS)
        connection = Connection(up["http"])
        due = time.perf_counter()
        while not self.over.wait(max(0.0, due - time.perf_counter())):
            mail = [message(self.sent + n, 500) for n in range(count)]
            data = request(up["http"], "/v1/messages/batch", up["key"], {"messages": mail})
            status, body = connection.ask(data)
            self.refused += body.count(b'"error":') + (status != 202)
            self.sent += count
            due += PAUSE_SECONDS
        connection.close()
