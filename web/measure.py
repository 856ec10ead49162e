"""What the applications of a process share to be measured."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from prometheus_client import CollectorRegistry

from shared.metrics.web import WebMetrics, alone


class Meter(msgspec.Struct, frozen=True):
    """What this process measures, what a scrape reads, and whether the process is to stop."""

    metrics: WebMetrics
    page: CollectorRegistry
    stopping: Callable[[], bool]


def lone_meter() -> Meter:
    """The meter of a process that serves by itself."""
    return Meter(*alone(), lambda: False)
