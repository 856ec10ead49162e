"""What processes take: the names of prometheus_client's own collector, for several pids together.

Reads /proc; where there is none, or a process has just ended, it gives what is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PROC = Path("/proc")
_STATE_TO_PPID = 1
"""Index of the parent's pid in /proc/PID/stat, counted behind the command's name (proc(5))."""
_UTIME, _STIME, _START, _RSS = 11, 12, 19, 21


class ProcessesCollector(Collector):
    """Processor time, memory, descriptors and start of the processes that `pids` names."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")

    def collect(self) -> Iterator[Metric]:
        """Sums over the processes; the start is that of the first one."""
        cpu, memory, files, starts = 0.0, 0, 0, []
        for pid in self._pids():
            try:
                fields = _stat(pid)
                files += len(list((_PROC / str(pid) / "fd").iterdir()))
            except (OSError, ValueError, IndexError):
                continue
            cpu += (int(fields[_UTIME]) + int(fields[_STIME])) / self._ticks
            memory += int(fields[_RSS]) * self._page
            starts.append(_boot_time() + int(fields[_START]) / self._ticks)
        yield CounterMetricFamily("process_cpu_seconds", "Processor time.", value=cpu)
        for name, text, value in (
            ("process_resident_memory_bytes", "Resident memory.", memory),
            ("process_open_fds", "Open file descriptors.", files),
            ("process_start_time_seconds", "When it started.", min(starts, default=0.0)),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def family(leader: int) -> list[int]:
    """A process and its children."""
    found = [leader]
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                if int(_stat(int(entry.name))[_STATE_TO_PPID]) == leader:
                    found.append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
    return found


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name, which may hold anything."""
    text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    return text[text.rindex(")") + 2 :].split()


def _boot_time() -> float:
    for line in (_PROC / "stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0
