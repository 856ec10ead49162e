"""What waits for each destination: the deepest by name, the rest together as `other`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from shared.store.operations import Destination

TOP = 20
"""Hops that are told apart: labels must stay few, whatever mail comes."""
OTHER = "other"
_LABELS = ("destination", "class")


def destinations(found: Sequence[Destination], now_ms: int) -> Iterator[Metric]:
    """Gauges of destinations, which come the deepest first."""
    named = _named(found)
    legs: dict[tuple[str, str], list[float]] = {}
    for each in found:
        place = (each.hop if each.hop in named else OTHER, str(each.message_class))
        sums = legs.setdefault(place, [0.0, 0.0, 0.0, 0.0])
        sums[0] += each.ready
        sums[1] += each.deferred
        sums[2] += each.in_flight
        sums[3] = max(sums[3], (each.oldest_ms or 0) / 1000)
    for at, (name, text) in enumerate(
        (
            ("ready_legs", "Legs that may be claimed."),
            ("deferred_legs", "Legs that wait for a time."),
            ("in_flight_legs", "Legs in the hands of workers."),
            ("oldest_seconds", "Age of the oldest message that waits."),
        )
    ):
        family = GaugeMetricFamily(f"posthaste_destination_{name}", text, labels=_LABELS)
        for key, sums in legs.items():
            family.add_metric(key, sums[at])
        yield family
    yield _paused(found, named, now_ms)


def _named(found: Sequence[Destination]) -> set[str]:
    """The deepest hops, in as many as may be told apart."""
    named: dict[str, None] = {}
    for each in found:
        if len(named) >= TOP:
            break
        named[each.hop] = None
    return set(named)


def _paused(found: Sequence[Destination], named: set[str], now_ms: int) -> Metric:
    family = GaugeMetricFamily(
        "posthaste_destination_paused",
        "Next hops that stand still: suspended by an operator, backing off, or being probed.",
        labels=("destination", "kind"),
    )
    still = {(each.hop, str(each.state(now_ms))) for each in found if each.pause is not None}
    counts: dict[tuple[str, str], int] = {}
    for hop, kind in still:
        key = (hop if hop in named else OTHER, kind)
        counts[key] = counts.get(key, 0) + 1
    for key, count in sorted(counts.items()):
        family.add_metric(key, count)
    return family
