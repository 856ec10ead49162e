"""Ten thousand sites with three messages each, beside the same number of messages to one site.

    python -m tests.bench.run sites         # about eight minutes; QUICK=1: two thousand, in three

A site has queues, sessions and look-ups in DNS of its own, though one receiver stands for them all.
The mail comes in any order and is drained as in `drain`. The floors are one site whose sessions
take three messages each, or one: connections that many sites need anyhow are greeted and ended
there too.
"""

from __future__ import annotations

import random

from tests.bench.direct import batches, delivering
from tests.bench.effort import QUICK, Effort
from tests.bench.figure import Figure, Peer
from tests.bench.receiver import CountingSink
from tests.bench.throughput import drained
from tests.bench.world_dns import WorldDns

SITES = 10_000
QUICK_SITES = 2_000
EACH = 3
RUNS, QUICK_RUNS = 2, 1
MOST_SESSIONS = 15_000
"""That the receiver takes at once: idle ones stay for some seconds."""
WARM_UP = 1000
OF_ONE_SITE = 0.8
"""The share of one site's rate that many sites must reach."""
ONE_SITE = {
    "to one site": "connections = 50\n",
    "to one site, 3 messages a connection": "connections = 50\nmessages_per_connection = 3\n",
    "to one site, 1 message a connection": "connections = 50\nmessages_per_connection = 1\n",
}


def sites(effort: Effort) -> list[Figure]:
    """Messages a second, and the workers' processor time for each."""
    quick = effort is QUICK
    count = QUICK_SITES if quick else SITES
    many = [f"d{number}.test" for number in range(count)] * EACH
    random.Random(1).shuffle(many)
    spread = list[tuple[float, float]]()
    alone = {name: list[tuple[float, float]]() for name in ONE_SITE}
    for _ in range(QUICK_RUNS if quick else RUNS):  # Each anew: workers remember what DNS said.
        spread.append(_measured(many, ""))
        for name, more in ONE_SITE.items():
            alone[name].append(_measured(["one.test"] * len(many), more))
    rates, micros = (
        [Peer(name, tuple(each[at] for each in found)) for name, found in alone.items()]
        for at in (0, 1)
    )
    return [
        Figure(f"{len(many):,} messages to {count:,} sites, 2 workers, signed",
               tuple(rate for rate, _ in spread), "/s", must=OF_ONE_SITE * rates[0].value,
               peers=tuple(rates)),
        Figure("processor time of the workers for each", tuple(each for _, each in spread), "us",
               "lower", peers=tuple(micros)),
    ]  # fmt: skip


def _measured(domains: list[str], more: str) -> tuple[float, float]:
    """The rate, and the workers' microseconds."""
    with (
        CountingSink("-m", str(MOST_SESSIONS)) as sink,
        WorldDns() as dns,
        delivering(dns.port, sink.port, "--workers", "2", "--web", "1", more=more) as up,
    ):
        drained(up, sink, batches(up, ["warm.test"] * WARM_UP, 0), WARM_UP)
        return drained(up, sink, batches(up, domains, WARM_UP), len(domains))
