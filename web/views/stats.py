"""Figures of what became of mail and what came back."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from shared.stats_report import DEFAULT_DAYS, MOST_DAYS, stats
from web.answers import answer
from web.errors import Problem, invalid
from web.validation.report import Report, escape, line
from web.views.context import Context


def blueprint(context: Context) -> Blueprint:
    """The route of figures."""
    routes = Blueprint("stats", __name__)
    services = context.services

    def look() -> Response:
        """GET /v1/stats: of the key's application; with scope operate of any, or of all."""
        key = context.authenticator.key(request)
        found = Report()
        found.only(request.args, ("days", "application"))
        for field, values in request.args.lists():
            if len(values) > 1:
                found.add(f"/{escape(field)}", "bad_value", "Give it once.")
        days = _days(request.args.get("days"), found)
        name = request.args.get("application")
        if name is not None:
            line(name, "/application", found, limit=255)
        if found.errors:
            raise invalid(found.errors)
        if "operate" not in key.scopes:
            if name not in (None, key.application):
                raise Problem(403, "missing_scope", "Another application's need scope operate.")
            name = key.application
        body: dict[str, Any] = stats(
            services.returns.outcomes(days), days, services.clock.now_ms(), name
        )
        return answer(body)

    routes.get("/v1/stats")(look)
    return routes


def _days(text: str | None, report: Report) -> int:
    if text is None:
        return DEFAULT_DAYS
    if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST_DAYS:
        return int(text)
    report.add("/days", "bad_value", f"1 to {MOST_DAYS} days.")
    return DEFAULT_DAYS
