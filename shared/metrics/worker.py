"""What one worker process measures; written on its event loop only, so without locks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
Lookup = Literal["found", "none", "no_such_name", "failed", "unanswered"]
"""What DNS said: records, none of that kind, no such name, that it cannot tell (SERVFAIL, REFUSED),
or nothing."""


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
        self.dns = Histogram(STAGE_BUCKETS)
        """Questions to DNS; what is remembered is not asked."""
        self.lookups = dict.fromkeys(get_args(Lookup), 0)
        self.policies: Callable[[], tuple[int, int]] = lambda: (0, 0)
        """Domains whose MTA-STS policy is kept, and whose could not be fetched; for any thread."""
        self.throttled: dict[str, int] = {}
        """Rule of shaping -> replies that matched it. Names are those of shaping.toml."""
        self.suppressions_withheld = 0
        """Recipients called dead by a server that says so of nearly all: `workers.brake`."""
        self.store_errors = dict.fromkeys(get_args(Operation), 0)

    def has_rules(self, names: Iterable[str]) -> None:
        """These can match: each is told from the start, or its first reply would be no increase."""
        for name in names:
            self.throttled.setdefault(name, 0)

    def asked_for_less(self, rule: str) -> None:
        """A reply has matched a rule."""
        self.throttled[rule] = self.throttled.get(rule, 0) + 1

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
        yield "dns_lookup", "What DNS took to answer, or not to.", None, {"": self.dns}

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
            (
                "suppressions_withheld",
                "Recipients not suppressed, because their server calls nearly everybody dead.",
                metrics.suppressions_withheld,
            ),
        ):
            yield CounterMetricFamily(f"posthaste_{name}", text, value=value)
        for name, text, label, counts in (
            (
                "store_errors", "Requests that the store did not answer, or refused.", "operation",
                metrics.store_errors,
            ),
            (
                "dns_lookups", "Questions of direct delivery to DNS, by what it said.", "outcome",
                metrics.lookups,
            ),
            (
                "throttling_replies",
                "Transactions whose replies asked for less, by the rule of shaping.toml.", "rule",
                metrics.throttled,
            ),
        ):  # fmt: skip
            family = CounterMetricFamily(f"posthaste_{name}", text, labels=[label])
            for value, number in list(counts.items()):
                family.add_metric([value], number)
            yield family
        kept, failing = metrics.policies()
        for name, text, value in (
            ("policies_kept", "Domains whose MTA-STS policy is known.", kept),
            (
                "policies_failing",
                "Domains whose MTA-STS policy was there and could not be fetched, minutes ago.",
                failing,
            ),
        ):  # fmt: skip
            yield GaugeMetricFamily(f"posthaste_{name}", text, value=value)
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(f"posthaste_{name}", text, value=value)
