"""The autoscaler's arithmetic gives what Kubernetes's documentation says it does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.support.autoscaler import Autoscaler, desired_by_average, desired_by_utilization
from tests.support.fleet import rate


def _rules(window: int, *policies: tuple[str, int, int], select: str = "Max") -> dict[str, Any]:
    return {
        "stabilizationWindowSeconds": window,
        "selectPolicy": select,
        "policies": [
            {"type": kind, "value": value, "periodSeconds": period}
            for kind, value, period in policies
        ],
    }


FREE = _rules(0, ("Percent", 1000, 15), ("Pods", 1000, 15))


def test_twice_the_metric_is_twice_the_replicas() -> None:
    assert desired_by_utilization(200, 100, 3) == 6
    assert desired_by_utilization(50, 100, 3) == 2
    assert desired_by_average(600, 100, 3) == 6


def test_within_a_tenth_nothing_changes() -> None:
    assert desired_by_utilization(109, 100, 10) == 10
    assert desired_by_average(1_090, 100, 10) == 10
    assert desired_by_average(1_110, 100, 10) == 12
    assert desired_by_average(890, 100, 10) == 9


def test_the_documented_steps_down_from_80() -> None:
    """10 % a minute, or 4 pods, whichever is more: 80, 72, 64 (10 % of 72 are 7.2, hence 8), ...
    and from 40 on by 4."""
    scaler = Autoscaler(
        10, 100, {"scaleUp": FREE, "scaleDown": _rules(0, ("Pods", 4, 60), ("Percent", 10, 60))}
    )
    current, seen = 80, []
    for minute in range(20):
        current = scaler.step(minute * 60.0, current, [10])
        seen.append(current)
    assert seen[:3] == [72, 64, 57]
    steps = [before - after for before, after in pairwise(seen[6:]) if after > 10]
    assert set(steps) == {4}
    assert seen[-1] == 10


def test_a_policys_period_counts_what_was_done_in_it() -> None:
    scaler = Autoscaler(1, 100, {"scaleUp": _rules(0, ("Pods", 2, 60)), "scaleDown": FREE})
    assert scaler.step(0, 4, [50]) == 6
    assert scaler.step(15, 6, [50]) == 6
    assert scaler.step(60, 6, [50]) == 8


def test_min_of_policies_and_disabled() -> None:
    up = _rules(0, ("Pods", 2, 60), ("Percent", 100, 60), select="Min")
    scaler = Autoscaler(1, 100, {"scaleUp": up, "scaleDown": _rules(0, select="Disabled")})
    assert scaler.step(0, 10, [50]) == 12
    assert scaler.step(15, 12, [1]) == 12


def test_the_window_keeps_the_largest_on_the_way_down_and_the_smallest_on_the_way_up() -> None:
    down = Autoscaler(1, 100, {"scaleUp": FREE, "scaleDown": FREE | {
        "stabilizationWindowSeconds": 300}})  # fmt: skip
    assert [down.step(at, 8, [8 if at == 0 else 2]) for at in (0, 150, 299)] == [8, 8, 8]
    assert down.step(301, 8, [2]) == 2
    up = Autoscaler(1, 100, {"scaleDown": FREE, "scaleUp": FREE | {
        "stabilizationWindowSeconds": 60}})  # fmt: skip
    assert [up.step(at, 2, [2 if at == 0 else 8]) for at in (0, 30, 59)] == [2, 2, 2]
    assert up.step(61, 2, [8]) == 8


def test_a_missing_metric_forbids_the_way_down_only() -> None:
    scaler = Autoscaler(1, 100, {"scaleUp": FREE, "scaleDown": FREE})
    assert scaler.step(0, 5, [2, None]) == 5
    assert scaler.step(15, 5, [8, None]) == 8
    assert scaler.step(30, 8, [None, None]) == 8


def test_limits_hold() -> None:
    scaler = Autoscaler(2, 12, {"scaleUp": FREE, "scaleDown": FREE})
    assert scaler.step(0, 5, [99]) == 12
    assert scaler.step(15, 12, [0]) == 2


def test_rate_is_prometheuss() -> None:
    steady = [(float(at), 100.0 * at) for at in range(0, 121, 15)]
    assert rate(steady, 120, 60) == 100.0
    assert rate(steady[:1], 120, 600) is None
    # A counter that began a moment ago is not stretched over time when it was not there.
    young = rate([(90.0, 0.0), (105.0, 1500.0)], 106, 60)
    assert young is not None
    assert 25 <= young <= 30
