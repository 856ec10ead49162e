"""A message's HTML in a frame of its own, and its source as a file. Neither is ever a page."""

from __future__ import annotations

from flask import Response, request

from web.console import written
from web.console.desk import Desk, Visitor
from web.console.pages import Pages
from web.console.views.message import Finder
from web.errors import Problem
from web.preview.page import Preview, frame, preview


def register(pages: Pages, desk: Desk) -> None:
    """`/console/messages/ID/frame` and `/console/messages/ID/source`."""
    views = _Views(desk)
    pages.get("/messages/<identifier>/frame", views.frame, "content")
    pages.get("/messages/<identifier>/source", views.source, "content")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._find = Finder(desk)
        self._spool = desk.context.services.spool

    def frame(self, visitor: Visitor, identifier: str) -> Response:
        """The HTML, made safe, under its own policy; `?images=remote`: as somebody has asked."""
        del visitor
        found = self._content(identifier)
        remote = request.args.get("images") == "remote"
        page = Preview("")
        if found.content is not None and found.content.html is not None:
            page = preview(found.content.html, written.images(found.content), remote=remote)
        return frame(page, remote=remote)

    def source(self, visitor: Visitor, identifier: str) -> Response:
        """A file to be saved, never to be shown."""
        del visitor
        found = self._content(identifier)
        data = None if found.content is None else written.source(found.head, found.content)
        if data is None:
            raise Problem(404, "no_content", written.WORDS["damaged"])
        response = Response(data, content_type="message/rfc822")
        response.headers["Content-Disposition"] = f'attachment; filename="{identifier}.eml"'
        return response

    def _content(self, identifier: str) -> written.Written:
        found = written.written(self._spool, self._find.stored(identifier))
        if found.content is None:
            raise Problem(404, "no_content", found.why)
        return found
