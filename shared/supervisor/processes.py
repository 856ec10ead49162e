"""Process groups: whether they are gone, how they are ended, and whether a pid is still the same.

Each child leads its own group. A group counts as gone when no process of it is left, so that a new
web never meets the sockets of an old one whose leader alone was killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    """Best effort: where it is refused, orphans are found at the next start instead."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of whatever a child leaves behind (Linux)."""
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """In a child, before it runs: be told to stop when the supervisor is killed (Linux).

    SIGHUP is ignored until the child knows what to do with it.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def group_is_gone(group: int) -> bool:
    """Whether no process of the group is left; those that have ended are reaped on the way."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass  # None of them is ours (any more).
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def send(group: int, number: int) -> None:
    """Signal every process of a group, if there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass  # It has just ended.


def end_group(group: int, seconds: float) -> bool:
    """SIGKILL a group and wait until it is gone. False when it still is not."""
    deadline = time.monotonic() + seconds
    while not group_is_gone(group):
        send(group, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def started_at(pid: int) -> str:
    """When a process started, as the system tells it; empty when it does not run.

    With the pid it names one process for ever: pids are used again.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "" if _LINUX else _told_by_ps(pid)
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _told_by_ps(pid: int) -> str:
    """The same where there is no /proc."""
    words = subprocess.run(  # noqa: S603  # A fixed program and a number.
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return "" if not words or words[0].startswith("Z") else " ".join(words[1:])
