"""Metric definitions, and the exporter of the spool's numbers.

The numbers come from the store, where they are committed with the state they count, so any process
may export them and they never disagree with the queue. A store that does not answer is
`posthaste_store_up 0`, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.errors import StoreError
from shared.store.ports import Depth, Health, Spool

_COUNTERS = {
    "crashes": "Leases that ran out after their delivery had started.",
    "late_delivered": "Deliveries that counted although their lease had run out.",
    "late_refused": "Deliveries reported while a newer claim held the leg.",
    "events_trimmed": "Events dropped because no recorder reads the stream.",
    "tickets_minted": "Tickets sent to workers.",
    "relay_troubles": "Times that a next hop could not be used; its mail waited.",
    "unsigned": "Attempts to send without DKIM: no key fits the From domain.",
    "without_tls": "Attempts to send in plain text because opportunistic TLS did not work.",
}


def registry(spool: Spool) -> CollectorRegistry:
    """A registry with the spool's exporter."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_SpoolCollector(spool))
    return found


class _SpoolCollector(Collector):
    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def collect(self) -> Iterator[Metric]:
        """Every metric of the spool, as of now."""
        build = InfoMetricFamily("posthaste_build", "The release that runs.")
        build.add_metric([], {"version": version("posthaste")})
        yield build
        up = GaugeMetricFamily("posthaste_store_up", "1 when the store answers, else 0.")
        try:
            depth, health = self._spool.depth(), self._spool.health()
        except StoreError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from _recipients(depth)
        yield from _legs(depth)
        yield from _store(depth, health)


def _recipients(depth: Depth) -> Iterator[Metric]:
    accepted = CounterMetricFamily(
        "posthaste_recipients_accepted", "Recipients accepted.", labels=["class"]
    )
    states = GaugeMetricFamily(
        "posthaste_recipients", "Recipients by status, final ones since ever.",
        labels=["class", "status"],
    )  # fmt: skip
    difference = GaugeMetricFamily(
        "posthaste_reconciliation",
        "Recipients accepted minus the sum over all statuses; 0, or mail is unaccounted for.",
        labels=["class"],
    )
    for name, total in depth.accepted.items():
        accepted.add_metric([name], total)
        for status, count in depth.by_status[name].items():
            states.add_metric([name, status], count)
        difference.add_metric([name], total - sum(depth.by_status[name].values()))
    yield accepted
    yield states
    yield difference


def _legs(depth: Depth) -> Iterator[Metric]:
    for name, text, values in (
        ("ready_legs", "Legs that may be claimed.", depth.ready_legs),
        ("deferred_legs", "Legs that wait for a time.", depth.deferred_legs),
        ("leased_legs", "Legs in the hands of workers.", depth.leased_legs),
    ):
        family = GaugeMetricFamily(f"posthaste_{name}", text, labels=["class"])
        for label, count in values.items():
            family.add_metric([label], count)
        yield family
    oldest = GaugeMetricFamily(
        "posthaste_oldest_ready_seconds", "Age of the oldest ready message.", labels=["class"]
    )
    for label, age_ms in depth.oldest_ready_ms.items():
        oldest.add_metric([label], age_ms / 1000)
    yield oldest


def _store(depth: Depth, health: Health) -> Iterator[Metric]:
    for name, text in _COUNTERS.items():
        yield CounterMetricFamily(f"posthaste_{name}", text, value=depth.counters.get(name, 0))
    for name, text, value in (
        ("live_workers", "Worker processes seen in the last 3 seconds.", depth.live_workers),
        ("events_length", "Events in the stream.", depth.events_length),
        ("dead_letters", "Legs that are dead letters.", depth.dead_legs),
        ("held_as_uncertain", "Legs held because nobody knows the outcome.", depth.held_legs),
        ("suspended_hops", "Next hops that an operator has suspended.", depth.suspended_hops),
        ("troubled_hops", "Next hops that could not be used lately.", depth.troubled_hops),
        ("finished_messages", "Finished messages still known.", depth.finished_messages),
        ("store_used_memory_bytes", "Memory in use.", health.used_memory_bytes),
        ("store_max_memory_bytes", "Memory limit; 0: none.", health.max_memory_bytes),
        ("store_aof_bytes", "Size of the append-only file.", health.aof_bytes),
        ("accepting", "1 when mail is accepted, else 0.", 0 if health.reasons else 1),
    ):
        yield GaugeMetricFamily(f"posthaste_{name}", text, value=value)
    if health.disk_free_bytes is not None:
        yield GaugeMetricFamily(
            "posthaste_store_disk_free_bytes", "Free disk.", value=health.disk_free_bytes
        )
