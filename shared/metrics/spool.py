"""The exporter's metrics: the spool, destinations, limits, what came back, and the store itself.

The numbers come from the store, where they are committed with the state they count, so they never
disagree with the queue, whichever process exports them. A store that does not answer is
`posthaste_store_up 0`, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.clock import Clock
from shared.errors import StoreError
from shared.metrics.destinations import destinations
from shared.metrics.feedback import Feedback
from shared.metrics.shaping import Provider, shaping
from shared.model.message import CLASSES
from shared.model.status import BY_LETTER
from shared.store.figures import Depth, Health
from shared.store.operations import Operations, Vitals
from shared.store.ports import Spool

REASONS = (
    "store_unreachable",
    "store_loading",
    "store_read_only",
    "store_write_error",
    "store_replicas",
    "store_memory",
    "store_disk",
    "events_backlog",
)
"""Why mail is refused: each is always there, with 0 or 1."""

_COUNTERS = {
    "crashes": "Leases that ran out after their delivery had started.",
    "late_delivered": "Deliveries that counted although their lease had run out.",
    "late_refused": "Deliveries reported while a newer claim held the leg, or after it was final.",
    "events_trimmed": "Events dropped because no recorder reads the stream.",
    "tickets_minted": "Tickets sent to workers.",
    "permits_refused": "Turns of a destination that its rate or concurrency cut short.",
    "relay_troubles": "Times that a next hop could not be used; its mail waited.",
    "slowed_down": "Times that replies halved what a destination is sent.",
    "unsigned": "Attempts to send without DKIM: no key fits the From domain.",
    "without_tls": "Attempts to send in plain text because opportunistic TLS did not work.",
}


class SpoolCollector(Collector):
    """Every number of the store, as of now."""

    def __init__(
        self,
        spool: Spool,
        operations: Operations,
        feedback: Feedback,
        clock: Clock,
        provider: Provider,
    ) -> None:
        self._provider = provider
        self._spool = spool
        self._operations = operations
        self._feedback = feedback
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Read and give all of it; half of it is never given."""
        up = GaugeMetricFamily("posthaste_store_up", "1 when the store answers, else 0.")
        try:
            depth, health = self._spool.depth(), self._spool.health()
            vitals, found = self._operations.vitals(), self._operations.destinations()
            limits = self._operations.limits()
            came_back = self._feedback.read()
        except StoreError:
            up.add_metric([], 0)
            yield up
            yield from _accepting(("store_unreachable",))
            return
        up.add_metric([], 1)
        yield up
        yield from _recipients(depth)
        yield from _attempts(depth)
        yield from _legs(depth)
        yield from _counts(depth)
        yield from destinations(found, self._clock.now_ms())
        yield from shaping(found, limits, self._provider)
        yield from self._feedback.metrics(came_back)
        yield from _accepting(health.reasons)
        yield from _memory(health)
        yield from _server(vitals)


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


def _attempts(depth: Depth) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "posthaste_attempts",
        "Recipients by what an attempt came to, and by what the reply was about.",
        labels=["class", "outcome", "category"],
    )
    found = {(name, "d", "none"): 0 for name in CLASSES} | depth.attempts
    for (name, letter, category), count in sorted(found.items()):
        attempts.add_metric([name, BY_LETTER[letter].value, category], count)
    yield attempts


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
        "posthaste_oldest_ready_seconds", "Age of the oldest ready message; 0: there is none.",
        labels=["class"],
    )  # fmt: skip
    for label in CLASSES:
        oldest.add_metric([label], depth.oldest_ready_ms.get(label, 0) / 1000)
    yield oldest


def _counts(depth: Depth) -> Iterator[Metric]:
    for name, text in _COUNTERS.items():
        yield CounterMetricFamily(f"posthaste_{name}", text, value=depth.counters.get(name, 0))
    for name, text, value in (
        ("live_workers", "Worker processes seen in the last 3 seconds.", depth.live_workers),
        ("events_length", "Events in the stream.", depth.events_length),
        ("dead_letters", "Legs that are dead letters.", depth.dead_legs),
        ("held_as_uncertain", "Legs held because nobody knows the outcome.", depth.held_legs),
        ("suspended_hops", "Next hops that an operator has suspended.", depth.suspended_hops),
        ("troubled_hops", "Relays that could not be used lately.", depth.troubled_hops),
        ("finished_messages", "Finished messages still known.", depth.finished_messages),
    ):
        yield GaugeMetricFamily(f"posthaste_{name}", text, value=value)


def _accepting(reasons: tuple[str, ...]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "posthaste_accepting", "1 when mail is accepted, else 0.", value=0 if reasons else 1
    )
    why = GaugeMetricFamily("posthaste_refusing", "1 for why mail is refused.", labels=["reason"])
    for reason in dict.fromkeys((*REASONS, *reasons)):
        why.add_metric([reason], 1 if reason in reasons else 0)
    yield why


def _memory(health: Health) -> Iterator[Metric]:
    for name, text, value in (
        ("used_memory_bytes", "Memory in use.", health.used_memory_bytes),
        ("max_memory_bytes", "Memory limit; 0: none.", health.max_memory_bytes),
        ("aof_bytes", "Size of the append-only file.", health.aof_bytes),
        ("disk_free_bytes", "Free disk, where its directory is seen.", health.disk_free_bytes),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"posthaste_store_{name}", text, value=value)


def _server(vitals: Vitals) -> Iterator[Metric]:
    for name, text, value in (
        ("ping_seconds", "What one command took.", vitals.ping_seconds),
        ("uptime_seconds", "How long the server has been up.", vitals.uptime_seconds),
        ("clients", "Connections to the server.", vitals.clients),
        ("connected_replicas", "Replicas that follow the server.", vitals.replicas),
        ("aof_write_ok", "1 when its last write to disk went well.", vitals.aof_write_ok),
        ("aof_rewrite_ok", "1 when its file was last rewritten well.", vitals.aof_rewrite_ok),
        ("durable", "1 when every answer waits for the disk.", vitals.durable),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"posthaste_store_{name}", text, value=float(value))
    for name, text, count in (
        ("commands", "Commands processed.", vitals.commands),
        ("evicted_keys", "Keys dropped for want of memory: mail is lost.", vitals.evicted_keys),
        ("aof_delayed_fsyncs", "Times that a sync kept others waiting.", vitals.delayed_fsyncs),
    ):
        yield CounterMetricFamily(f"posthaste_store_{name}", text, value=count)
