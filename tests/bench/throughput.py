"""End to end, counted by the receiver: batches, single POSTs, and draining a loaded queue.

    python -m tests.bench.run batch single drain

The clock starts with the first byte of the first request and stops when the sink has counted the
last message. Postfix, where it is, takes its turn after each of our runs, with the same sink; so
does the floor of all signing, which tells a slow processor where Postfix tells a slow disk.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from shared.settings import Settings, StoreSettings
from shared.store.redis_spool import RedisSpool
from tests.bench import postfix as peer
from tests.bench.effort import Effort
from tests.bench.figure import Figure, Peer
from tests.bench.floor import CORES, signatures_a_second
from tests.bench.http_load import Load
from tests.bench.measure import cpu_seconds
from tests.bench.receiver import CountingSink
from tests.bench.signing import accepted, batches, signing, singles

POSTFIX, POSTFIX_SIGNING = 605.0, 343.0
"""Messages a second, measured where the bars were set."""
FLOOR = 7570.0
"""Signatures a second on both cores there."""
WARM_UP = 1000
DRAINED_SECONDS = 600.0
"""A loaded queue takes no longer than this on any machine."""


class Rivals:
    """The peers that are there, with the floor of all signing, and what they came to."""

    def __init__(self, sink: CountingSink, effort: Effort, sessions: int) -> None:
        self._sink = sink
        self._effort = effort
        self._sessions = sessions
        self._open = ExitStack()
        self._found: list[tuple[str, float, peer.Postfix, list[float]]] = []
        self._floors: list[float] = []

    def __enter__(self) -> Rivals:
        if not peer.missing():
            self._start("Postfix", POSTFIX, signed=False)
            if self._effort.signing_peer and peer.can_sign():
                self._start("Postfix signing with OpenDKIM", POSTFIX_SIGNING, signed=True)
        return self

    def _start(self, name: str, reference: float, *, signed: bool) -> None:
        running = self._open.enter_context(peer.postfix(self._sink.port, signing=signed))
        rival = (f"{name}, {self._sessions} sessions", reference, running, list[float]())
        self._found.append(rival)
        self._once(running, 100)

    def _once(self, running: peer.Postfix, count: int) -> float:
        before, began = self._sink.count, time.perf_counter()
        running.send(count, self._sessions)
        return count / (self._sink.wait(before + count) - began)

    def run(self) -> None:
        """A turn of each."""
        for _, _, running, rates in self._found:
            rates.append(self._once(running, self._effort.peer_messages))
        self._floors.append(signatures_a_second())

    def peers(self) -> tuple[Peer, ...]:
        """What they came to."""
        found = [Peer(name, tuple(rates), reference) for name, reference, _, rates in self._found]
        return (*found, _floor(self._floors))

    def __exit__(self, *exception: object) -> None:
        self._open.close()


def _floor(rates: list[float]) -> Peer:
    return Peer(f"floor: RSA-2048 signatures on {CORES} cores", tuple(rates), FLOOR)


Prepare = Callable[[dict[str, Any], int, int], Load]


TIERS = {"web": "web", "worker": "the workers", "redis": "the store"}


class Spent:
    """What each tier's processes take for a message, in microseconds: a value for each run."""

    def __init__(self, up: dict[str, Any]) -> None:
        self._pids: dict[str, list[int]] = {role: up["pids"][role] for role in TIERS}
        self._began: dict[str, float] = {}
        self.micros: dict[str, list[float]] = {role: [] for role in TIERS}

    def begin(self) -> None:
        """Count from now on."""
        self._began = {role: cpu_seconds(pids) for role, pids in self._pids.items()}

    def end(self, count: int) -> None:
        """So many messages have gone through."""
        for role, pids in self._pids.items():
            used = cpu_seconds(pids) - self._began[role]
            self.micros[role].append(used / count * 1e6)

    def figures(self, what: str) -> list[Figure]:
        """One for each tier."""
        return [
            Figure(f"{what}: processor time of {name} for each", tuple(self.micros[role]), "us",
                   "lower")
            for role, name in TIERS.items()
        ]  # fmt: skip


