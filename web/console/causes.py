"""What is set aside, by cause: how many, since when, where and whose. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from shared.hops import queue_of
from shared.report import REASONS
from shared.store.operations import SetAside

_MOST_NAMES = 6


class Group(msgspec.Struct, frozen=True):
    """What is set aside for one cause, among those looked at."""

    cause: str
    explanation: str
    count: int
    recipients: int
    newest_ms: int
    oldest_ms: int
    destinations: tuple[tuple[str, int], ...]
    """(destination, how many), the most first."""
    applications: tuple[tuple[str, int], ...]
    more_destinations: int
    """Those that are not told by name."""
    more_applications: int


def cause_of(each: SetAside) -> str:
    """The cause as people and filters say it."""
    return each.leg.cause() or "unknown"


def grouped(found: Iterable[SetAside]) -> list[Group]:
    """By cause, the largest first."""
    by_cause: dict[str, list[SetAside]] = {}
    for each in found:
        by_cause.setdefault(cause_of(each), []).append(each)
    groups = [_group(cause, members) for cause, members in by_cause.items()]
    return sorted(groups, key=lambda group: (-group.count, group.cause))


def _group(cause: str, members: list[SetAside]) -> Group:
    destinations = Counter(queue_of(each.leg.hop) for each in members)
    applications = Counter(each.head.application for each in members)
    return Group(
        cause=cause,
        explanation=REASONS.get(cause, ""),
        count=len(members),
        recipients=sum(len(each.indices()) for each in members),
        newest_ms=max(each.since_ms for each in members),
        oldest_ms=min(each.since_ms for each in members),
        destinations=tuple(destinations.most_common(_MOST_NAMES)),
        applications=tuple(applications.most_common(_MOST_NAMES)),
        more_destinations=max(0, len(destinations) - _MOST_NAMES),
        more_applications=max(0, len(applications) - _MOST_NAMES),
    )
