"""What processes use: processor time and memory, their children included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stats() -> dict[int, list[str]]:
    """The fields of /proc/PID/stat after the command, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue  # It has just ended.
            found[int(entry.name)] = text.rpartition(")")[2].split()
    return found


def _family(pids: Iterable[int], stats: dict[int, list[str]]) -> set[int]:
    """The processes, and all below them."""
    family = set(pids)
    grown = True
    while grown:
        more = {pid for pid, fields in stats.items() if int(fields[1]) in family} - family
        grown = bool(more)
        family |= more
    return family & set(stats)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes and of their children that still run."""
    stats = _stats()
    used = [int(stats[pid][11]) + int(stats[pid][12]) for pid in _family(pids, stats)]
    return sum(used) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process and its children; what they share counts for each."""
    pages = 0
    for each in _family([pid], _stats()):
        pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
