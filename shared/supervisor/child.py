"""One supervised process: how it is started, when it may start again, how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import msgspec

from shared.supervisor.processes import die_with_parent, group_is_gone, send, started_at

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
SETTLED_SECONDS = 30.0
"""A child that lived this long starts again without the waits of earlier deaths."""


class ChildSpec(msgspec.Struct, frozen=True):
    """What to run."""

    role: str
    number: int
    command: tuple[str, ...]
    environment: dict[str, str]
    stop_seconds: float = 25.0

    @property
    def name(self) -> str:
        """`worker-1`."""
        return f"{self.role}-{self.number}"


class Child:
    """A process and its history."""

    def __init__(
        self, spec: ChildSpec, open_log: Callable[[str], IO[bytes]], directory: Path
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.since = ""
        self.start_at: float | None = None
        """When it may start again (monotonic); None while it runs or is stopped."""
        self._open_log = open_log
        self._directory = directory
        self._born = 0.0
        self._backoff = FIRST_BACKOFF_SECONDS

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        return self.process.pid if self.process is not None else None

    def start(self, base: Mapping[str, str]) -> None:
        """Start it, in a process group of its own, with its output in its log."""
        with self._open_log(self.spec.name) as log:
            self.process = subprocess.Popen(  # noqa: S603  # Our own roles.
                list(self.spec.command),
                env={**base, **self.spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,  # Not the user's, whose own `web` gunicorn would import.
                start_new_session=True,
                preexec_fn=die_with_parent,  # This process has one thread.
            )
        self._born = time.monotonic()
        self.since = started_at(self.process.pid)
        self.start_at = None

    def died(self) -> int | None:
        """The exit code when it has just ended (negative: the signal); the group may live on."""
        if self.process is None:
            return None
        return self.process.poll()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, each line set in; empty when it said nothing."""
        try:
            with self._open_log(self.spec.name) as log, open(log.name, "rb") as written:
                written.seek(max(0, os.fstat(written.fileno()).st_size - 4096))
                text = written.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "".join(f"\n  | {line}" for line in text.splitlines()[-lines:])

    def schedule_restart(self) -> float:
        """Note when it may start again; gives the wait in seconds."""
        now = time.monotonic()
        if now - self._born > SETTLED_SECONDS:
            self._backoff = FIRST_BACKOFF_SECONDS
        wait = self._backoff
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF_SECONDS)
        self.process = None
        self.restarts += 1
        self.start_at = now + wait
        return wait

    def reload(self) -> None:
        """SIGHUP to the leader: read the settings again."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGHUP)

    def ask_to_stop(self) -> None:
        """SIGTERM to the leader: it knows how to end its own."""
        self.start_at = None
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)

    def is_gone(self) -> bool:
        """Whether nothing of it is left."""
        if self.process is None:
            return True
        ended = self.process.poll() is not None
        return ended and group_is_gone(self.process.pid)

    def kill(self) -> None:
        """SIGKILL to all of it."""
        if self.process is not None:
            send(self.process.pid, signal.SIGKILL)
