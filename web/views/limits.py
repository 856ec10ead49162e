"""Limits of destinations, for operators: look, set, clear. Needs scope `operate`."""

from __future__ import annotations

from flask import Blueprint, Response, request

from shared import limit_report
from shared.limiting import override_of, wrong_fields, wrong_name
from shared.store.limits import FIELDS
from web.answers import answer
from web.errors import Problem, changing, invalid
from web.validation.report import Report
from web.views.context import Context


def blueprint(context: Context) -> Blueprint:
    """The routes under /v1/destinations/{name}/limit."""
    routes = Blueprint("limits", __name__)
    views = _Views(context)
    routes.get("/v1/destinations/<name>/limit")(views.look)
    routes.put("/v1/destinations/<name>/limit")(views.set)
    routes.delete("/v1/destinations/<name>/limit")(views.clear)
    return routes


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._operations = context.services.operations

    def look(self, name: str) -> Response:
        """GET /v1/destinations/{name}/limit: what holds now, and where it comes from."""
        self._begin(name)
        return self._shown(name)

    def set(self, name: str) -> Response:
        """PUT /v1/destinations/{name}/limit: of a relay, a site, `mx:*` or `@ROUTE`."""
        self._begin(name)
        fields = self._context.fields(request)
        found = Report()
        found.only(fields, (*FIELDS, "seconds", "reason"))
        for field, wrong in wrong_fields(fields):
            found.add(f"/{field}" if field else "", "bad_value" if field else "required", wrong)
        if found.errors:
            raise invalid(found.errors)
        override = override_of(fields, self._context.services.clock.now_ms())
        with changing():
            self._operations.set_limit(name, override)
        return self._shown(name)

    def clear(self, name: str) -> Response:
        """DELETE /v1/destinations/{name}/limit: what is configured holds again."""
        self._begin(name)
        with changing():
            gone = self._operations.clear_limit(name)
        if not gone:
            raise Problem(409, "no_limit_set", "Nobody has set a limit of the destination.")
        return self._shown(name)

    def _begin(self, name: str) -> None:
        """The scope, no query, and a name that can have a limit. Raises `Problem`."""
        self._context.key(request, "operate")
        self._context.no_query(request)
        wrong = wrong_name(name, self._context.routes)
        if wrong:
            raise Problem(404, "not_found", f"There is no such limit. {wrong}")

    def _shown(self, name: str) -> Response:
        (found,) = self._operations.limits([name])
        return answer(limit_report.limit(found))
