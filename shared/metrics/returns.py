"""What a process of the role `bounces` measures; written on its event loop only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from shared.metrics.build import BuildCollector
from shared.metrics.histogram import STAGE_BUCKETS, Histogram, HistogramsCollector


class ReturnMetrics:
    """Counts by fixed words, which are told from the start, with 0."""

    def __init__(
        self,
        kinds: Iterable[str],
        outcomes: Iterable[str],
        refusals: Iterable[str],
        reasons: Iterable[str],
    ) -> None:
        self.mail = {(kind, outcome): 0 for kind in kinds for outcome in outcomes}
        """Messages taken: (what a message is, what it came to)."""
        self.unmatched = dict.fromkeys(reasons, 0)
        """Messages kept for a look, by why."""
        self.bytes = 0
        """Of the messages taken."""
        self.seconds = Histogram(STAGE_BUCKETS)
        """From the final dot until what a message says is stored."""
        self.refused = dict.fromkeys(refusals, 0)
        """Recipients refused at RCPT."""
        self.sessions = 0
        """Open now."""
        self.sessions_opened = 0
        self.sessions_refused = 0
        self.store_errors = 0

    def registry(self) -> CollectorRegistry:
        """What a scrape of this process reads."""
        found = CollectorRegistry(auto_describe=False)
        found.register(BuildCollector())
        ProcessCollector(registry=found)
        PlatformCollector(registry=found)
        found.register(_Numbers(self))
        found.register(
            HistogramsCollector(
                "posthaste_returned_seconds", "What reading and storing one message took.", None,
                {"": self.seconds},
            )
        )  # fmt: skip
        return found


class _Numbers(Collector):
    def __init__(self, metrics: ReturnMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        mail = CounterMetricFamily(
            "posthaste_returned_mail",
            "Mail that came back, by what it is and what it came to.",
            labels=["kind", "outcome"],
        )
        for labels, count in list(metrics.mail.items()):
            mail.add_metric(labels, count)
        yield mail
        unmatched = CounterMetricFamily(
            "posthaste_returned_unmatched",
            "Mail that came back and is only kept for a look, by why.",
            labels=["reason"],
        )
        for reason, count in list(metrics.unmatched.items()):
            unmatched.add_metric([reason], count)
        yield unmatched
        refused = CounterMetricFamily(
            "posthaste_returned_recipients_refused",
            "Recipients that the server for bounces refused, by why.",
            labels=["reason"],
        )
        for reason, count in list(metrics.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        totals: tuple[tuple[str, str, Callable[[], int]], ...] = (
            ("sessions_opened", "Sessions taken by it.", lambda: metrics.sessions_opened),
            (
                "sessions_refused", "Sessions for which it had no place.",
                lambda: metrics.sessions_refused,
            ),
            (
                "bytes", "Bytes of the mail that came back.", lambda: metrics.bytes,
            ),
            (
                "store_errors", "Mail that came back and could not be stored.",
                lambda: metrics.store_errors,
            ),
        )  # fmt: skip
        for name, text, value in totals:
            yield CounterMetricFamily(f"posthaste_returned_{name}", text, value=value())
        yield GaugeMetricFamily(
            "posthaste_returned_sessions", "Sessions open now.", value=metrics.sessions
        )
