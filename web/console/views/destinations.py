"""Destinations: the list of them, and everything about one."""

from __future__ import annotations

from flask import render_template, request

from shared import destination_report, limit_report
from shared.hops import ANY_SITE, limit_keys
from shared.limiting import wrong_name
from shared.model.message import CLASSES
from web.console import hops
from web.console.desk import Desk, Visitor
from web.console.destination_list import ORDERS, STATES, page_of, wanted
from web.console.kept import Kept
from web.console.pages import Pages


def register(pages: Pages, desk: Desk) -> None:
    """`/console/destinations`."""
    views = _Views(desk)
    pages.get("/destinations", views.index, "look")
    pages.get("/destinations/<name>", views.look, "look")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._context = desk.context
        self._desk = desk
        operations = desk.context.services.operations
        self._outlines = Kept(
            lambda: destination_report.outlines(operations, desk.context.routes), desk.now_ms
        )

    def index(self, visitor: Visitor) -> str:
        """GET /console/destinations."""
        del visitor
        operations, routes = self._context.services.operations, self._context.routes
        asked, now_ms = wanted(request.args), self._desk.now_ms()
        page = page_of(self._outlines.get(), asked, now_ms)
        names = {each.hop for each in page.rows}
        found = destination_report.everything(operations, routes, hops=names) if names else []
        told = {
            (each["destination"], each["class"]): each
            for each in destination_report.destinations(found, now_ms)
        }
        places = [(each.hop, each.message_class) for each in page.rows]
        return render_template(
            "console/destinations.html",
            asked=asked,
            page=page,
            rows=[told[place] for place in places if place in told],
            states=[("", "any"), *((each, each) for each in STATES)],
            classes=[("", "any"), *((each, each) for each in CLASSES)],
            orders=[(each, words) for each, (words, _) in ORDERS.items()],
            amount=limit_report.amount,
            any_site=ANY_SITE if routes.direct else "",
        )

    def look(self, visitor: Visitor, name: str) -> str:
        """GET /console/destinations/NAME."""
        del visitor
        found, routes = hops.find(self._desk, name), self._context.routes
        now_ms = self._desk.now_ms()
        told = destination_report.of_destination(name, found.around, now_ms, routes)
        return render_template(
            "console/destination.html",
            found=found,
            told=told,
            keys=[each for each in limit_keys(name) if not wrong_name(each, routes)],
            amount=limit_report.amount,
        )