def _end_to_end(
    prepare: Prepare, count: int, effort: Effort, sessions: int, name: str, bars: tuple[float, ...]
) -> list[Figure]:
    """Rates of our runs, with the peers' between them, and what each tier took."""
    rates = []
    with CountingSink() as sink, signing(sink.port) as up, Rivals(sink, effort, sessions) as rivals:
        accepted(prepare(up, WARM_UP, 0))
        spent = Spent(up)
        for run in range(effort.runs):
            _settled(up)
            load = prepare(up, count, (run + 1) * count + WARM_UP)
            before, began = sink.count, time.perf_counter()
            spent.begin()
            accepted(load)
            rates.append(count / (sink.wait(before + count) - began))
            _settled(up)
            spent.end(count)
            rivals.run()
        must, aim = bars
        figure = Figure(
            f"{name} to sink, end to end, signed", tuple(rates), "/s", must=must, aim=aim,
            peers=rivals.peers(),
        )  # fmt: skip
        return [figure, *spent.figures(name)]


def batch(effort: Effort) -> list[Figure]:
    """Batches of 1,000 over two connections, until the sink has them all."""
    return _end_to_end(batches, effort.batch_messages, effort, 50, "batch API", (2500, 3500))


def single(effort: Effort) -> list[Figure]:
    """Single POSTs over 16 connections, until the sink has them all."""
    return _end_to_end(
        singles, effort.single_messages, effort, 16, "single POSTs, 16 connections", (900, 1500)
    )


@contextmanager
def spool_of(up: dict[str, Any]) -> Iterator[RedisSpool]:
    """The store of an installation, asked directly."""
    spool = RedisSpool(Settings(store=StoreSettings(redis_url=up["redis"], timeout_seconds=10)))
    try:
        yield spool
    finally:
        spool.close()


def _settled(up: dict[str, Any], seconds: float = 60) -> None:
    """Wait until nothing is ready, leased or deferred, so that runs do not share work."""
    deadline = time.monotonic() + seconds
    with spool_of(up) as spool:
        while True:
            depth = spool.depth()
            open_legs = (depth.ready_legs, depth.leased_legs, depth.deferred_legs)
            if not any(sum(each.values()) for each in open_legs):
                return
            assert time.monotonic() < deadline, depth
            time.sleep(0.05)


def drained(
    up: dict[str, Any], sink: CountingSink, load: Load, count: int, *, settled: bool = True
) -> tuple[float, float]:
    """Load the queue while the workers stand still; the rate of the first `count` messages that
    come, and the workers' microseconds for each. `settled`: nothing else is left then."""
    workers: list[int] = up["pids"]["worker"]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        accepted(load)
    finally:
        before, used, began = sink.count, cpu_seconds(workers), time.perf_counter()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    took = sink.wait(before + count, DRAINED_SECONDS) - began
    if settled:
        _settled(up)
    return count / took, (cpu_seconds(workers) - used) / count * 1e6


def drain(effort: Effort) -> list[Figure]:
    """A loaded queue, signed, sent and settled by two workers; the RSA floor beside it."""
    count = effort.drain_messages
    rates, micros, floors = [], [], []
    with (
        CountingSink() as sink,
        signing(sink.port, "--workers", "2", "--web", "1") as up,
    ):
        drained(up, sink, batches(up, WARM_UP, 0), WARM_UP)  # Connections and caches.
        for run in range(effort.runs):
            rate, micro = drained(up, sink, batches(up, count, (run + 1) * count), count)
            rates.append(rate)
            micros.append(micro)
            floors.append(signatures_a_second())
    return [
        Figure("drain of a loaded queue, 2 workers, signed", tuple(rates), "/s", must=4000,
               aim=5500, peers=(_floor(floors),)),
        Figure("processor time of the workers for each", tuple(micros), "us", "lower"),
    ]  # fmt: skip
