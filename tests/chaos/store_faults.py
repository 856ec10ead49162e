"""Faults of Valkey, alone and together with a worker.

In flight is what was unsettled: copies whose leg was in the hands of a worker before, and those
that the store does not know as delivered once it answers again.
"""

from __future__ import annotations

import signal
import time

from tests.chaos import processes
from tests.chaos.copies import Copy, Flight, Pair
from tests.chaos.faults import STOP_SECONDS, Done, Fault, Meanwhile
from tests.chaos.fleet import Fleet, until
from tests.chaos.mail import index_of
from tests.chaos.schedule import Step
from tests.chaos.store import Leased, Store
from tests.chaos.witness import Witness
from tests.chaos.worker_faults import WINDOW_SECONDS


class StoreFaults:
    """kill, stop, restart; kill along with a worker."""

    def __init__(self, fleet: Fleet, witness: Witness, store: Store) -> None:
        self._fleet = fleet
        self._witness = witness
        self._store = store

    def faults(self) -> dict[Step, Fault]:
        """By their steps."""
        return {
            Step("valkey", "kill"): lambda meanwhile: self._end(signal.SIGKILL, [], meanwhile),
            Step("valkey", "restart"): lambda meanwhile: self._end(signal.SIGTERM, [], meanwhile),
            Step("valkey", "stop"): self._stop,
            Step("valkey and worker", "kill"): lambda meanwhile: self._end(
                signal.SIGKILL, self._fleet.busy_worker(self._witness.ports), meanwhile
            ),
        }

    def _end(self, number: int, others: list[int], meanwhile: Meanwhile) -> Done:
        (pid,) = self._fleet.pids("redis")
        began, leased = time.monotonic(), self._store.leased()
        ends = processes.connections_to(self._fleet.freeze(others), self._witness.ports)
        sessions = self._witness.sessions(ends)
        self._fleet.end([pid], number)
        self._fleet.end(others, signal.SIGKILL)
        meanwhile()
        self._fleet.returned("redis", [pid])
        self._store.wait()
        down = time.monotonic() - began
        until("sessions of a killed worker end", lambda: not self._witness.received(sessions))
        return Done([pid, *others], self._unsettled(began, leased), f"away for {down:.1f} s")

    def _stop(self, meanwhile: Meanwhile) -> Done:
        pids = self._fleet.pids("redis")
        began, leased = time.monotonic(), self._store.leased()
        self._fleet.freeze(pids)
        meanwhile()
        time.sleep(max(0.0, began + STOP_SECONDS - time.monotonic()))
        self._fleet.go_on(pids)
        return Done(pids, self._unsettled(began, leased))

    def _unsettled(self, began: float, leased: Leased) -> set[Flight]:
        copies = self._witness.copies(began - WINDOW_SECONDS)
        last: dict[Pair, Copy] = {}
        for copy in sorted(copies, key=lambda copy: copy.nth):
            if index_of(copy.recipient) in leased.get(copy.stored_as, ()):
                last[copy.pair] = copy
        return {copy.flight for copy in last.values()} | self._store.unsettled(copies)
