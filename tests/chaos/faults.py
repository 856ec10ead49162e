"""The faults by their steps, done to real processes, and the ledger of what was done."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from shared.supervisor.home import Home
from tests.chaos.accounts import Kill
from tests.chaos.copies import Flight
from tests.chaos.fleet import Fleet
from tests.chaos.schedule import Step
from tests.chaos.store import Store

LEASE_SECONDS = 6.0
STOP_SECONDS = LEASE_SECONDS + 1.5
"""A process that is stopped stands still for this long: past every lease it has."""

Meanwhile = Callable[[], None]
"""Called once a fault is there, before it is over."""


class Done(msgspec.Struct, frozen=True):
    """What a fault was done to, and what was in flight."""

    pids: list[int]
    in_flight: set[Flight] = set()
    note: str = ""


Fault = Callable[[Meanwhile], Done]


class Faults:
    """Does steps. Three threads may use it: for web, for the world, for everything else."""

    def __init__(self, faults: dict[Step, Fault], store: Store) -> None:
        self._faults = faults
        self._store = store
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self.ledger: list[Kill] = []

    def do(self, step: Step, meanwhile: Meanwhile) -> None:
        """One step, and its entry in the ledger."""
        leased = sum(self._store.depth().leased_legs.values())
        began = time.monotonic()
        done = self._faults[step](meanwhile)
        entry = Kill(
            step.target,
            step.action,
            tuple(done.pids),
            began - self._began,
            time.monotonic() - began,
            leased,
            tuple(sorted(done.in_flight)),
            done.note,
        )
        with self._lock:
            self.ledger.append(entry)


class Relays:
    """The other relay comes first: new mail goes there, what is queued stays where it is."""

    def __init__(self, home: Path, settings: Callable[[bool], str]) -> None:
        self._home = home
        self._settings = settings
        self._swapped = False

    def faults(self) -> dict[Step, Fault]:
        """By their steps."""
        return {Step("relays", "swap"): self._swap}

    def _swap(self, meanwhile: Meanwhile) -> Done:
        self._swapped = not self._swapped
        # In one step: a role that starts now must not read half of it.
        Home.write_private(self._home / "posthaste.toml", self._settings(self._swapped))
        command = [sys.executable, "-P", "-m", "shared.cli.main", "reload"]
        found = subprocess.run(
            [*command, "--home", str(self._home)], capture_output=True, text=True, check=False
        )
        meanwhile()
        return Done([], note=found.stderr.strip())


def restart(fleet: Fleet, role: str, pids: list[int], number: int, meanwhile: Meanwhile) -> Done:
    """A signal that ends processes which have nothing in flight by it, until others are there."""
    fleet.end(pids, number)
    meanwhile()
    fleet.returned(role, pids)
    return Done(pids)
