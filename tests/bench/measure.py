"""What benchmarks share: a line of the table, and the processor time of processes."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

RUNS = 3


def show(name: str, values: list[float], unit: str, must: str) -> None:
    """One line: the median of the runs, the lowest and the highest."""
    middle = statistics.median(values)
    print(
        f"{name:<58} {middle:>10,.1f} {unit:<6} ({min(values):,.1f} to {max(values):,.1f})  {must}"
    )


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes and of their children that still run."""
    total = 0.0
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / ticks
    for pid, seconds in times.items():
        ancestor: int | None = pid
        while ancestor is not None and ancestor not in pids:
            ancestor = parents.get(ancestor)
        if ancestor is not None:
            total += seconds
    return total


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
