"""Our histogram tells what the library's would."""

from __future__ import annotations

import random

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest

from shared.metrics.histogram import DELIVERY_BUCKETS, Histogram, HistogramsCollector
from shared.metrics.worker import WorkerMetrics
from tests.support.system import samples_in


def test_it_counts_as_the_library_does() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    library = prometheus_client.Histogram(
        "a_seconds", "x", ["class"], buckets=DELIVERY_BUCKETS, registry=theirs
    )
    histograms = {"bulk": Histogram(DELIVERY_BUCKETS), "critical": Histogram(DELIVERY_BUCKETS)}
    ours.register(HistogramsCollector("a_seconds", "x", "class", histograms))
    chance = random.Random(1)
    samples = [0.0, 0.01, 3600.0, 1e9, *(chance.expovariate(0.1) for _ in range(500))]
    for name, histogram in histograms.items():
        for seconds in samples:
            library.labels(name).observe(seconds)
            histogram.observe(seconds)
    expected = samples_in(generate_latest(theirs).decode())
    found = samples_in(generate_latest(ours).decode())
    assert found == {name: value for name, value in expected.items() if "_created" not in name}


def test_a_worker_s_page_has_every_stage_and_class_from_the_start() -> None:
    metrics = WorkerMetrics()
    page = generate_latest(metrics.registry(lambda: {"legs_in_hand": ("Legs.", 3)})).decode()
    samples = samples_in(page)
    for stage in ("claim", "wait", "render", "sign", "transmit", "settle"):
        assert samples[f'posthaste_stage_seconds_count{{stage="{stage}"}}'] == 0
    for name in ("critical", "transactional", "bulk"):
        assert samples[f'posthaste_delivery_seconds_bucket{{class="{name}",le="+Inf"}}'] == 0
    assert samples["posthaste_legs_in_hand"] == 3
    assert samples["posthaste_tls_handshake_seconds_count"] == 0
    assert samples['posthaste_store_errors_total{operation="settle"}'] == 0
    for outcome in ("found", "none", "no_such_name", "failed", "unanswered"):
        assert samples[f'posthaste_dns_lookups_total{{outcome="{outcome}"}}'] == 0
    assert samples["posthaste_policies_failing"] == 0
    assert samples["posthaste_suppressions_withheld_total"] == 0


def test_replies_that_asked_for_less_are_counted_by_rule() -> None:
    metrics = WorkerMetrics()
    for rule in ("rate-limited", "google-busy", "rate-limited"):
        metrics.asked_for_less(rule)
    metrics.has_rules(["rate-limited", "yahoo-deferred"])
    metrics.policies = lambda: (4, 1)
    samples = samples_in(generate_latest(metrics.registry(dict)).decode())
    assert samples['posthaste_throttling_replies_total{rule="rate-limited"}'] == 2
    assert samples['posthaste_throttling_replies_total{rule="yahoo-deferred"}'] == 0
    assert samples["posthaste_policies_kept"] == 4
    assert samples["posthaste_policies_failing"] == 1
