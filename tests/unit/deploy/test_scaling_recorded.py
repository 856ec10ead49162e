"""The model of the fleet against a burst that was recorded, and the autoscaler on that burst.

`recorded_burst.csv` says how it was recorded: one worker, five times the usual mail for 40 s. The
numbers of production/scaling.yaml are taken as they are, but for the threshold: it is what that
worker did.
"""

from __future__ import annotations

import csv
import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.autoscaler import desired_by_average
from tests.support.fleet import Fleet, Second, Signal, rate
from tests.support.kubernetes import DIRECTORY
from tests.support.record_burst import (
    BURST,
    BURST_SECONDS,
    COLUMNS,
    EVERY_SECONDS,
    SECONDS,
    USUAL,
)

INTERVALS = {"worker": 15, "exporter": 5}


@cache
def _rows() -> list[dict[str, float]]:
    text = (Path(__file__).parent / "recorded_burst.csv").read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in text if not line.startswith("#"))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def _arrivals() -> list[float]:
    """Legs a second, as they were counted."""
    return [
        (after["accepted"] - before["accepted"]) / EVERY_SECONDS
        for before, after in pairwise(_rows())
        for _ in range(EVERY_SECONDS)
    ]


def _worker_rate() -> float:
    """What the worker delivered a second while it was all that lacked."""
    busy = [row for row in _rows() if BURST_SECONDS.start + 10 <= row["second"] < 100]
    return (busy[-1]["transactions"] - busy[0]["transactions"]) / (
        busy[-1]["second"] - busy[0]["second"]
    )


def _scaled(least: int, most: int) -> dict[str, Any]:
    """The ScaledObject for workers of that size."""
    found: dict[str, Any] = yaml.safe_load(
        (DIRECTORY / "production" / "scaling.yaml").read_text("utf-8")
    )
    found["spec"] |= {"minReplicaCount": least, "maxReplicaCount": most}
    for trigger in found["spec"]["triggers"]:
        metadata = trigger["metadata"]
        new = f"{_worker_rate():.1f}"
        metadata["query"] = metadata["query"].replace(
            f"{metadata['threshold']} * max(", f"{new} * max("
        )
        metadata["threshold"] = new
    return found


def _play(least: int, most: int, after: int = 0) -> list[Second]:
    fleet = Fleet(_scaled(least, most), INTERVALS, _worker_rate())
    return fleet.run([*_arrivals(), *[float(USUAL)] * after])


def test_the_record_is_what_it_says() -> None:
    rows = _rows()
    assert set(rows[0]) == {"second", *COLUMNS}
    assert [row["second"] for row in rows] == list(range(0, SECONDS + 1, EVERY_SECONDS))
    assert {row["live"] for row in rows} == {1}
    arrivals = _arrivals()
    assert sum(arrivals[: BURST_SECONDS.start]) / BURST_SECONDS.start == pytest.approx(
        USUAL, rel=0.2
    )
    burst = arrivals[BURST_SECONDS.start + 5 : BURST_SECONDS.stop]
    assert sum(burst) / len(burst) == pytest.approx(BURST, rel=0.05)


def test_the_model_does_what_the_real_one_did() -> None:
    """One worker, as recorded: depth and age follow the record within some seconds' work."""
    told = _play(1, 1)
    for row in _rows()[1:]:
        second = told[int(row["second"]) - 1]
        assert abs(second.backlog - row["ready"]) < 3 * _worker_rate(), row
        assert abs(second.oldest - row["oldest"]) < 5, row
    assert max(each.oldest for each in told) == pytest.approx(
        max(row["oldest"] for row in _rows()), rel=0.1
    )


def test_the_record_itself_asks_for_more_workers_once_and_does_not_flap() -> None:
    """The queries on what Prometheus would have had, while nobody came to help."""
    signal = Signal.of(_scaled(1, 12))
    wanted = []
    samples = [(row["second"], row["transactions"]) for row in _rows()]
    for row in _rows():
        flow = rate(samples, row["second"], signal.window_seconds)
        if flow is None:
            continue
        ages = {"transactional": row["oldest"]}
        answers = (signal.depth(flow, row["ready"]), signal.oldest(flow, row["live"], ages))
        wanted.append(max(desired_by_average(each, signal.per_worker, 1) for each in answers))
    ways = [b > a for a, b in pairwise(wanted) if a != b]
    assert ways == sorted(ways, reverse=True), f"up, and then down: {wanted}"
    assert max(wanted) == math.ceil(signal.busy + 1), "all that the flow of one worker shows"


def test_the_recorded_burst_gets_the_workers_it_needs() -> None:
    told = _play(2, 12, after=1800)
    signal = Signal.of(_scaled(2, 12))
    needed = math.ceil(BURST / _worker_rate())
    most = max(each.replicas for each in told)
    assert needed <= most <= math.ceil(signal.busy * BURST / _worker_rate())
    assert told[-1].replicas == 2
    steps = [b.replicas - a.replicas for a, b in pairwise(told) if a.replicas != b.replicas]
    assert [step > 0 for step in steps] == sorted((step > 0 for step in steps), reverse=True)
    alone = max(row["oldest"] for row in _rows())
    assert max(each.oldest for each in told) < alone / 2
