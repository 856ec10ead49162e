"""A store with 1,000,000 deferred entries: what one weighs, and what they cost everything else.

    python -m tests.bench.run deferred entry

Two servers of the project's own configuration (`appendfsync always`), one empty, one loaded: each
entry a message of 4 KB with one attempt behind it, due in one to two hours. They take turns at the
same work: messages are accepted, claimed and started and settled as deferred for a millisecond,
moved by the pump, and delivered.

**Judged** is the server's processor time for a message: the client's share is larger and does not
know how full the store is, so the rates that a client sees, which are shown too, would hide a part
of what the entries cost.

**An entry's memory** is the difference of `used_memory_dataset` between the full and the empty
store, less the packed bodies' own bytes, over the number of entries. The bodies' rounding by the
allocator, their hash slots and keys count as the entry's. The AOF is not rewritten meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared.compression import pack_content
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from tests.bench.effort import Effort
from tests.bench.entries import (
    CONTENTS,
    accept,
    deferral,
    delivery,
    settings,
    submission,
    work_off,
)  # fmt: skip
from tests.bench.figure import Figure, Peer
from tests.support.redis_server import RedisServer

ENTRIES = 1_000_000
BYTES_AN_ENTRY = 5000
"""Of memory, and somewhat more on the disk: where there is less, fewer entries are loaded."""
LOADERS = 2
CYCLES = 6
WORKED = 5000
"""Messages in each phase of a cycle."""
PHASES = ("accept", "claim and settle", "pump")


@dataclass(frozen=True)
class Cost:
    """What one phase came to for one message."""

    server_us: float
    rate: float
    """Messages a second, as the client sees it."""


@dataclass(frozen=True)
class Measured:
    """Everything about both stores; costs by phase, a value a cycle."""

    entries: int
    entry_bytes: float
    body_bytes: float
    load_seconds: float
    empty: dict[str, list[Cost]]
    full: dict[str, list[Cost]]


def info_of(server: RedisServer, section: str, name: str) -> int:
    """A number that INFO tells."""
    client = server.client()
    fields: Any = client.info(section)
    client.close()
    return int(fields[name])


def server_us(server: RedisServer) -> float:
    """Processor time of the server's one thread that matters since its start, in microseconds."""
    assert server.process is not None
    return int(Path(f"/proc/{server.process.pid}/schedstat").read_text().split()[0]) / 1000


@contextmanager
def new_server() -> Iterator[RedisServer]:
    """One whose file is not rewritten meanwhile."""
    server = RedisServer().start()
    try:
        client = server.client()
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.close()
        yield server
    finally:
        server.stop()


def _fitting() -> int:
    """How many entries this machine has room for, at most ENTRIES."""
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    disk = shutil.disk_usage(tempfile.gettempdir()).free
    room = int(min(memory * 0.7, disk * 0.4) / BYTES_AN_ENTRY)
    return ENTRIES if room >= ENTRIES else room // 100_000 * 100_000


def _load(server: RedisServer, count: int) -> None:
    """Fill it with several processes at once."""
    share = count // LOADERS
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.entries", server.url, str(share), str(n * share)]
        )
        for n in range(LOADERS)
    ]
    for process in running:
        assert process.wait(1800) == 0, "a loader has stopped"


class Bench:
    """One store at work."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        used = settings(server.url)
        self._spool = RedisSpool(used)
        self._queue = RedisQueue(used)

    async def close(self) -> None:
        """Close the connections."""
        self._spool.close()
        await self._queue.close()

    async def _cost(self, what: Callable[[], Awaitable[int]]) -> Cost:
        before, began = server_us(self._server), time.perf_counter()
        done = await what()
        took = time.perf_counter() - began
        assert done == WORKED, f"{done} of {WORKED}"
        return Cost((server_us(self._server) - before) / done, done / took)

    async def cycle(self, number: int) -> dict[str, Cost]:
        """Every phase once; afterwards the store is as it was."""
        prepared = [submission(number * WORKED + n) for n in range(WORKED)]

        async def take() -> int:
            accept(self._spool, prepared)
            return len(prepared)

        async def defer() -> int:
            return await work_off(self._queue, lambda each: deferral(each, 1))

        async def pump() -> int:
            moved = 0
            while moved < WORKED:
                moved += (await self._queue.pump("bench")).due
            return moved

        costs = dict(zip(PHASES, [await self._cost(each) for each in (take, defer, pump)],
                         strict=True))  # fmt: skip
        await work_off(self._queue, delivery)
        while (await self._queue.pump("bench")).forgotten:
            pass
        return costs


async def _take_turns(empty: RedisServer, full: RedisServer) -> list[dict[str, list[Cost]]]:
    stores = (Bench(empty), Bench(full))
    found: list[dict[str, list[Cost]]] = [{name: [] for name in PHASES} for _ in stores]
    for turn in range(CYCLES + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            for name, cost in (await stores[which].cycle(turn)).items():
                if turn:  # The first one warms up.
                    found[which][name].append(cost)
    for store in stores:
        await store.close()
    return found


@cache
def measured() -> Measured:
    """Load, weigh, and let both stores work; once a run."""
    count = _fitting()
    packed = [len(pack_content(submission(n).message.content)[0]) for n in range(CONTENTS)]
    body_bytes = sum(packed) / CONTENTS
    with new_server() as empty, new_server() as full:
        before, began = info_of(full, "memory", "used_memory_dataset"), time.perf_counter()
        _load(full, count)
        took = time.perf_counter() - began
        spool = RedisSpool(settings(full.url))
        depth = spool.depth()
        spool.close()
        assert sum(depth.deferred_legs.values()) == count, depth
        grown = info_of(full, "memory", "used_memory_dataset") - before
        costs = asyncio.run(_take_turns(empty, full))
    return Measured(count, grown / count - body_bytes, body_bytes, took, *costs)


def _slower(full: list[Cost], empty: list[Cost]) -> tuple[float, ...]:
    """By how many percent the server needs longer, cycle by cycle."""
    pairs = zip(full, empty, strict=True)
    return tuple((1 - before.server_us / after.server_us) * 100 for after, before in pairs)


def deferred(effort: Effort) -> list[Figure]:
    """What the entries cost everything else."""
    del effort
    found = measured()
    beside = f"beside {found.entries:,} deferred"
    judged, shown = [], []
    for name in PHASES:
        full, empty = found.full[name], found.empty[name]
        judged.append(Figure(f"{name} {beside}, slower by", _slower(full, empty), "%", "lower",
                             must=20, aim=5))  # fmt: skip
        alone = Peer("on an empty store", tuple(cost.rate for cost in empty))
        rates = tuple(cost.rate for cost in full)
        shown.append(Figure(f"{name} {beside}, one client", rates, "/s", peers=(alone,)))
    return judged + shown


def entry(effort: Effort) -> list[Figure]:
    """What an entry weighs."""
    del effort
    found = measured()
    return [
        Figure(f"store memory of each of {found.entries:,}, beside the body",
               (found.entry_bytes / 1024,), "KB", "lower", must=1.2, aim=0.6),
        Figure("a packed body", (found.body_bytes / 1024,), "KB", "lower"),
        Figure("loading them, 2 processes", (found.entries / found.load_seconds,), "/s"),
    ]  # fmt: skip
