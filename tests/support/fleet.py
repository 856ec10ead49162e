"""A fleet of workers, its queue, Prometheus and KEDA, second by second: what the autoscaler sees.

Takes the ScaledObject and the PodMonitors as they are in the manifests; knows how the two queries
are put together, and reads every number in them from their text. `test_scaling_queries.py` proves
with Prometheus itself that they are put together so.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.autoscaler import SYNC_SECONDS, Autoscaler, desired_by_average

START_SECONDS = 20
"""From a pod's creation to its first leg: image there, scheduled, started, ready."""


@dataclass(frozen=True)
class Signal:
    """The numbers in the two queries of the ScaledObject."""

    busy: float
    """Workers wanted for each that the flow keeps busy."""
    drain_seconds: float
    growth: float
    overdue_seconds: Mapping[str, float]
    per_worker: float
    """The threshold: what one worker surely delivers a second."""
    window_seconds: float

    @classmethod
    def of(cls, scaled_object: Mapping[str, Any]) -> Signal:
        """Read them; anything that is not where it should be raises."""
        triggers = {each["name"]: each["metadata"] for each in scaled_object["spec"]["triggers"]}
        depth, oldest = triggers["depth"]["query"], triggers["oldest"]["query"]
        thresholds = {float(each["threshold"]) for each in triggers.values()}
        thresholds.add(float(_number(r"([\d.]+) \* max\(posthaste_live_workers", oldest)))
        windows = set(re.findall(r"\[(\d+)m\]", depth + oldest))
        (per_worker,), (minutes,) = thresholds, windows
        ages = re.findall(r'class="(\w+)"\}\) / ([\d.]+)', oldest)
        return cls(
            busy=float(_number(r"^([\d.]+) \* sum\(rate", depth)),
            drain_seconds=float(_number(r"\) / ([\d.]+),", depth)),
            growth=float(_number(r"([\d.]+) \* sum\(rate", oldest)),
            overdue_seconds={name: float(seconds) for name, seconds in ages},
            per_worker=per_worker,
            window_seconds=60 * float(minutes),
        )

    def depth(self, flow: float, workable: float) -> float:
        """The answer of the query `depth`, in legs a second."""
        return self.busy * flow + min(workable / self.drain_seconds, flow)

    def oldest(self, flow: float, live: float, ages: Mapping[str, float]) -> float:
        """The answer of the query `oldest`."""
        overdue = max(seconds / self.overdue_seconds[name] for name, seconds in ages.items()) > 1
        return max(self.growth * flow, self.per_worker * live) if overdue else 0.0


def _number(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"the query has no {pattern}")
    return found[1]


def rate(samples: Sequence[tuple[float, float]], now: float, window: float) -> float | None:
    """Prometheus's rate() of a counter that was not reset; None with fewer than two samples."""
    inside = [each for each in samples if now - window < each[0] <= now]
    if len(inside) < 2:
        return None
    (first, low), (last, high) = inside[0], inside[-1]
    sampled, increase = last - first, high - low
    between = sampled / (len(inside) - 1)
    before, after = first - (now - window), now - last
    before = between / 2 if before >= 1.1 * between else before
    after = between / 2 if after >= 1.1 * between else after
    if increase > 0:
        before = min(before, sampled * low / increase)
    return increase * (sampled + before + after) / sampled / window


@dataclass
class _Pod:
    ready_at: float
    sent: float = 0.0
    samples: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=20))


@dataclass(frozen=True)
class Second:
    """What is so at the end of a second."""

    at: int
    replicas: int
    ready: int
    backlog: float
    oldest: float


@dataclass
class Fleet:
    """Everything that one run needs."""

    scaled_object: Mapping[str, Any]
    intervals: Mapping[str, int]
    """Seconds between scrapes of `worker` and `exporter`, as in the PodMonitors."""
    worker_rate: float
    relay_rate: Callable[[int], float] = lambda second: math.inf
    """What the relay takes, of all workers together."""
    exporter_up: Callable[[int], bool] = lambda second: True

    def run(self, arrivals: Sequence[float]) -> list[Second]:
        """One entry for each second of `arrivals` (legs that become ready in it)."""
        return list(_Run(self).seconds(arrivals))


