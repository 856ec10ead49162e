"""Destinations, for operators: how they stand; suspend, resume, flush, move.

Needs scope `operate`.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from shared import destination_report, report
from shared.flushing import flush
from shared.model.message import CLASSES
from shared.moving import Moving, move, wrong_target
from shared.store.operations import Destination
from shared.suspension import wrong_reason, wrong_seconds
from web.answers import answer
from web.errors import Problem, changing, interrupted, invalid
from web.validation.report import Report
from web.views.context import Context

FLUSH_MOST = 10_000
"""Of one request and class; `flushed` under `chosen` says that one can ask again."""
MOVE_MOST = 10_000
"""Of one request; `limit` says less."""
_MOVE_FIELDS = ("to", "class", "application", "limit", "now", "uncertain", "dry_run")


def blueprint(context: Context) -> Blueprint:
    """The routes under /v1/destinations."""
    routes = Blueprint("destinations", __name__)
    views = _Views(context)
    routes.get("/v1/destinations")(views.index)
    routes.get("/v1/destinations/<name>")(views.look)
    routes.post("/v1/destinations/<name>/suspend")(views.suspend)
    routes.post("/v1/destinations/<name>/resume")(views.resume)
    routes.post("/v1/destinations/<name>/flush")(views.flush)
    routes.post("/v1/destinations/<name>/move")(views.move)
    return routes


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._operations = context.services.operations
        self._clock = context.services.clock

    def index(self) -> Response:
        """GET /v1/destinations: the deepest first."""
        self._context.key(request, "operate")
        self._context.no_query(request)
        rows = destination_report.destinations(self._all(), self._clock.now_ms())
        totals = report.totals(self._context.services.spool.depth())
        return answer({"data": rows, "next_cursor": None, "totals": totals})

    def look(self, name: str) -> Response:
        """GET /v1/destinations/{name}: the destination in each class."""
        self._context.key(request, "operate")
        self._context.no_query(request)
        return self._shown(name)

    def suspend(self, name: str) -> Response:
        """POST /v1/destinations/{name}/suspend {"seconds", "reason"}."""
        self._context.key(request, "operate")
        self._known(name)
        fields = self._fields()
        found = Report()
        found.only(fields, ("seconds", "reason"))
        seconds, reason = fields.get("seconds"), fields.get("reason", "")
        for field, wrong in (("seconds", wrong_seconds(seconds)), ("reason", wrong_reason(reason))):
            if wrong:
                found.add(f"/{field}", "bad_value", wrong)
        if found.errors:
            raise invalid(found.errors)
        until = None if seconds is None else self._clock.now_ms() + seconds * 1000
        with changing():
            self._operations.suspend(name, until, reason)
        return self._shown(name)

    def resume(self, name: str) -> Response:
        """POST /v1/destinations/{name}/resume: lifts a back-off too."""
        self._context.key(request, "operate")
        self._known(name)
        found = Report()
        found.only(self._fields(), ())
        if found.errors:
            raise invalid(found.errors)
        with changing():
            stood_still = self._operations.resume(name)
        if not stood_still:
            raise Problem(409, "not_suspended", "It does not stand still, and is not slowed down.")
        return self._shown(name)

    def flush(self, name: str) -> Response:
        """POST /v1/destinations/{name}/flush {"class", "dry_run"}: deferred mail is due now."""
        self._context.key(request, "operate")
        rows = self._known(name)
        fields = self._fields()
        found = Report()
        found.only(fields, ("class", "dry_run"))
        _check_class(fields, found)
        dry_run = _flag(fields, "dry_run", found)
        if found.errors:
            raise invalid(found.errors)
        wanted = (fields["class"],) if "class" in fields else CLASSES
        rows = [each for each in rows if each.message_class in wanted]
        told = flush(self._operations, rows, most=FLUSH_MOST, dry_run=dry_run)
        if told.interrupted:
            raise interrupted(told.interrupted, told.flushed, report.flushed(told))
        return answer(report.flushed(told))

    def move(self, name: str) -> Response:
        """POST /v1/destinations/{name}/move: its waiting mail waits at another hop."""
        self._context.key(request, "operate")
        self._known(name)
        moving = self._moving(name, self._fields())
        told = move(self._operations, self._all(), moving, self._context.routes)
        if told.interrupted:
            raise interrupted(told.interrupted, told.moved, report.moved(told, moving.to))
        return answer(report.moved(told, moving.to))

    def _moving(self, name: str, fields: dict[str, Any]) -> Moving:
        """What a body asks for. Raises a 422 with every wrong field."""
        found = Report()
        found.only(fields, _MOVE_FIELDS)
        to, application, limit = fields.get("to"), fields.get("application"), fields.get("limit")
        if wrong := wrong_target(to, name, self._context.routes):
            found.add("/to", "bad_value" if "to" in fields else "required", wrong)
        _check_class(fields, found)
        if application is not None and not isinstance(application, str):
            found.add("/application", "wrong_type", "A string.")
        whole = isinstance(limit, int) and not isinstance(limit, bool)
        if limit is not None and not (whole and 1 <= limit <= MOVE_MOST):
            found.add("/limit", "bad_value", f"A number from 1 to {MOVE_MOST}.")
        now, uncertain, dry_run = (
            _flag(fields, each, found) for each in ("now", "uncertain", "dry_run")
        )
        if found.errors:
            raise invalid(found.errors)
        most = MOVE_MOST if limit is None else limit
        return Moving(
            name, str(to), fields.get("class"), application, most, now, uncertain, dry_run
        )

    def _fields(self) -> dict[str, Any]:
        """The body's, which may be left out; nothing may stand in the query instead."""
        self._context.no_query(request)
        return self._context.fields(request, optional=True)

    def _all(self, asked: str = "") -> list[Destination]:
        return destination_report.everything(self._operations, self._context.routes, asked)

    def _known(self, name: str) -> list[Destination]:
        """Its classes. Raises a 404 for what is neither configured nor has any mail."""
        return [each for each in self._among_all(name) if each.hop == name]

    def _among_all(self, name: str) -> list[Destination]:
        """The same with all others."""
        rows = self._all(name)
        if not any(each.hop == name for each in rows):
            raise Problem(404, "not_found", "There is no such destination.")
        return rows

    def _shown(self, name: str) -> Response:
        rows = self._among_all(name)
        now_ms, routes = self._clock.now_ms(), self._context.routes
        return answer(destination_report.of_destination(name, rows, now_ms, routes))


def _check_class(fields: dict[str, Any], found: Report) -> None:
    if "class" in fields and fields["class"] not in CLASSES:
        found.add("/class", "bad_value", f"One of {', '.join(CLASSES)}.")


def _flag(fields: dict[str, Any], name: str, found: Report) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        found.add(f"/{name}", "wrong_type", "true or false.")
    return value is True
