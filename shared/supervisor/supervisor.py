"""Keeps children running: started in order, restarted with back-off, stopped in reverse.

Sleeps until a signal or a restart is due. One thread. SIGTERM or SIGINT stops in order; a second
one hastens. `changed` is called whenever a pid changes.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from shared.errors import ConfigError
from shared.supervisor.child import Child
from shared.supervisor.processes import adopt_orphans, end_group

STOP_ORDER = ("web", "worker", "bounces", "exporter", "inbox", "redis")
RELOADING_ROLES = ("web", "worker", "bounces")
GROUP_END_SECONDS = 10.0
START_SECONDS = 60.0
RETRY_SECONDS = 1.0
"""After up.json could not be written: the disk may be full for now."""


class Supervisor:
    """The children of one `posthaste up`, in the order of their start."""

    def __init__(
        self,
        children: Sequence[Child],
        environment: Mapping[str, str],
        say: Callable[[str], None],
        changed: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        self.children = list(children)
        self._environment = environment
        self._say = say
        self._changed = changed
        self._check = check
        self._reload_wanted = False
        self._stops = 0
        self._note_at: float | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def install(self) -> None:
        """Take the signals."""
        adopt_orphans()
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_requested)
        signal.signal(signal.SIGCHLD, _woken)
        signal.signal(signal.SIGHUP, self._reload_requested)

    def _reload_requested(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._reload_wanted = True

    def _stop_requested(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stops += 1

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stops > 0

    def start(self, role: str, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Start the children of a role and wait until `ready`. Raises `ConfigError`."""
        mine = [child for child in self.children if child.spec.role == role]
        for child in mine:
            child.start(self._environment)
        self._changed()
        deadline = time.monotonic() + seconds
        while not ready():
            for child in self.children:
                code = child.died()
                if code is not None:
                    raise ConfigError(
                        f"{child.spec.name} ended with {_ending(code)} at the start"
                        + child.last_words()
                    )
            if self.stopping:
                raise ConfigError("stopped while starting")
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"{role} was not ready within {seconds:.0f} s"
                    + "".join(child.last_words() for child in mine)
                )
            self._sleep(0.05)

    def run(self) -> None:
        """Supervise until a stop is asked for."""
        while not self.stopping:
            self._look_after()
            if self._reload_wanted:
                self._reload()
            self._sleep(self._next_start())

    def _reload(self) -> None:
        """Have the settings read again, once they are known to be right."""
        self._reload_wanted = False
        try:
            self._check()
        except ConfigError as error:
            self._say(f"settings not reloaded: {error}")
            return
        for child in self.children:
            if child.spec.role in RELOADING_ROLES:
                child.reload()
        self._say("settings reloaded")

    def _next_start(self) -> float | None:
        due = [child.start_at for child in self.children if child.start_at is not None]
        if self._note_at is not None:
            due.append(self._note_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _look_after(self) -> None:
        for child in self.children:
            code = child.died()
            if code is not None and child.pid is not None:
                self._bury(child, child.pid, code)
            if child.start_at is not None and time.monotonic() >= child.start_at:
                self._start_again(child)
        if self._note_at is not None and time.monotonic() >= self._note_at:
            self._note()

    def _start_again(self, child: Child) -> None:
        try:
            child.start(self._environment)
        except OSError as error:  # No memory, no pids, no disk: that may pass.
            wait = child.schedule_restart()
            self._say(f"{child.spec.name} cannot start ({error.strerror}); again in {wait:.1f} s")
        else:
            self._say(f"{child.spec.name} runs again, pid {child.pid}")
        self._note()

    def _note(self) -> None:
        """Write down what runs; a full disk must not end the supervisor."""
        try:
            self._changed()
            self._note_at = None
        except OSError:
            self._note_at = time.monotonic() + RETRY_SECONDS

    def _bury(self, child: Child, pid: int, code: int) -> None:
        """Nothing of a dead child may be left when its successor starts."""
        gone = end_group(pid, GROUP_END_SECONDS)
        wait = child.schedule_restart()
        self._say(
            f"{child.spec.name} (pid {pid}) ended with {_ending(code)};"
            f" starting again in {wait:.1f} s" + ("" if gone else "; it left processes behind")
        )
        self._note()

    def _sleep(self, seconds: float | None) -> None:
        select.select([self._wake_read], [], [], seconds)
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass  # The time is up, and no signal came.

    def stop(self) -> None:
        """Stop everything in order; what does not end in its time is killed."""
        asked = self._stops
        for role in STOP_ORDER:
            mine = [child for child in self.children if child.spec.role == role]
            for child in mine:
                child.ask_to_stop()
            deadline = time.monotonic() + max((each.spec.stop_seconds for each in mine), default=0)
            while not all(child.is_gone() for child in mine):
                if time.monotonic() > deadline or self._stops > max(asked, 1):
                    for child in mine:
                        child.kill()
                self._sleep(0.05)


def _woken(number: int, frame: FrameType | None) -> None:
    """A child has ended: the wake-up descriptor has been written."""
    del number, frame


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
