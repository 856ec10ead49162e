"""Requests counted and timed, for both applications of a process.

A label is a route's rule, never a path: what clients make up must not become metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry

from shared.metrics.web import WebMetrics, alone

_SUBMITTING = frozenset({"messages.submit", "batches.submit"})


class Meter(msgspec.Struct, frozen=True):
    """What this process measures, what a scrape reads, and whether the process is to stop."""

    metrics: WebMetrics
    page: CollectorRegistry
    stopping: Callable[[], bool]


def lone_meter() -> Meter:
    """The meter of a process that serves by itself."""
    return Meter(*alone(), lambda: False)


def install(app: Flask, meter: Meter) -> None:
    """Measure every request of `app`."""

    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else None
        seconds = time.perf_counter() - g.began  # Noted by `web.access`.
        meter.metrics.answered(request.method, route, response.status_code, seconds)
        if request.endpoint in _SUBMITTING and response.status_code >= 400:
            meter.metrics.rejected(g.get("problem", "unknown"))
        return response

    app.after_request(end)
