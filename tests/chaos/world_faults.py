"""Faults of what mail goes to, and of DNS: each lasts a few seconds, beside all others.

A pool's mail then goes by another member, a site's waits or goes to another of its hosts. No copy
may come of these, so that none is ever in flight by them.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from tests.chaos.faults import Done, Fault, Meanwhile
from tests.chaos.places import ORDERED
from tests.chaos.schedule import Step
from tests.chaos.witness import Witness
from tests.support.dns_server import DnsServer

AWAY_SECONDS = 4.0
SITES = ("mx1", "mx2", "mx4")
"""Hosts in turn: a site backs off for twice as long each time. `mx3` is the last of two domains."""


class WorldFaults:
    """Doors that refuse or answer 421, a DNS server that is silent or fails."""

    def __init__(self, witness: Witness, dns: DnsServer, over: threading.Event, seed: int) -> None:
        """Once `over` is set no fault goes on."""
        self._witness = witness
        self._dns = dns
        self._over = over
        chance = random.Random(f"{seed}/world")
        self._hosts = chance.sample(SITES, len(SITES))

    def faults(self) -> dict[Step, Fault]:
        """By their steps."""
        found: dict[Step, Fault] = {}
        for target, door in (("pool's first", lambda: ORDERED[0]), ("mail host", self._next_host)):
            found[Step(target, "refuse")] = self._at(door, self._witness.refuse)
            found[Step(target, "421")] = self._at(door, self._witness.close)
        found[Step("dns", "silence")] = self._silence
        found[Step("dns", "SERVFAIL")] = self._failure
        return found

    def _next_host(self) -> str:
        self._hosts.append(self._hosts.pop(0))
        return self._hosts[-1]

    def _at(self, which: Callable[[], str], does: Callable[[str], int | None]) -> Fault:
        """A fault of the door that `which` gives at its time."""

        def fault(meanwhile: Meanwhile) -> Done:
            door = which()
            ended = does(door)
            try:
                self._wait(meanwhile)
            finally:
                self._witness.open(door)
            return Done([], note=door if ended is None else f"{door}, {ended} sessions")

        return fault

    def _silence(self, meanwhile: Meanwhile) -> Done:
        self._dns.silent = True
        try:
            self._wait(meanwhile)
        finally:
            self._dns.silent = False
        return Done([])

    def _failure(self, meanwhile: Meanwhile) -> Done:
        before = len(self._dns.asked)
        self._dns.failing["*"] = "SERVFAIL"
        try:
            self._wait(meanwhile)
        finally:
            del self._dns.failing["*"]
        return Done([], note=f"{len(self._dns.asked) - before} questions")

    def _wait(self, meanwhile: Meanwhile) -> None:
        meanwhile()
        self._over.wait(AWAY_SECONDS)
