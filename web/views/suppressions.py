"""The suppression list: add, look up, list, remove.

A key with the scope `send` has to do with its own application's entries, one with `operate` with
all. Addresses stand in paths, URL-encoded; no log has them (`web/access.py` tells the rule, and the
load balancer's log ends before them).
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from shared.model.suppression import Suppression
from shared.store.keys import ApiKey
from shared.store.suppressions import MOST_AT_ONCE, Page
from shared.suppressing.entry import EVERYBODY, Asking, entry_shown
from shared.suppressing.importing import STEP
from web.answers import answer
from web.errors import FieldError, Problem, changing, invalid
from web.validation.report import Report
from web.validation.suppression import Asked, address_in_path, asked, checked
from web.views.context import Context

LIMITS = (100, 500)
"""Entries of a page, where a request does not say, and at most."""
_PAGES = 20
"""Of the store, that one request looks at for entries that a filter lets through."""


class _Address(BaseConverter):
    """What stands for an address in a path: a slash is a valid character of one."""

    regex = ".+"
    part_isolating = False


def blueprint(context: Context) -> Blueprint:
    """The routes under /v1/suppressions, but for files."""
    routes = Blueprint("suppressions", __name__)
    views = _Views(context)
    routes.record_once(_know_addresses)
    routes.post("/v1/suppressions")(views.add)
    routes.get("/v1/suppressions")(views.index)
    routes.get("/v1/suppressions/<address:address>")(views.look)
    routes.delete("/v1/suppressions/<address:address>")(views.remove)
    return routes


def _know_addresses(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["address"] = _Address


def key_of(context: Context) -> ApiKey:
    """The request's key, which needs one of the two scopes. Raises `Problem`."""
    key = context.authenticator.key(request)
    if not {"send", "operate"} & set(key.scopes):
        raise Problem(403, "missing_scope", "The API key needs the scope send or operate.")
    return key


def asking(context: Context, key: ApiKey) -> Asking:
    """On whose behalf a request changes the list."""
    now_ms = context.services.clock.now_ms()
    return Asking(key.application, f"api:{key.id}", now_ms, "operate" in key.scopes)


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._list = context.services.suppressions

    def add(self) -> Response:
        """POST /v1/suppressions: an entry, or up to 1,000 in `suppressions`."""
        key = key_of(self._context)
        self._context.no_query(request)
        fields = self._context.fields(request)
        if "suppressions" in fields:
            return self._add_many(fields, asking(self._context, key))
        entry = checked(fields, asking(self._context, key))
        if isinstance(entry, Problem):
            raise entry
        with changing():
            (new,) = self._list.add([entry])
        return answer(entry_shown(self._as_it_is(entry, new)), 201 if new else 200)

    def _add_many(self, fields: dict[str, Any], on_behalf: Asking) -> Response:
        """Good ones are added whatever is wrong with others; results in order."""
        found = Report()
        found.only(fields, ("suppressions",))
        items = fields["suppressions"]
        if not isinstance(items, list):
            found.add("/suppressions", "wrong_type", "A list of entries.")
        elif not 1 <= len(items) <= MOST_AT_ONCE:
            found.add("/suppressions", "bad_count", f"1 to {MOST_AT_ONCE} entries.")
        if found.errors:
            raise invalid(found.errors)
        entries = [checked(item, on_behalf) for item in items]
        good = [each for each in entries if isinstance(each, Suppression)]
        with changing():
            added = self._list.add(good[:STEP]) if good else []
        added += self._list.add(good[STEP:]) if good[STEP:] else []  # What fails now: not all.
        new = iter(added)
        results = [
            {"error": each.body()} if isinstance(each, Problem) else self._added(each, next(new))
            for each in entries
        ]
        return answer({"results": results})

    def _added(self, entry: Suppression, new: bool) -> dict[str, Any]:
        return {**entry_shown(self._as_it_is(entry, new)), "new": new}

    def _as_it_is(self, entry: Suppression, new: bool) -> Suppression:
        """The entry on the list: one that was there may have stayed as it was."""
        if new:
            return entry
        identity = (entry.application, entry.list)
        there = self._list.find(entry.address)
        return next((each for each in there if (each.application, each.list) == identity), entry)

    def index(self) -> Response:
        """GET /v1/suppressions: in pages, in no particular order."""
        key = key_of(self._context)
        known = ("cursor", "limit", "application", "reason", "list")
        wanted = asked(request, key, known, limits=LIMITS)
        application = wanted.application
        if application is None and "operate" not in key.scopes:
            application = key.application
        entries, cursor = self._page(wanted, application)
        return answer({"data": [entry_shown(each) for each in entries], "next_cursor": cursor})

    def _page(self, wanted: Asked, application: str | None) -> tuple[list[Suppression], str | None]:
        """The next entries that are wanted, maybe none, and where it goes on."""
        cursor = wanted.cursor
        for _ in range(_PAGES):
            page = self._read(cursor, wanted.limit, application)
            cursor = page.next_cursor
            found = [
                each for each in page.entries
                if wanted.reason in (None, each.reason) and wanted.list in (None, each.list)
            ]  # fmt: skip
            if found or not cursor:
                break
        return found, cursor or None

    def _read(self, cursor: str, limit: int, application: str | None) -> Page:
        try:
            return self._list.page(cursor, limit, application)
        except ValueError:
            text = "Take it from next_cursor of the answer before."
            raise invalid([FieldError("/cursor", "bad_value", text)]) from None

    def look(self, address: str) -> Response:
        """GET /v1/suppressions/{address}: its entries, everybody's too."""
        key = key_of(self._context)
        self._context.no_query(request)
        entries = self._list.find(address_in_path(address))
        if "operate" not in key.scopes:
            entries = [each for each in entries if each.application in ("", key.application)]
        if not entries:
            raise Problem(404, "not_found", "The address is not on the list.")
        return answer({"data": [entry_shown(each) for each in entries], "next_cursor": None})

    def remove(self, address: str) -> Response:
        """DELETE /v1/suppressions/{address}?list=&application=."""
        key = key_of(self._context)
        wanted = asked(request, key, ("list", "application"))
        canonical, list_name = address_in_path(address), wanted.list or ""
        application = key.application if wanted.application is None else wanted.application
        with changing():
            gone = self._list.remove(canonical, application, list_name)
        if not gone:
            which = "of that list" if list_name else "for all mail"
            text = f"There is no such entry {which}. Others may be there: say list, or"
            raise Problem(404, "not_found", f"{text} application={EVERYBODY} for everybody's.")
        return Response(status=204)
