"""What the store says of itself, and what that means: whether mail may be accepted, and its counts.

Takes answers of a server, gives values of `shared.store.ports`. Pure, but for a look at the disk.
"""

from __future__ import annotations

import shutil
from typing import Any

from shared.model.message import CLASSES
from shared.model.status import BY_LETTER
from shared.settings import StoreSettings
from shared.store.attempts import split_attempts
from shared.store.figures import Depth, Health


def judged(facts: dict[str, str], backlog: int, store: StoreSettings) -> Health:
    """Health by the lines of INFO; `backlog` are events that a recorder has still to read."""
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    aof = int(facts.get("aof_current_size", 0))
    free = _free(store.data_dir)
    reasons = []
    if facts.get("loading", "0") != "0":
        reasons.append("store_loading")
    if facts.get("role", "master") != "master":
        reasons.append("store_read_only")
    if facts.get("aof_last_write_status", "ok") != "ok":
        reasons.append("store_write_error")
    if int(facts.get("connected_slaves", 0)) < store.replicas:
        reasons.append("store_replicas")
    if most and used > most * store.memory_ratio:
        reasons.append("store_memory")
    if store.data_dir and (free is None or free < aof * 1.2 + store.disk_reserve_bytes):
        reasons.append("store_disk")
    if backlog > store.events_max:
        reasons.append("events_backlog")
    return Health(tuple(reasons), used, most, aof, free)


def _free(folder: str) -> int | None:
    """Free bytes of the disk that holds a directory; None when it is not named or not there."""
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:
        return None


def depth_of(reply: Any) -> Depth:
    """The depth script's answer as a value."""
    flat, live, events, finished, dead, held, suspended, troubled, *by_class = reply
    numbers = {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}
    accepted: dict[str, int] = {}
    by_status: dict[str, dict[str, int]] = {}
    ready: dict[str, int] = {}
    for index, name in enumerate(CLASSES):
        accepted[name] = numbers.pop(f"a:{index}", 0)
        ready[name] = numbers.pop(f"r:{index}", 0)
        by_status[name] = {
            status.value: numbers.pop(f"s:{index}:{letter}", 0)
            for letter, status in BY_LETTER.items()
        }
    attempts, counters = split_attempts(numbers)
    return Depth(
        attempts=attempts,
        accepted=accepted,
        by_status=by_status,
        ready_legs=ready,
        counters=counters,
        oldest_ready_ms={
            name: age for name, age in zip(CLASSES, by_class[2::3], strict=True) if age >= 0
        },
        deferred_legs=dict(zip(CLASSES, by_class[0::3], strict=True)),
        leased_legs=dict(zip(CLASSES, by_class[1::3], strict=True)),
        live_workers=live,
        events_length=events,
        dead_legs=dead,
        held_legs=held,
        suspended_hops=suspended,
        troubled_hops=troubled,
        finished_messages=finished,
    )
