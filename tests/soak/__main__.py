"""Ten minutes of steady mail: does anything grow?

    make soak                      # 10 minutes; MINUTES= for more or less
    python -m tests.soak --minutes 30 --rate 200

Messages of all sizes, single and in batches, through a receiver that defers and drops some; every
process's resident memory and the store's used memory are sampled. What was kept is let go after a
short while, so that from the middle on nothing should grow: the last fifth is compared with the
fifth after the middle. Exit code 1 when anything has grown by more than 2 %.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import redis

from tests.bench.http_load import Load, message, request
from tests.bench.measure import resident_megabytes
from tests.chaos.witness import Witness
from tests.support.installation import installation

MOST_GROWTH = 0.02
SAMPLE_SECONDS = 2.0
KEPT_SECONDS = 30
SETTINGS = f"""
[store]
retention_seconds = {KEPT_SECONDS}
events_max = 5000

[retry]
schedule_seconds = [1, 2, 5]

[[relay]]
host = "127.0.0.1"
port = {{port}}
connections = 20
messages_per_connection = 200
"""
SIZES = (500, 2_000, 4_000, 4_000, 20_000, 100_000)

Samples = dict[str, list[float]]


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=100, help="messages a second")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ph-soak-") as folder,
        Witness(1, Path(folder) / "copies") as witness,
        _system(witness.doors["east"].port) as up,
    ):
        samples, sent = _soak(up, arguments.minutes * 60, arguments.rate)
    print(f"soak: {sent:,} messages in {arguments.minutes:g} minutes")
    return _judge(samples)


def _system(port: int) -> AbstractContextManager[dict[str, Any]]:
    return installation("--workers", "2", "--web", "2", settings=SETTINGS.format(port=port))


def _soak(up: dict[str, Any], seconds: float, rate: int) -> tuple[Samples, int]:
    """Samples by name, in MB, from the middle of the time on; and how many messages were sent."""
    store = redis.Redis.from_url(up["redis"], socket_timeout=10)
    chance, samples, sent = random.Random(1), Samples(), 0
    began = time.monotonic()
    sampled = 0.0
    while (now := time.monotonic()) - began < seconds:
        sent += _second(up, chance, rate, sent)
        if now - began > seconds / 2 and now - sampled >= SAMPLE_SECONDS:
            sampled = now
            for name, megabytes in _sample(up, store).items():
                samples.setdefault(name, []).append(megabytes)
        time.sleep(max(0.0, 1.0 - (time.monotonic() - now)))
    store.close()
    return samples, sent


def _second(up: dict[str, Any], chance: random.Random, rate: int, first: int) -> int:
    """About a second's mail: half of it in batches."""
    mail = [message(first + n, chance.choice(SIZES)) for n in range(rate)]
    half = rate // 2
    requests = [request(up["http"], "/v1/messages", up["key"], each) for each in mail[:half]]
    body = {"messages": mail[half:]}
    requests.append(request(up["http"], "/v1/messages/batch", up["key"], body))
    load = Load(up["http"], requests, 4).run()
    assert load.refused == 0, load.statuses
    return rate


def _sample(up: dict[str, Any], store: Any) -> dict[str, float]:
    """Megabytes by process, and what the store counts itself: its allocator keeps what it had."""
    found = {"store, used memory": store.info("memory")["used_memory"] / 2**20}
    for role, pids in up["pids"].items():
        if role in ("supervisor", "redis"):
            continue
        for number, pid in enumerate(pids, start=1):
            found[f"{role} {number}"] = resident_megabytes(pid)
    found["supervisor"] = _own_megabytes(up["pids"]["supervisor"][0])
    return found


def _own_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _judge(samples: Samples) -> int:
    """Print what has grown; the exit code."""
    code = 0
    for name, values in sorted(samples.items()):
        part = max(1, len(values) * 2 // 5)  # The samples begin at the middle.
        before, after = statistics.median(values[:part]), statistics.median(values[-part:])
        growth = after / before - 1
        wrong = growth > MOST_GROWTH
        code |= wrong
        print(f"  {name:<20} {before:8.1f} MB {after:8.1f} MB {growth:+7.2%}{'  GROWS' * wrong}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
