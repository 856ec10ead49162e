"""One line a request: method, route, status, milliseconds, and the ids it concerned.

The route is the rule that matched, never the path; there is no query, header or body in it. Health
checks are told at level debug.
"""

from __future__ import annotations

import time

import structlog
from flask import Response, g, request

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CHECKS = frozenset({"/livez", "/readyz", "/metrics"})

_log = structlog.get_logger(__name__)


def begin() -> None:
    """Note when the request came."""
    g.began = time.perf_counter()


def end(response: Response) -> None:
    """Write the line."""
    rule = request.url_rule.rule if request.url_rule is not None else "other"
    tell = _log.debug if rule in _CHECKS else _log.info
    fields = {"code": g.problem} if "problem" in g else {}
    tell(
        "request",
        method=request.method if request.method in _METHODS else "other",
        route=rule,
        status=response.status_code,
        ms=round((time.perf_counter() - g.began) * 1000, 1) if "began" in g else None,
        **fields,
    )
