"""The numbers of production/scaling.yaml, played against an hour with a tenfold burst.

`burst.csv` says what the hour is like. The fleet, Prometheus, KEDA and the autoscaler are a model
(`tests/support/fleet.py`); every number of theirs that is ours is read from the manifests.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fleet import Fleet, Second, Signal
from tests.support.kubernetes import DIRECTORY

PRODUCTION = DIRECTORY / "production"
BURST = range(600, 1260)
"""Seconds in which ten times the usual mail comes; at full height from 660 on."""
PEAK = 2000.0


@cache
def _scaled_object() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PRODUCTION / "scaling.yaml").read_text("utf-8"))
    return found


@cache
def _intervals() -> dict[str, int]:
    monitors = yaml.safe_load_all((PRODUCTION / "monitors.yaml").read_text("utf-8"))
    return {
        each["metadata"]["name"].removeprefix("posthaste-"): int(
            each["spec"]["podMetricsEndpoints"][0]["interval"].removesuffix("s")
        )
        for each in monitors
    }


@cache
def _arrivals() -> tuple[float, ...]:
    text = (Path(__file__).parent / "burst.csv").read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in text if not line.startswith("#"))
    return tuple(float(row["arrivals"]) for row in rows for _ in range(10))


def _play(
    worker_rate: float,
    relay_rate: Callable[[int], float] = lambda second: math.inf,
    exporter_up: Callable[[int], bool] = lambda second: True,
) -> list[Second]:
    fleet = Fleet(_scaled_object(), _intervals(), worker_rate, relay_rate, exporter_up)
    return fleet.run(_arrivals())


SIGNAL = Signal.of(_scaled_object())
MOST = _scaled_object()["spec"]["maxReplicaCount"]


def _turns(told: Sequence[Second]) -> int:
    """How often the number of replicas went the other way than before."""
    steps = [b.replicas - a.replicas for a, b in pairwise(told)]
    ways = [step > 0 for step in steps if step]
    return sum(a != b for a, b in pairwise(ways))


def _overdue(told: Sequence[Second]) -> list[int]:
    return [each.at for each in told if each.oldest > SIGNAL.overdue_seconds["transactional"]]


def test_the_burst_is_what_it_says() -> None:
    arrivals = _arrivals()
    assert len(arrivals) == 3600
    usual = sum(arrivals[:600]) / 600
    height = sum(arrivals[700:1260]) / 560
    assert 9 < height / usual < 11
    assert height == pytest.approx(PEAK, rel=0.05)


def test_the_burst_gets_the_workers_it_needs_and_no_more() -> None:
    told = _play(SIGNAL.per_worker)
    needed = math.ceil(PEAK / SIGNAL.per_worker)
    wanted = math.ceil(SIGNAL.busy * PEAK / SIGNAL.per_worker)
    assert needed <= told[BURST.start + 120].replicas
    settled = {each.replicas for each in told[960:1260]}
    assert settled <= set(range(wanted - 1, wanted + 3))
    # Before and after: what 200 a second need, and the least.
    assert {each.replicas for each in told[:600]} == {2}
    assert told[-1].replicas <= 3


def test_the_backlog_of_the_burst_is_gone_within_four_minutes() -> None:
    told = _play(SIGNAL.per_worker)
    late = _overdue(told)
    assert late
    assert late[-1] < BURST.start + 240
    assert max(each.oldest for each in told) < 60


@pytest.mark.parametrize("share", [0.6, 0.8, 1.0, 1.5, 2.0, 3.3])
def test_it_does_not_flap_whatever_a_worker_really_does(share: float) -> None:
    """Up for the burst, down, up for the echo, and down: three turns."""
    told = _play(share * SIGNAL.per_worker)
    assert _turns(told) <= 3
    assert max(each.replicas for each in told) >= min(MOST, math.ceil(SIGNAL.busy * 6))
    assert not [at for at in _overdue(told) if at > 1900]  # 0.6 of it: all 12 hardly suffice.


def test_a_flat_day_changes_nothing() -> None:
    fleet = Fleet(_scaled_object(), _intervals(), SIGNAL.per_worker)
    assert {each.replicas for each in fleet.run(_arrivals()[:600] * 6)} == {2}


@pytest.mark.parametrize("limit", [300, 500, 900])
@pytest.mark.parametrize("share", [1.0, 2.0])
def test_a_relay_at_its_limit_does_not_draw_all_workers(limit: int, share: float) -> None:
    told = _play(share * SIGNAL.per_worker, relay_rate=lambda second: limit)
    most = max(each.replicas for each in told)
    assert most <= math.ceil((SIGNAL.busy + 1) * limit / SIGNAL.per_worker) < MOST
    assert _turns(told) <= 3
    # Depth alone would have taken every worker there is, to no end.
    worst = max(each.backlog for each in told)
    assert worst / SIGNAL.drain_seconds / SIGNAL.per_worker > MOST


def test_a_relay_that_gets_slow_sends_no_worker_home_while_mail_is_overdue() -> None:
    told = _play(SIGNAL.per_worker, relay_rate=lambda s: 200 if 900 <= s < 2000 else math.inf)
    slow = {each.replicas for each in told[960:2000]}
    assert len(slow) == 1
    assert not [at for at in _overdue(told) if at > 2600]


def test_workers_far_below_the_threshold_look_like_a_limited_relay() -> None:
    """The price of that, which README.md tells: the threshold must not be too high."""
    told = _play(0.35 * SIGNAL.per_worker)
    assert {each.replicas for each in told} == {2}
    assert 1 / (SIGNAL.busy + 1) == pytest.approx(0.42, abs=0.01)
    assert "0.42" in (DIRECTORY / "README.md").read_text("utf-8")


@pytest.mark.parametrize("gone", [range(100, 300), range(660, 780), range(1100, 1300)])
def test_without_an_exporter_no_worker_goes(gone: range) -> None:
    told = _play(SIGNAL.per_worker, exporter_up=lambda second: second not in gone)
    numbers = [told[second].replicas for second in gone]
    assert numbers == sorted(numbers)
    assert numbers[-1] >= _scaled_object()["spec"]["fallback"]["replicas"]
    assert _turns(told) <= 3
    assert not [at for at in _overdue(told) if at > 1000]


def test_an_exporter_that_is_missed_now_and_then_changes_little() -> None:
    told = _play(SIGNAL.per_worker, exporter_up=lambda second: second % 60 > 20)
    assert _turns(told) <= 3
    assert _overdue(told)[-1] < BURST.start + 240
