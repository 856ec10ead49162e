"""Processes as /proc shows them: their state, their children, their connections; signals (Linux).

A process that is gone is not an error: it has no children and no ports.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.copies import End

FREEZE_SECONDS = 5.0


def _stat(pid: int) -> list[str]:
    """The fields of stat after the name; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """The pids of a process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


def connections_to(pids: Iterable[int], servers: Iterable[int]) -> list[End]:
    """The processes' connections to these ports of this machine."""
    mine = set().union(*map(_sockets, pids))
    wanted = {f"{port:04X}" for port in servers}
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in mine and fields[2].rpartition(":")[2] in wanted:
            host, _, port = fields[2].partition(":")
            address = socket.inet_ntoa(int(host, 16).to_bytes(4, sys.byteorder))
            found.add((int(fields[1].rpartition(":")[2], 16), address, int(port, 16)))
    return sorted(found)


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except OSError:
                continue  # Closed just now.
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass  # It has gone.
    return found


def send(pid: int, number: int) -> bool:
    """Signal a process; False when it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def freeze(pids: Iterable[int]) -> list[int]:
    """SIGSTOP; returns the processes that stand still now."""
    stopped = [pid for pid in pids if send(pid, signal.SIGSTOP)]
    deadline = time.monotonic() + FREEZE_SECONDS
    for pid in stopped:
        while (_stat(pid) or "Z")[0] not in "TZ":
            assert time.monotonic() < deadline, f"pid {pid} does not stop"
            time.sleep(0.001)
    return [pid for pid in stopped if (_stat(pid) or "Z")[0] == "T"]
