"""What is sent to whom at once, as it turns out: limits in use, and who has asked for less.

Sites come and go by thousands, so none has a name here: they are counted by the provider whose
entry in shaping.toml they have, all others together. Relays and routes are told by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from shared.hops import ANY_SITE, MX, POOL, UNRESOLVED, shared_part
from shared.shaping.rules import ASKED_FOR_LESS
from shared.store.limits import Limited, windows
from shared.store.operations import Destination

OTHER = "other"
TROUBLES = ("connect", "tls", "asked_for_less", "other")
"""Why sites stand still: each is always there."""

Provider = Callable[[str], str]
"""The name of a site's entry in shaping.toml; empty: none."""


def shaping(
    found: Sequence[Destination], limits: Sequence[Limited], provider: Provider
) -> Iterator[Metric]:
    """Gauges, as of now."""
    sites = {part for each in found if (part := shared_part(each.hop)).startswith(MX)}
    sites.discard(f"{MX}{UNRESOLVED}")
    yield GaugeMetricFamily(
        "posthaste_sites",
        "Sites of direct delivery with mail, in trouble or busy lately: to compare others with.",
        value=len(sites),
    )
    yield _in_trouble(found, provider)
    yield _throttled(found, limits, provider)
    yield GaugeMetricFamily(
        "posthaste_overridden_limits",
        "Limits that an operator has set otherwise than configured, and may have forgotten.",
        value=_overridden(limits),
    )
    yield _used(limits)


def _in_trouble(found: Iterable[Destination], provider: Provider) -> Metric:
    family = GaugeMetricFamily(
        "posthaste_sites_in_trouble",
        "Sites that stand still by themselves, by provider and by what went wrong: that of many"
        " providers at once is ours.",
        labels=("provider", "reason"),
    )
    why = {
        shared_part(each.hop): _trouble(each.pause.reason)
        for each in found
        if each.hop.startswith(MX) and each.pause is not None and each.pause.kind == "trouble"
    }
    counts = Counter({(OTHER, reason): 0 for reason in TROUBLES})
    counts.update((_named(site, provider), reason) for site, reason in why.items())
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)
    return family


def _trouble(note: str) -> str:
    """The kind of trouble in a pause's reason (`workers.classify`, `workers.throttle`)."""
    if note.startswith(ASKED_FOR_LESS):
        return "asked_for_less"
    stage = note.partition(":")[0]
    return stage if stage in TROUBLES else OTHER


def _throttled(
    found: Iterable[Destination], limits: Iterable[Limited], provider: Provider
) -> Metric:
    """Slowed down, or standing still for it; once each."""
    family = GaugeMetricFamily(
        "posthaste_throttled_destinations",
        "Relays and sites that get less, or nothing for now, because their replies asked for it.",
        labels=("kind", "provider"),
    )
    keys = {each.key for each in limits if each.effective.slowed is not None}
    keys |= {
        shared_part(each.hop)
        for each in found
        if each.pause is not None and each.pause.reason.startswith(ASKED_FOR_LESS)
        if each.pause.kind == "trouble" and not each.hop.startswith(POOL)
    }
    counts = Counter({("relay", ""): 0, ("site", OTHER): 0})
    for key in keys:
        kind = "site" if key.startswith(MX) else "relay"
        counts[kind, _named(key, provider) if kind == "site" else ""] += 1
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)
    return family


def _named(site: str, provider: Provider) -> str:
    return provider(site.removeprefix(MX)) or OTHER


def _overridden(limits: Sequence[Limited]) -> int:
    """Those with an override of their own: every site has that of all sites, too."""
    said = {each.key: each.effective.override for each in limits}
    general = said.get(ANY_SITE)
    return sum(
        each is not None and (key == ANY_SITE or not key.startswith(MX) or each != general)
        for key, each in said.items()
    )


def _used(limits: Iterable[Limited]) -> Metric:
    family = GaugeMetricFamily(
        "posthaste_limit_used_ratio",
        "Share of the limit of a relay or a route (@NAME) in any minute, hour or day that is used:"
        " at 1 their mail waits.",
        labels=("destination", "window"),
    )
    for each in limits:
        if not each.key.startswith(MX):
            for window, most in windows(each.effective.limit):
                family.add_metric((each.key, window), each.used.get(window, 0) / most)
    return family
