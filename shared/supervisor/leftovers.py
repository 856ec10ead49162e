"""What a killed supervisor has left behind, ended before anything starts on the same data.

`end_leftovers(home)` must be called by whoever holds the home's lock. A pid counts only with the
start time that up.json has for it. What does not stop in time is killed.
"""

from __future__ import annotations

import signal
import time

from shared.supervisor.home import Home
from shared.supervisor.processes import end_group, send, started_at
from shared.supervisor.supervisor import STOP_ORDER

STOP_SECONDS = 25.0
KILL_SECONDS = 10.0


def end_leftovers(home: Home) -> int:
    """End them in the order of a stop, and forget up.json; how many there were."""
    facts = home.read_up()
    count = 0
    for role in STOP_ORDER:
        groups = [pid for pid in facts.get("pids", {}).get(role, []) if is_recorded(facts, pid)]
        for group in groups:
            send(group, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while any(started_at(group) for group in groups) and time.monotonic() < deadline:
            time.sleep(0.05)
        for group in groups:
            end_group(group, KILL_SECONDS)
        count += len(groups)
    home.up.unlink(missing_ok=True)
    return count


def is_recorded(facts: dict[str, object], pid: int) -> bool:
    """Whether the process that now has this pid is the one that up.json means."""
    started = facts.get("started")
    since = started.get(str(pid)) if isinstance(started, dict) else None
    return bool(since) and started_at(pid) == since
