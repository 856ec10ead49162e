"""Twenty sites, one of which answers 421 to everything: what the others lose, what it is asked.

    python -m tests.bench.run suspended         # about four minutes; QUICK=1: one and a half

A loaded queue for the nineteen is drained by two workers, in turn with and without the twentieth's
mail in it and its host in trouble; each time it is another site, because what has been in trouble
lately is left alone for longer. In the end its host stays in trouble for a minute, is well again,
and gets what has waited: counted is how often it was connected to meanwhile, and how its mail comes
then.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench.direct import batches, delivering
from tests.bench.effort import QUICK, Effort
from tests.bench.figure import Figure, Peer
from tests.bench.receiver import CountingSink
from tests.bench.sink import TimingSink
from tests.bench.throughput import drained
from tests.bench.world_dns import WorldDns

SITES = 20
BAD_HOST = "127.0.2.1"
MESSAGES, QUICK_MESSAGES = 8_000, 4_000
"""To the nineteen, in each run; the twentieth gets as many as one of them."""
PAIRS, QUICK_PAIRS = 4, 2
"""The machine's own speed changes by more than what is to be seen."""
AWAY_SECONDS, QUICK_AWAY_SECONDS = 60.0, 15.0
RETURN_SECONDS = 180.0
LOST_PERCENT = 5.0
RAMP_SECONDS = 8


class Bench:
    """The installation and both receivers."""

    def __init__(
        self, up: dict[str, Any], good: CountingSink, bad: TimingSink, messages: int
    ) -> None:
        self._up = up
        self._good = good
        self._bad = bad
        self._messages = messages
        self._sent = 0
        self._bad_sites = 0

    def rate(self, beside: int) -> tuple[float, float]:
        """Of the nineteen, with so many messages to the twentieth among theirs; and the workers'
        microseconds for each of theirs."""
        domains = [f"s{n % (SITES - 1)}.test" for n in range(self._messages)]
        if beside:
            self._bad_sites += 1
            every = len(domains) // beside
            for at in range(beside):
                domains.insert(at * (every + 1), _bad(self._bad_sites))
        load = batches(self._up, domains, self._sent)
        self._sent += len(domains)
        return drained(self._up, self._good, load, self._messages, settled=not beside)

    def recovered(self, mail: int) -> tuple[float, list[int]]:
        """Let the host be well again. Seconds until the first message, and how many had come after
        each second from there on."""
        self._bad.take_all()
        began, deadline = time.perf_counter(), time.monotonic() + RETURN_SECONDS
        while self._bad.copies < mail:
            assert time.monotonic() < deadline, f"{self._bad.copies} of {mail} came"
            time.sleep(0.1)
        times = sorted(at for at in self._bad.times() if at >= began)
        come = [bisect_right(times, times[0] + second) for second in range(1, RAMP_SECONDS + 1)]
        return times[0] - began, come


def _bad(number: int) -> str:
    return f"bad{number}.test"


@contextmanager
def _bench(messages: int) -> Iterator[tuple[Bench, TimingSink]]:
    with ExitStack() as stack:
        good = stack.enter_context(CountingSink())
        bad = stack.enter_context(TimingSink(host=BAD_HOST, port=good.port))
        hosts = {f"mx.{_bad(number)}": BAD_HOST for number in range(1, PAIRS + 1)}
        dns = stack.enter_context(WorldDns(hosts))
        up = stack.enter_context(delivering(dns.port, good.port, "--workers", "2", "--web", "1"))
        yield Bench(up, good, bad, messages), bad


def suspended(effort: Effort) -> list[Figure]:
    """The others' rates, and what the twentieth saw."""
    quick = effort is QUICK
    messages, pairs = (QUICK_MESSAGES, QUICK_PAIRS) if quick else (MESSAGES, PAIRS)
    away = QUICK_AWAY_SECONDS if quick else AWAY_SECONDS
    waiting = messages // (SITES - 1)
    without, beside = list[tuple[float, float]](), list[tuple[float, float]]()
    with _bench(messages) as (bench, bad):
        bench.rate(0)  # Connections and caches.
        for pair in range(1, pairs + 1):
            without.append(bench.rate(0))
            bad.close_all()
            began = time.perf_counter()
            beside.append(bench.rate(waiting))
            if pair == pairs:
                time.sleep(max(0.0, began + away - time.perf_counter()))
                connections = sum(at >= began for at in bad.connections())
            first, come = bench.recovered(pair * waiting)
    return [
        *_rates(without, beside),
        Figure(f"connections to it in {away:.0f} s of 421", (float(connections),), "", "lower"),
        Figure("well again: until its first message", (first,), "s", "lower"),
        *(
            Figure(f"of {waiting} that waited, come after {second} s", (float(count),), "")
            for second, count in enumerate(come, start=1)
            if second in (1, 2, 4, 8)
        ),
    ]


def _rates(
    without: list[tuple[float, float]], beside: list[tuple[float, float]]
) -> Iterator[Figure]:
    (calm, calm_micros), (rates, micros) = zip(*without, strict=True), zip(*beside, strict=True)
    lost = tuple(100 * (1 - rate / peer) for rate, peer in zip(rates, calm, strict=True))
    peer = "without its mail"
    yield Figure("19 sites beside one that answers 421", rates, "/s", peers=(Peer(peer, calm),))
    yield Figure("what they lose by it", lost, "%", "lower", must=LOST_PERCENT)
    yield Figure(
        "processor time of the workers for each", micros, "us", "lower",
        peers=(Peer(peer, calm_micros),),
    )  # fmt: skip
