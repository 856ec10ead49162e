"""Faults of workers, and of all of them at once: then nobody runs a pump.

In flight are copies that came by a worker's connections and are not settled. A worker that is to
be killed is stopped first, for the milliseconds in which its connections are read off: what it
does not do then, it never does. An orderly stop may have nothing in flight.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos import processes
from tests.chaos.copies import Flight
from tests.chaos.faults import STOP_SECONDS, Done, Fault, Meanwhile, restart
from tests.chaos.fleet import Fleet, until
from tests.chaos.schedule import Step
from tests.chaos.store import Store
from tests.chaos.witness import Witness

WINDOW_SECONDS = 45.0
"""A copy older than this is settled, or the outage was longer than any here."""
OTHERS_SECONDS = 0.3
"""In this time workers that live have settled what came over connections that have ended."""


class WorkerFaults:
    """kill, stop and restart, of one worker and of all (`pumps`)."""

    def __init__(self, fleet: Fleet, witness: Witness, store: Store) -> None:
        self._fleet = fleet
        self._witness = witness
        self._store = store

    def faults(self) -> dict[Step, Fault]:
        """By their steps."""
        kinds = {"kill": self._kill, "stop": self._stop, "restart": self._restart}
        found: dict[Step, Fault] = {}
        for action, does in kinds.items():
            found[Step("worker", action)] = _of(self._busy, does)
            found[Step("pumps", action)] = _of(self._all, does)
        return found

    def _busy(self) -> list[int]:
        return self._fleet.busy_worker(self._witness.ports)

    def _all(self) -> list[int]:
        return self._fleet.pids("worker")

    def _restart(self, pids: list[int], meanwhile: Meanwhile) -> Done:
        """All: until they are back. One: whatever comes next may meet it while it stops."""
        if len(pids) > 1:
            return restart(self._fleet, "worker", pids, signal.SIGTERM, meanwhile)
        self._fleet.end(pids, signal.SIGTERM)
        meanwhile()
        return Done(pids)

    def _sessions(self, pids: list[int]) -> list[int]:
        """The receiver's sessions with these processes, which stand still."""
        return self._witness.sessions(processes.connections_to(pids, self._witness.ports))

    def _kill(self, pids: list[int], meanwhile: Meanwhile) -> Done:
        began = time.monotonic()
        sessions = self._sessions(self._fleet.freeze(pids))
        self._fleet.end(pids, signal.SIGKILL)
        meanwhile()
        until("sessions of a killed worker end", lambda: not self._witness.received(sessions))
        in_flight = self._in_flight(began, sessions)
        if len(pids) > 1:
            self._fleet.returned("worker", pids)
        return Done(pids, in_flight, f"{len(sessions)} sessions")

    def _stop(self, pids: list[int], meanwhile: Meanwhile) -> Done:
        """Past the lease, and on. What had gone to the kernel still arrives: that is in flight."""
        began = time.monotonic()
        sessions = self._sessions(self._fleet.freeze(pids))
        frozen = time.monotonic()
        meanwhile()
        self._wait_quiet(sessions)
        in_flight = self._in_flight(began, sessions)
        time.sleep(max(0.0, began + STOP_SECONDS - time.monotonic()))
        copies = self._witness.copies(frozen, sessions)
        in_flight.update(copy.flight for copy in copies if copy.session in sessions)
        self._fleet.go_on(pids)
        return Done(pids, in_flight, f"{len(sessions)} sessions")

    def _wait_quiet(self, sessions: list[int]) -> None:
        """Until no more bytes come by these sessions."""
        before: list[int] = []
        while (now := self._witness.received(sessions)) != before:
            before = now
            time.sleep(0.1)

    def _in_flight(self, began: float, sessions: list[int]) -> set[Flight]:
        """What had been accepted by these sessions, or by sessions of nobody, and is not
        settled."""
        copies = self._witness.copies(began - WINDOW_SECONDS, sessions)
        time.sleep(OTHERS_SECONDS)
        return self._store.unsettled(copies)


def _of(pids: Callable[[], list[int]], does: Callable[[list[int], Meanwhile], Done]) -> Fault:
    """The fault of what `pids` gives at its time."""
    return lambda meanwhile: does(pids(), meanwhile)
