"""Moving a destination's waiting mail elsewhere: first what would become of it, then the move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from flask import render_template, request

from shared.destination_report import everything
from shared.model.message import CLASSES, MessageClass
from shared.moving import BY_ROUTES, Moved, Moving, move, targets, wrong_target
from web.console import hops
from web.console.desk import Desk, Visitor
from web.console.pages import Pages, go
from web.errors import Problem, changing
from web.views.destinations import MOVE_MOST

TRIED = 500
"""Messages that are looked at to say what would become of them."""


def register(pages: Pages, desk: Desk) -> None:
    """`/console/destinations/NAME/move`."""
    views = _Views(desk)
    pages.get("/destinations/<name>/move", views.ask, "operate")
    pages.post("/destinations/<name>/move", views.move, "operate")
    pages.notices["destination-moved"] = "Its mail waits elsewhere now."
    pages.notices["destination-moved-part"] = (
        "A part of its mail was moved. What may have arrived already stays, unless you say"
        " otherwise."
    )
    pages.notices["destination-moved-none"] = "Nothing was moved."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._context = desk.context

    def ask(self, visitor: Visitor, name: str) -> Any:
        """GET: where to; with `to` what would become of it."""
        del visitor
        found = hops.find(self._desk, name)
        if "to" not in request.args:
            return self._form(found, {}, {})
        moving, errors = self._wanted(name, request.args)
        if errors:
            return self._form(found, request.args, errors), 422
        tried = msgspec.structs.replace(moving, most=TRIED, dry_run=True)
        return render_template(
            "console/destination_move_confirm.html",
            found=found,
            back=hops.address(name),
            moving=moving,
            waiting=sum(
                each.depth
                for each in found.rows
                if moving.message_class in (None, each.message_class)
            ),
            tried=self._run(tried),
            by_routes=BY_ROUTES,
            most=MOVE_MOST,
        )

    def move(self, visitor: Visitor, name: str) -> Any:
        """POST: move it."""
        found = hops.find(self._desk, name)
        moving, errors = self._wanted(name, request.form)
        if errors:
            return self._form(found, request.form, errors), 422
        with changing():
            told = self._run(moving)
            if told.moved or told.interrupted:
                self._desk.audit(
                    visitor,
                    "destination.moved",
                    name,
                    **{"class": moving.message_class or "all"},
                    to=moving.to,
                    chosen=str(told.chosen),
                    moved=str(told.moved),
                    uncertain="yes" if moving.uncertain else "no",
                )
        if told.interrupted:
            raise Problem(
                503,
                "interrupted",
                f"{told.moved:,} messages were moved, then the store went away. Move again for the"
                " rest.",
            )
        part = "-part" if told.moved < found.waiting else ""
        return go(hops.address(name), notice=f"destination-moved{part if told.moved else '-none'}")

    def _run(self, moving: Moving) -> Moved:
        context = self._context
        names = {moving.hop, *context.routes.hops}
        rows = everything(context.services.operations, context.routes, moving.hop, names)
        return move(context.services.operations, rows, moving, context.routes)

    def _wanted(self, name: str, sent: Mapping[str, str]) -> tuple[Moving, dict[str, str]]:
        """What is asked for, and what is wrong with it, by field."""
        to, of_class = sent.get("to", ""), sent.get("class", "")
        wrong = {"to": wrong_target(to, name, self._context.routes)}
        if of_class not in ("", *CLASSES):
            wrong["class"] = f"One of {', '.join(CLASSES)}."
        moving = Moving(
            name,
            to,
            cast("MessageClass", of_class) if of_class else None,
            most=MOVE_MOST,
            now=sent.get("now") == "1",
            uncertain=sent.get("uncertain") == "1",
        )
        return moving, {field: text for field, text in wrong.items() if text}

    def _form(self, found: hops.Found, fields: Mapping[str, str], errors: dict[str, str]) -> str:
        there = targets(found.name, self._context.routes)
        return render_template(
            "console/destination_move.html",
            found=found,
            back=hops.address(found.name),
            fields=fields,
            errors=errors,
            options=[
                (each, "where the routes would send it now" if each == BY_ROUTES else each)
                for each in there
            ],
            classes=[("", "all classes"), *((each, each) for each in CLASSES)],
        )
