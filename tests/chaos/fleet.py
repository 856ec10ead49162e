"""The processes of an installation: found by role, stopped, continued, ended, waited for."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.chaos import processes

RETURN_SECONDS = 60.0
_Found = TypeVar("_Found")


class Fleet:
    """What runs in a home, by its up.json."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.chance = random.Random(f"{seed}/fleet")
        self._frozen: set[int] = set()

    def pids(self, role: str) -> list[int]:
        """The processes of a role that run now: waits until there is one."""
        return until(f"a {role} runs", lambda: self._facts()["pids"][role])

    def returned(self, role: str, old: Sequence[int]) -> None:
        """Wait until all of a role run, and none of the old ones."""

        def ask() -> bool:
            facts = self._facts()
            pids: list[int] = facts["pids"][role]
            wanted = sum(each["role"] == role for each in facts["processes"])
            return len(pids) == wanted and not set(old) & set(pids)

        until(f"every {role} runs again", ask)

    def _facts(self) -> Any:
        return json.loads((self.home / "up.json").read_text())

    def busy_worker(self, servers: Iterable[int]) -> list[int]:
        """One worker, one that is connected to these ports if there is any."""
        pids = self.pids("worker")
        busy = [pid for pid in pids if processes.connections_to([pid], servers)]
        return [self.chance.choice(busy or pids)]

    def freeze(self, pids: Sequence[int]) -> list[int]:
        """SIGSTOP; those that stand still now."""
        self._frozen.update(pids)
        return processes.freeze(pids)

    def go_on(self, pids: Iterable[int]) -> None:
        """SIGCONT."""
        for pid in pids:
            processes.send(pid, signal.SIGCONT)
            self._frozen.discard(pid)

    def end(self, pids: Iterable[int], number: int) -> None:
        """SIGKILL or SIGTERM."""
        for pid in pids:
            processes.send(pid, number)
            self._frozen.discard(pid)

    def thaw(self) -> None:
        """Let everything go on, at the end, whatever has happened."""
        self.go_on(list(self._frozen))


def until(name: str, what: Callable[[], _Found]) -> _Found:
    """What `what` gives once it is true; `name` says what that would be."""
    deadline = time.monotonic() + RETURN_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, f"not in time: {name}"
        time.sleep(0.02)
    return found
