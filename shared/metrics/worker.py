"""What one worker process measures; written on its event loop only, so without locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from shared.metrics.build import BuildCollector
from shared.metrics.histogram import (
    DELIVERY_BUCKETS,
    STAGE_BUCKETS,
    Histogram,
    HistogramsCollector,
)
from shared.model.message import CLASSES

StageName = Literal["claim", "wait", "render", "sign", "transmit", "settle"]
Operation = Literal["claim", "start", "settle", "renew", "pump", "session"]


class WorkerMetrics:
    """Written by the stages; `registry` is what a scrape reads."""

    def __init__(self) -> None:
        self.first_attempt = {name: Histogram(DELIVERY_BUCKETS) for name in CLASSES}
        """Seconds from accept, or from `send_at`, to the start of the first attempt."""
        self.delivery = {name: Histogram(DELIVERY_BUCKETS) for name in CLASSES}
        """Seconds from accept, or from `send_at`, to the next hop's 250; one a recipient."""
        self.stage = {name: Histogram(STAGE_BUCKETS) for name in get_args(StageName)}
        self.handshake = Histogram(STAGE_BUCKETS)
        self.sessions_opened = 0
        self.sessions_refused = 0
        self.transactions = 0
        self.store_errors = dict.fromkeys(get_args(Operation), 0)

    def failed(self, operation: Operation) -> None:
        """The store did not answer, or refused."""
        self.store_errors[operation] += 1

    def _histograms(self) -> Iterator[tuple[str, str, str | None, Mapping[str, Histogram]]]:
        """Name, text, label, and the histograms by its value."""
        yield (
            "first_attempt", "From accept or send_at to the first attempt.", "class",
            {str(name): each for name, each in self.first_attempt.items()},
        )  # fmt: skip
        yield (
            "delivery", "From accept or send_at to the next hop's 250.", "class",
            {str(name): each for name, each in self.delivery.items()},
        )  # fmt: skip
        yield "stage", "Time in each stage of a delivery.", "stage", self.stage
        yield "tls_handshake", "TLS handshakes.", None, {"": self.handshake}

    def registry(self, gauges: Callable[[], dict[str, tuple[str, int]]]) -> CollectorRegistry:
        """What a scrape of this process reads; `gauges` gives name -> (text, value) as of now."""
        found = CollectorRegistry(auto_describe=False)
        found.register(BuildCollector())
        ProcessCollector(registry=found)
        PlatformCollector(registry=found)
        for name, text, label, histograms in self._histograms():
            found.register(
                HistogramsCollector(f"posthaste_{name}_seconds", text, label, histograms)
            )
        found.register(_Numbers(self, gauges))
        return found


class _Numbers(Collector):
    """Counters and gauges."""

    def __init__(
        self, metrics: WorkerMetrics, gauges: Callable[[], dict[str, tuple[str, int]]]
    ) -> None:
        self._metrics = metrics
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        for name, text, value in (
            ("smtp_sessions_opened", "Sessions set up.", metrics.sessions_opened),
            (
                "smtp_sessions_refused",
                "Times that a limit over all workers has put off a session.",
                metrics.sessions_refused,
            ),
            ("smtp_transactions", "Transactions begun.", metrics.transactions),
        ):
            yield CounterMetricFamily(f"posthaste_{name}", text, value=value)
        errors = CounterMetricFamily(
            "posthaste_store_errors", "Requests that the store did not answer, or refused.",
            labels=["operation"],
        )  # fmt: skip
        for operation, count in metrics.store_errors.items():
            errors.add_metric([operation], count)
        yield errors
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(f"posthaste_{name}", text, value=value)
