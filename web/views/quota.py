"""What an application may send, and what it has used of that."""

from __future__ import annotations

from flask import Blueprint, Response, request

from shared import report
from shared.store.quotas import quota_of
from web.answers import answer
from web.views.context import Context


def blueprint(context: Context) -> Blueprint:
    """The route of quotas."""
    routes = Blueprint("quota", __name__)

    def look() -> Response:
        """GET /v1/quota: that of the key's application."""
        key = context.key(request)
        context.no_query(request)
        quota = quota_of(context.services.settings, key.application)
        uses = context.services.spool.uses(key.application) if quota else ()
        return answer(report.quota(key.application, quota, uses))

    routes.get("/v1/quota")(look)
    return routes
