"""Faults of web: of gunicorn's master, which takes its processes along, and of one process.

No copy may come of these, so that none is ever in flight.
"""

from __future__ import annotations

import signal
import time

from tests.chaos import processes
from tests.chaos.faults import STOP_SECONDS, Done, Fault, Meanwhile, restart
from tests.chaos.fleet import Fleet, until
from tests.chaos.schedule import Step


class WebFaults:
    """kill, stop and restart of all; kill and stop of one process."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def faults(self) -> dict[Step, Fault]:
        """By their steps."""
        return {
            Step("web", "kill"): lambda meanwhile: restart(
                self._fleet, "web", self._fleet.pids("web"), signal.SIGKILL, meanwhile
            ),
            Step("web", "restart"): lambda meanwhile: restart(
                self._fleet, "web", self._fleet.pids("web"), signal.SIGTERM, meanwhile
            ),
            Step("web", "stop"): lambda meanwhile: self._stop(self._all(), meanwhile),
            Step("web process", "kill"): self._kill_process,
            Step("web process", "stop"): lambda meanwhile: self._stop(self._process(), meanwhile),
        }

    def _all(self) -> list[int]:
        (master,) = self._fleet.pids("web")
        return [master, *processes.children(master)]

    def _process(self) -> list[int]:
        """One of gunicorn's children."""
        (master,) = self._fleet.pids("web")
        return [
            self._fleet.chance.choice(
                until("web has processes", lambda: processes.children(master))
            )
        ]

    def _kill_process(self, meanwhile: Meanwhile) -> Done:
        pids = self._process()
        self._fleet.end(pids, signal.SIGKILL)
        meanwhile()
        return Done(pids)

    def _stop(self, pids: list[int], meanwhile: Meanwhile) -> Done:
        self._fleet.freeze(pids)
        meanwhile()
        time.sleep(STOP_SECONDS)
        self._fleet.go_on(pids)
        return Done(pids)
