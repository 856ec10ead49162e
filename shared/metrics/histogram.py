"""A histogram for the hot path of one thread: the library's costs ten times as much a sample.

Written on one thread only, read by any: a scrape may miss a sample that is being counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from math import inf

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

DELIVERY_BUCKETS = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip
"""Seconds from accept on: a password reset is due within ten."""
STAGE_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
)  # fmt: skip
"""Seconds of one stage: signing takes a quarter of a millisecond, a slow server minutes."""


class Histogram:
    """Counts of samples by upper bound, in seconds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one sample."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """(upper bound, samples up to it) for each bound, `+Inf` the last; and the sum."""
        counts, total = list(self._counts), 0
        found: list[tuple[str, float]] = []
        for bound, count in zip((*self._bounds, inf), counts, strict=True):
            total += count
            found.append(("+Inf" if bound == inf else str(bound), total))
        return found, self._sum


class HistogramsCollector(Collector):
    """One metric: a histogram for each value of a label, or one without a label."""

    def __init__(
        self, name: str, text: str, label: str | None, histograms: Mapping[str, Histogram]
    ) -> None:
        self._name = name
        self._text = text
        self._labels = [label] if label else []
        self._histograms = histograms

    def collect(self) -> Iterator[Metric]:
        """The metric, as of now."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for value, histogram in self._histograms.items():
            buckets, total = histogram.cumulative()
            family.add_metric([value] if self._labels else [], buckets, total)
        yield family
