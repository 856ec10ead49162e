"""One worker with 1,000 sessions to a server far away: what they weigh, and what they deliver.

    python -m tests.bench.run sessions distant

The distance is a relay in between that holds every byte for a while (tests/bench/delay.py). A
worker opens the sessions that it can keep busy, so they are weighed with a round trip of 3 s, where
a slow machine needs them all too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.supervisor.ports import reserve
from tests.bench.effort import Effort
from tests.bench.figure import Figure
from tests.bench.measure import resident_megabytes
from tests.bench.receiver import CountingSink
from tests.bench.signing import batches, signing
from tests.bench.throughput import drained

SESSIONS = 1000
ONE_WAY_MS = 100
MESSAGES = 20_000
WEIGHED_ONE_WAY_MS = 1500
WEIGHED_MESSAGES = 6_000


@dataclass(frozen=True)
class Measured:
    """Everything of one run."""

    sessions: int
    at_start_mb: float
    full_mb: float
    rates: tuple[float, ...]
    micros: tuple[float, ...]


@contextmanager
def _delayed(port: int, one_way_ms: int) -> Iterator[int]:
    """A port whose connections reach `port` later."""
    reserved = reserve("127.0.0.1")
    relay = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.delay", str(reserved.port), str(port), str(one_way_ms)]
    )
    try:
        yield reserved.port
    finally:
        relay.kill()
        relay.wait()
        reserved.release()


def measured(runs: int, one_way_ms: int, messages: int) -> Measured:
    """Drain so many messages once, then `runs` times."""
    relay = f"connections = {SESSIONS * 5 // 4}"  # A fifth is kept for class critical.
    options = ("-m", str(SESSIONS + 100))
    with (
        CountingSink(*options, backlog=SESSIONS + 100) as sink,
        _delayed(sink.port, one_way_ms) as port,
        signing(port, "--workers", "1", "--web", "1", relay=relay) as up,
    ):
        pid = up["pids"]["worker"][0]
        at_start = resident_megabytes(pid)
        found = [
            drained(up, sink, batches(up, messages, run * messages), messages)
            for run in range(runs + 1)
        ][1:]
        sessions, full = _connections_to(pid, port), resident_megabytes(pid)
    rates, micros = zip(*found, strict=True)
    return Measured(sessions, at_start, full, rates, micros)


def _connections_to(pid: int, port: int) -> int:
    """Established connections of a process to a port on this machine."""
    wanted = f"{port:04X}"
    mine = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(":" + wanted) and fields[3] == "01":
            count += f"socket:[{fields[9]}]" in mine
    return count


def sessions(effort: Effort) -> list[Figure]:
    """A worker's memory, once whatever the effort."""
    del effort
    found = measured(1, WEIGHED_ONE_WAY_MS, WEIGHED_MESSAGES)
    return [
        Figure(f"worker memory, {found.sessions:,} sessions", (found.full_mb,), "MB", "lower",
               must=200, aim=120),
        Figure("its memory at the start", (found.at_start_mb,), "MB", "lower"),
    ]  # fmt: skip


def distant(effort: Effort) -> list[Figure]:
    """What it delivers."""
    found = measured(effort.runs, ONE_WAY_MS, MESSAGES)
    name = f"200 ms round trip, one worker, {found.sessions:,} sessions"
    return [
        Figure(name, found.rates, "/s", must=1500),
        Figure("processor time of the worker for each", found.micros, "us", "lower"),
    ]
