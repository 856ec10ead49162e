"""Faults of the server for bounces: no copy may come of these, and no bounce may be lost."""

from __future__ import annotations

import signal
import time

from tests.chaos.faults import STOP_SECONDS, Done, Fault, Meanwhile, restart
from tests.chaos.fleet import Fleet
from tests.chaos.schedule import Step


class BouncesFaults:
    """kill, stop and restart."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def faults(self) -> dict[Step, Fault]:
        """By their steps."""
        return {
            Step("bounces", "kill"): lambda meanwhile: self._end(signal.SIGKILL, meanwhile),
            Step("bounces", "restart"): lambda meanwhile: self._end(signal.SIGTERM, meanwhile),
            Step("bounces", "stop"): self._stop,
        }

    def _end(self, number: int, meanwhile: Meanwhile) -> Done:
        return restart(self._fleet, "bounces", self._fleet.pids("bounces"), number, meanwhile)

    def _stop(self, meanwhile: Meanwhile) -> Done:
        pids = self._fleet.pids("bounces")
        self._fleet.freeze(pids)
        meanwhile()
        time.sleep(STOP_SECONDS)
        self._fleet.go_on(pids)
        return Done(pids)
