"""The first page."""

from __future__ import annotations

from flask import render_template

from web.console.desk import Desk, Visitor
from web.console.pages import Pages


def register(pages: Pages, desk: Desk) -> None:
    """`/console/`."""
    del desk
    pages.get("/", _home, None)


def _home(visitor: Visitor) -> str:
    del visitor
    return render_template("console/home.html")