class _Run:
    def __init__(self, fleet: Fleet) -> None:
        spec = fleet.scaled_object["spec"]
        self._fleet, self._spec = fleet, spec
        self._signal = Signal.of(fleet.scaled_object)
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        self._scaler = Autoscaler(spec["minReplicaCount"], spec["maxReplicaCount"], behavior)
        self._pods = [_Pod(0.0) for _ in range(spec["minReplicaCount"])]
        self._gone: list[_Pod] = []
        self._waiting: deque[list[float]] = deque()
        self._backlog = 0.0
        self._exported: tuple[float, float, int] | None = None
        self._errors = {"depth": 0, "oldest": 0}

    def seconds(self, arrivals: Sequence[float]) -> Sequence[Second]:
        told = []
        for now, arriving in enumerate(arrivals):
            self._waiting.append([now, arriving])
            self._backlog += arriving
            ready = [pod for pod in self._pods if pod.ready_at <= now]
            self._deliver(now, ready)
            self._scrape(now, len(ready))
            if now % SYNC_SECONDS == SYNC_SECONDS - 1:
                self._scale(now)
            told.append(Second(now, len(self._pods), len(ready), self._backlog, self._age(now)))
        return told

    def _deliver(self, now: int, ready: Sequence[_Pod]) -> None:
        can = min(len(ready) * self._fleet.worker_rate, self._fleet.relay_rate(now))
        left = can
        while self._waiting and left > 0:
            taken = min(left, self._waiting[0][1])
            self._waiting[0][1] -= taken
            left -= taken
            if self._waiting[0][1] <= 0:
                self._waiting.popleft()
        self._backlog -= can - left
        for pod in ready:
            pod.sent += (can - left) / len(ready)

    def _scrape(self, now: int, live: int) -> None:
        if now % self._fleet.intervals["worker"] == 0:
            for pod in self._pods:
                if pod.ready_at <= now:
                    pod.samples.append((now, pod.sent))
        if not self._fleet.exporter_up(now):
            self._exported = None  # A target that is gone has no stale answers.
        elif now % self._fleet.intervals["exporter"] == 0:
            self._exported = (self._backlog, self._age(now), live)

    def _answers(self, now: int) -> dict[str, float | None]:
        """What Prometheus says to each trigger; None is an empty answer."""
        rates = [
            rate(pod.samples, now, self._signal.window_seconds) for pod in self._pods + self._gone
        ]
        known = [each for each in rates if each is not None]
        if not known or self._exported is None:
            return {"depth": None, "oldest": None}
        flow, (backlog, oldest, live) = sum(known), self._exported
        return {
            "depth": self._signal.depth(flow, backlog),
            "oldest": self._signal.oldest(flow, live, {"transactional": oldest}),
        }

    def _scale(self, now: int) -> None:
        wanted: list[int | None] = []
        current, fallback = len(self._pods), self._spec["fallback"]
        for name, answer in self._answers(now).items():
            self._errors[name] = 0 if answer is not None else self._errors[name] + 1
            if answer is not None:
                wanted.append(desired_by_average(answer, self._signal.per_worker, current))
            elif self._errors[name] > fallback["failureThreshold"]:
                wanted.append(max(fallback["replicas"], current))  # currentReplicasIfHigher
            else:
                wanted.append(None)
        after = self._scaler.step(now, current, wanted)
        self._pods += [_Pod(now + START_SECONDS) for _ in range(after - current)]
        self._gone += self._pods[after:]
        del self._pods[after:]

    def _age(self, now: int) -> float:
        return now - self._waiting[0][0] if self._waiting else 0.0
