"""Dead letters and what is held as uncertain, for operators: list, look, requeue, drop.

Needs the scope `operate`. The same fields choose in a query and in a body; nothing is changed
without ids, a filter or `"all": true`.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from flask import Blueprint, Response, request

from shared import report
from shared.ids import parse_external
from shared.redrive import Choice, Redrive, Redriven
from shared.store.operations import Place, SetAside
from web.answers import answer
from web.errors import Problem, invalid
from web.validation.choice import choice_of
from web.validation.report import Report
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
        limit = _limit(fields.pop("limit", str(DEFAULT_LIMIT)), found)
        place = _place(fields.pop("cursor", None), found)
        choice = choice_of(fields, found)
        if found.errors:
            raise invalid(found.errors)
        page = list(islice(self._redrive.chosen(choice, place), limit + 1))
        last = page[limit - 1] if len(page) > limit else None
        return answer(
            {
                "data": [report.set_aside(each) for each in page[:limit]],
                "next_cursor": _cursor(last) if last else None,
            }
        )

    def look(self, identifier: str) -> Response:
        """GET /v1/dead-letters/{id}: with every attempt."""
        self._context.key(request, "operate")
        message_id = parse_external(identifier)
        legs = list(self._redrive.of_message(message_id)) if message_id else []
        if not legs:
            raise Problem(404, "not_found", "There is no such dead letter, or not any more.")
        return answer({"data": [report.set_aside(each, attempts=True) for each in legs]})

    def requeue(self) -> Response:
        """POST /v1/dead-letters/requeue: try again; what is uncertain may arrive twice."""
        choice, dry_run = self._body()
        return _told(self._redrive.count(choice) if dry_run else self._redrive.requeue(choice))

    def drop(self) -> Response:
        """POST /v1/dead-letters/drop: cancel what is open."""
        choice, dry_run = self._body()
        return _told(self._redrive.count(choice) if dry_run else self._redrive.drop(choice))

    def _body(self) -> tuple[Choice, bool]:
        self._context.key(request, "operate")
        fields = self._context.fields(request)
        found = Report()
        dry_run, everything = fields.pop("dry_run", False), fields.pop("all", False)
        for name, value in (("dry_run", dry_run), ("all", everything)):
            if not isinstance(value, bool):
                found.add(f"/{name}", "wrong_type", "true or false.")
        if not fields.keys() - {"kind"} and everything is not True:
            found.add("", "required", 'Say which: ids, a filter, or "all": true.')
        choice = choice_of(fields, found, with_ids=True)
        if found.errors:
            raise invalid(found.errors)
        return choice, dry_run


def _told(redriven: Redriven) -> Response:
    return answer({"chosen": redriven.chosen, "done": redriven.done, "overdue": redriven.overdue})


def _limit(text: str, found: Report) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST:
        return int(text)
    found.add("/limit", "bad_value", f"1 to {MOST}.")
    return 1


def _cursor(each: SetAside) -> str:
    return f"{each.since_ms}-{each.leg_id.hex()}"


def _place(text: str | None, found: Report) -> Place | None:
    if text is None:
        return None
    since, _, leg = text.partition("-")
    try:
        if since.isascii() and since.isdecimal() and len(leg) == 36:
            return int(since), bytes.fromhex(leg)
    except ValueError:
        pass  # Told below.
    found.add("/cursor", "bad_value", "Take it from next_cursor of the page before.")
    return None
