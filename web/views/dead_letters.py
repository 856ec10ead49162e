"""Dead letters and what is held as uncertain, for operators: list, look, requeue, drop.

Needs the scope `operate`. The same fields choose in a query and in a body; nothing is changed
without ids, a filter or `"all": true`. A request looks at no more than `redrive.WINDOW` legs: what
comes behind them is for the next request, with `cursor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from shared import report
from shared.ids import parse_external
from shared.redrive import Choice, Redrive, Redriven, cursor, place_of
from shared.store.operations import Place
from web.answers import answer
from web.errors import Problem, interrupted, invalid
from web.validation.choice import choice_of
from web.validation.report import Report, escape
from web.views.context import Context

DEFAULT_LIMIT = 100
MOST = 500


def blueprint(context: Context) -> Blueprint:
    """The routes under /v1/dead-letters."""
    routes = Blueprint("dead_letters", __name__)
    views = _Views(context)
    routes.get("/v1/dead-letters")(views.index)
    routes.get("/v1/dead-letters/<identifier>")(views.look)
    routes.post("/v1/dead-letters/requeue")(views.requeue)
    routes.post("/v1/dead-letters/drop")(views.drop)
    return routes


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        services = context.services
        self._redrive = Redrive(
            services.spool, services.operations, services.settings.retry, services.clock
        )

    def index(self) -> Response:
        """GET /v1/dead-letters: the last ones first, in pages."""
        self._context.key(request, "operate")
        found = Report()
        fields: dict[str, Any] = dict(request.args.items())
        for name, values in request.args.lists():
            if len(values) > 1:
                found.add(f"/{escape(name)}", "bad_value", "Give it once.")
        limit = _limit(fields.pop("limit", str(DEFAULT_LIMIT)), found)
        place = _place(fields.pop("cursor", None), found)
        for name in fields.keys() & {"since", "until"}:
            fields[name] = fields[name].replace(" ", "+")  # An offset's plus that was not escaped.
        choice = choice_of(fields, found, beside=("limit", "cursor"))
        if found.errors:
            raise invalid(found.errors)
        page, following = self._redrive.page(choice, limit, place)
        rows = [report.set_aside(each) for each in page]
        return answer({"data": rows, "next_cursor": cursor(following)})

    def look(self, identifier: str) -> Response:
        """GET /v1/dead-letters/{id}: with every attempt."""
        self._context.key(request, "operate")
        self._context.no_query(request)
        message_id = parse_external(identifier)
        legs = list(self._redrive.of_message(message_id)) if message_id else []
        if not legs:
            raise Problem(404, "not_found", "There is no such dead letter, or not any more.")
        return answer({"data": [report.set_aside(each, self._context.told) for each in legs]})

    def requeue(self) -> Response:
        """POST /v1/dead-letters/requeue: try again; what is uncertain may arrive twice."""
        return self._decide(self._redrive.requeue)

    def drop(self) -> Response:
        """POST /v1/dead-letters/drop: cancel what is open."""
        return self._decide(self._redrive.drop)

    def _decide(self, act: Callable[..., Redriven]) -> Response:
        """One window of the choice; `next_cursor` says where another request goes on."""
        choice, place, dry_run = self._body()
        if dry_run:
            return answer(report.redriven(self._redrive.count(choice, place, windows=1)))
        redriven = act(choice, place, windows=1)
        if redriven.interrupted:
            raise interrupted(redriven.interrupted, redriven.done, report.redriven(redriven))
        return answer(report.redriven(redriven))

    def _body(self) -> tuple[Choice, Place | None, bool]:
        self._context.key(request, "operate")
        self._context.no_query(request)
        fields = self._context.fields(request)
        found = Report()
        dry_run, everything = fields.pop("dry_run", False), fields.pop("all", False)
        for name, value in (("dry_run", dry_run), ("all", everything)):
            if not isinstance(value, bool):
                found.add(f"/{name}", "wrong_type", "true or false.")
        place = _place(fields.pop("cursor", None), found)
        if place is not None and "ids" in fields:
            found.add("/cursor", "bad_value", "Not with ids: they are decided about together.")
        if not fields.keys() - {"kind"} and everything is not True:
            found.add("", "required", 'Say which: ids, a filter, or "all": true.')
        choice = choice_of(fields, found, with_ids=True, beside=("all", "cursor", "dry_run"))
        if found.errors:
            raise invalid(found.errors)
        return choice, place, dry_run


def _limit(text: str, found: Report) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST:
        return int(text)
    found.add("/limit", "bad_value", f"1 to {MOST}.")
    return 1


def _place(value: object, found: Report) -> Place | None:
    if value is None:
        return None
    place = place_of(value) if isinstance(value, str) else None
    if place is None:
        found.add("/cursor", "bad_value", "Take it from next_cursor of the answer before.")
    return place
