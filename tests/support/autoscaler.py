"""The HorizontalPodAutoscaler's arithmetic, as Kubernetes documents it, without a cluster.

"Horizontal Pod Autoscaling" in the Kubernetes documentation, sections "Algorithm details" and
"Configurable scaling behavior": desired = ceil(metric / target) for an average value, nothing
within a tolerance of 10 %, the largest of several metrics, no step down while one is missing, a
stabilisation window in each direction, and policies that bound the change in a period.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.1
"""--horizontal-pod-autoscaler-tolerance of kube-controller-manager, where nothing else is set."""
SYNC_SECONDS = 15
"""--horizontal-pod-autoscaler-sync-period, likewise."""


def desired_by_average(metric: float, target: float, current: int) -> int:
    """Replicas for a metric with `target.type: AverageValue`."""
    if current and abs(1 - metric / (target * current)) <= TOLERANCE:
        return current
    return math.ceil(metric / target)


def desired_by_utilization(utilization: float, target: float, current: int) -> int:
    """Replicas for a resource with `target.type: Utilization`, all pods being ready."""
    if abs(1 - utilization / target) <= TOLERANCE:
        return current
    return math.ceil(current * utilization / target)


@dataclass
class Autoscaler:
    """One autoscaler; `behavior` is the very mapping of the manifest."""

    least: int
    most: int
    behavior: Mapping[str, Any]
    _wanted: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def step(self, now: float, current: int, wanted: Sequence[int | None]) -> int:
        """The number of replicas after one sync; None is a metric that could not be had."""
        known = [each for each in wanted if each is not None]
        if not known or (len(known) < len(wanted) and max(known) < current):
            return current
        stable = self._stabilize(now, current, max(known))
        result = min(max(self._limit(now, current, stable), self.least), self.most)
        if result != current:
            self._changes.append((now, result - current))
        return result

    def _stabilize(self, now: float, current: int, wanted: int) -> int:
        up, down = (
            [
                each
                for at, each in self._wanted
                if at > now - self.behavior[direction]["stabilizationWindowSeconds"]
            ]
            for direction in ("scaleUp", "scaleDown")
        )
        self._wanted.append((now, wanted))
        lowest, highest = min([*up, wanted]), max([*down, wanted])
        if current < lowest:
            return lowest
        return min(current, highest)

    def _limit(self, now: float, current: int, wanted: int) -> int:
        if wanted == current:
            return current
        rules = self.behavior["scaleUp" if wanted > current else "scaleDown"]
        select = rules.get("selectPolicy", "Max")
        if select == "Disabled":
            return current
        sign = 1 if wanted > current else -1
        bounds = [self._bound(policy, now, current, sign) for policy in rules["policies"]]
        widest = (select == "Max") == (sign > 0)
        bound = max(bounds) if widest else min(bounds)
        return min(wanted, max(bound, current)) if sign > 0 else max(wanted, min(bound, current))

    def _bound(self, policy: Mapping[str, Any], now: float, current: int, sign: int) -> int:
        began = current - sum(
            change for at, change in self._changes if at > now - policy["periodSeconds"]
        )
        if policy["type"] == "Pods":
            return int(began + sign * policy["value"])
        share: float = began * (1 + sign * policy["value"] / 100)
        return math.ceil(share) if sign > 0 else math.floor(share)
