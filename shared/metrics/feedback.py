"""What became of recipients and what came back: figures by application, class and site.

Labels stay few whatever comes: the largest applications have a name here, all others are one, and
sites are providers. Counters are those that grow for ever. Beside them stand gauges over days, as
the store keeps them by day (UTC): rates of complaints are alerted on by those, since they need no
history in Prometheus and miss nothing that happened between two scrapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from shared.store.outcomes import OTHER, WHATS, Outcomes
from shared.store.returns import Returns
from shared.store.suppressions import Suppressions

TOP = 50
"""Applications that are told apart."""
DAYS = (2, 7)
"""Today and yesterday, since yesterday alone or today alone may be little; and a week, in which
complaints and the mail that they are about stand together."""
KEPT_SECONDS = 15.0
"""How long figures over days are remembered: they are many fields, and change slowly."""
_LABELS = ("application", "class", "site", "outcome")


class Found(msgspec.Struct, frozen=True):
    """All of it at one time."""

    outcomes: Outcomes
    recent: Mapping[int, Outcomes]
    """By days."""
    suppressions: int
    kept: int


class Feedback:
    """The figures. `domains`: how many domains return paths of ours may have."""

    def __init__(
        self,
        returns: Returns,
        suppressions: Suppressions,
        domains: int,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._returns = returns
        self._suppressions = suppressions
        self._domains = domains
        self._now = now
        self._named: set[str] = set()
        self._recent: dict[int, Outcomes] = {}
        self._until = 0.0

    def read(self) -> Found:
        """Ask the store. Raises the `StoreError` family."""
        if self._now() >= self._until:
            self._recent = {days: self._returns.outcomes(days) for days in DAYS}
            self._until = self._now() + KEPT_SECONDS
        return Found(
            self._returns.outcomes(0),
            self._recent,
            self._suppressions.count(),
            self._returns.kept_count(),
        )

    def metrics(self, found: Found) -> Iterator[Metric]:
        """What a scrape tells of it."""
        self._name(found.outcomes)
        yield self._outcomes(found.outcomes)
        yield self._of_days(found.recent)
        for name, text, value in (
            ("suppressions", "Entries of the suppression list.", found.suppressions),
            ("kept_returns", "Mail that came back and is kept for a look.", found.kept),
            ("return_path_domains", "Domains of return paths; 0: none is ours.", self._domains),
        ):
            yield GaugeMetricFamily(f"posthaste_{name}", text, value=value)

    def _name(self, outcomes: Outcomes) -> None:
        """Give names to the largest applications, while there are names left.

        A process never takes one away again: a counter that changed hands would seem to have
        fallen, and the others' to have leapt.
        """
        sizes: Counter[str] = Counter()
        for (application, *_), count in outcomes.items():
            sizes[application] += count
        del sizes[""]  # What there was no room for in the store.
        for application, _ in sizes.most_common():
            if len(self._named) >= TOP:
                break
            self._named.add(application)

    def _summed(self, outcomes: Outcomes) -> dict[tuple[str, str, str], Counter[str]]:
        """By labels without the outcome, and then by that."""
        sums: dict[tuple[str, str, str], Counter[str]] = {}
        for (application, message_class, site, what), count in outcomes.items():
            name = application if application in self._named else OTHER
            sums.setdefault((name, message_class, site), Counter())[what] += count
        return sums

    def _outcomes(self, outcomes: Outcomes) -> Metric:
        family = CounterMetricFamily(
            "posthaste_outcomes",
            "Recipients by what became of them; what came back later counts beside delivered.",
            labels=_LABELS,
        )
        for labels, counts in sorted(self._summed(outcomes).items()):
            for what in _every(WHATS, counts):
                family.add_metric([*labels, what], counts[what])
        return family

    def _of_days(self, recent: Mapping[int, Outcomes]) -> Metric:
        family = GaugeMetricFamily(
            "posthaste_recent_outcomes",
            "The same of today and the days before it (UTC), so many together; what is 0 is left"
            " away.",
            labels=(*_LABELS, "days"),
        )
        for days, outcomes in recent.items():
            for labels, counts in sorted(self._summed(outcomes).items()):
                for what, count in sorted(counts.items()):
                    family.add_metric([*labels, what, str(days)], count)
        return family


def _every(known: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    """Those that are known, and then what another release has counted."""
    return list(dict.fromkeys([*known, *sorted(counts)]))
