"""Liveness, readiness, and on the operator's listener the metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web.answers import answer
from web.views.context import Context


def blueprint(context: Context) -> Blueprint:
    """GET /livez and /readyz."""
    routes = Blueprint("health", __name__)

    def livez() -> Response:
        return answer({"alive": True})

    def readyz() -> Response:
        stopping = ("stopping",) if context.meter.stopping() else ()
        reasons = (*stopping, *context.admission.health().reasons)
        return answer({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    routes.get("/livez")(livez)
    routes.get("/readyz")(readyz)
    return routes


def operator_blueprint(context: Context) -> Blueprint:
    """GET /metrics."""
    routes = Blueprint("operator", __name__)

    def metrics() -> Response:
        page = generate_latest(context.meter.page)
        return Response(page, content_type=CONTENT_TYPE_LATEST)

    routes.get("/metrics")(metrics)
    return routes
