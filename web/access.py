"""What is told of each request: a log line, and the process's metrics.

The line has method, route, status, milliseconds, and the ids it concerned; health checks are told
at level debug. The route is the rule that matched, never the path: what clients make up must become
neither metrics nor text. There is no query, header or body in it.
"""

from __future__ import annotations

import time

import msgspec
import structlog
from flask import Response, g, request

from shared.metrics.web import WebMetrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CHECKS = frozenset({"/livez", "/readyz", "/metrics"})
_SUBMITTING = frozenset({"messages.submit", "batches.submit"})

_log = structlog.get_logger(__name__)


class Ended(msgspec.Struct, frozen=True):
    """A request that has its answer. `problem` is the code of a problem document."""

    method: str
    route: str | None
    endpoint: str | None
    status: int
    seconds: float
    problem: str | None


def begin() -> None:
    """Note when the request came."""
    g.began = time.perf_counter()


def ended(response: Response) -> Ended:
    """The request of this context."""
    now, rule = time.perf_counter(), request.url_rule
    return Ended(
        request.method,
        None if rule is None else rule.rule,
        None if rule is None else rule.endpoint,
        response.status_code,
        now - g.get("began", now),
        g.get("problem"),
    )


def tell(this: Ended) -> None:
    """Write the line."""
    tell = _log.debug if this.route in _CHECKS else _log.info
    fields = {"code": this.problem} if this.problem else {}
    tell(
        "request",
        method=this.method if this.method in _METHODS else "other",
        route=this.route or "other",
        status=this.status,
        ms=round(this.seconds * 1000, 1),
        **fields,
    )


def measure(this: Ended, metrics: WebMetrics) -> None:
    """Count it."""
    metrics.answered(this.method, this.route, this.status, this.seconds)
    if this.endpoint in _SUBMITTING and this.status >= 400:
        metrics.rejected(this.problem or "unknown")
