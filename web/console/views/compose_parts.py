"""What the page of a message asks for while somebody writes: addresses, files, keeping, preview."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request

from shared.addresses import canonical
from shared.model.suppression import Addressed, applies
from shared.render.plain import plain_text
from shared.store.suppressions import foremost
from web.answers import answer
from web.console.composing import Composing, NotTaken
from web.console.desk import Desk, Visitor
from web.console.draft import Draft, Ended, NoDraft, NoRoom, WasSent
from web.console.pages import Pages
from web.console.rich import MOST as MOST_HTML
from web.console.rich import clean
from web.console.shown import shown_of
from web.console.typed import Typed, typed_of
from web.console.wording import wrongs_of
from web.errors import Problem
from web.preview.page import frame, preview
from web.validation.addresses import address
from web.validation.report import Report

MOST_ADDRESSES = 100
"""Of one question."""
_FRAMING = 64 * 1024
"""Bytes of a form around its file."""
_OF = {
    "bounce": "mail to it has bounced",
    "complaint": "its reader has complained",
    "unsubscribe": "its reader has unsubscribed",
    "manual": "somebody has put it there",
}


def register(pages: Pages, desk: Desk) -> None:
    """`/console/compose/...`."""
    views = _Views(desk)
    pages.post("/compose/check-addresses", views.addresses, "compose")
    most = desk.settings.web.max_message_bytes + _FRAMING
    pages.post("/compose/files", views.attach, "compose", most_bytes=most)
    pages.post("/compose/files/remove", views.detach, "compose")
    pages.post("/compose/save", views.save, "compose")
    pages.post("/compose/preview", views.preview, "compose")
    pages.post("/compose/text", views.text, "compose")
    pages.get("/compose/<draft_id>/page", views.frame, "compose")


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._composing = Composing(desk)
        self._drafts = self._composing.drafts

    def addresses(self, visitor: Visitor) -> Response:
        """What validation says of addresses, and whether they are suppressed."""
        del visitor
        given = request.form.getlist("address")
        if len(given) > MOST_ADDRESSES:
            raise Problem(422, "too_many", f"At most {MOST_ADDRESSES} addresses at once.")
        return answer([self._checked(each) for each in given])

    def _checked(self, text: str) -> dict[str, Any]:
        report = Report()
        found = address(text, "/to/0", report)
        if found is None:
            words = wrongs_of(report.errors, Typed(to=(text,)), (), ())
            return {"text": text, "wrong": words[0].text if words else "This is no address."}
        shown = f"{found.name} <{found.email}>" if found.name else found.email
        return {"text": text, "shown": shown, "warning": self._warning(found.email)}

    def _warning(self, email: str) -> str:
        """Why nothing would be sent to it; empty: it would."""
        to = Addressed(
            canonical(email),
            self._desk.console.application,
            "",
            critical=request.form.get("class") == "critical",
        )
        entries = self._desk.context.services.suppressions.find(to.address)
        now = self._desk.now_ms()
        standing = [entry for entry in entries if applies(entry, to, now)]
        if not standing:
            return ""
        why = _OF[foremost(standing).reason]
        return f"{email} gets nothing: it is on the suppression list, because {why}."

    def attach(self, visitor: Visitor) -> Response:
        """One file for a draft."""
        given = request.files.get("file")
        draft_id = request.form.get("draft", "")
        if given is None or not given.filename:
            return answer({"wrong": "There is no file in what was sent."}, 422)
        try:
            draft = self._composing.find(visitor, draft_id)
            file = self._composing.take(visitor, draft.id, given)
        except NotTaken as error:
            return answer({"wrong": error.text}, error.status)
        except (WasSent, Ended):
            return answer({"wrong": "This draft was sent before, or has ended."}, 409)
        return answer({"id": file.id, "name": file.name, "size": file.size}, 201)

    def detach(self, visitor: Visitor) -> Response:
        """Without one of its files."""
        try:
            draft = self._composing.find(visitor, request.form.get("draft", ""))
            self._drafts.remove_file(visitor.user.id, draft.id, request.form.get("file", ""))
        except (WasSent, Ended):
            return answer({"wrong": "This draft was sent before, or has ended."}, 409)
        return answer({})

    def save(self, visitor: Visitor) -> Response:
        """Keep what is typed."""
        _, _, note = self._save(visitor)
        return answer({"note": note})

    def preview(self, visitor: Visitor) -> str:
        """Keep it, and show it."""
        typed, draft, note = self._save(visitor)
        shown = shown_of(typed, draft, self._desk.policy())
        return render_template("console/compose_preview.html", shown=shown, note=note)

    def _save(self, visitor: Visitor) -> tuple[Typed, Draft, str]:
        typed = _typed()
        try:
            draft = self._composing.find(visitor, request.form.get("draft", ""))
        except Ended as error:
            detail = "This page is a day old: copy what you need to a new one."
            raise Problem(409, "ended", detail) from error
        if typed.blank and not draft.saved_ms:
            return typed, draft, ""
        try:
            draft = self._drafts.save(visitor.user.id, draft.id, typed)
        except WasSent:
            return typed, draft, "This draft was sent before: what you type now is not kept."
        except (NoRoom, NoDraft) as error:
            return typed, draft, f"Not kept. {error}"
        at = self._desk.now_ms() // 1000 % 86_400
        clock = f"{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}"
        return typed, draft, f"Draft kept at {clock} UTC."

    def text(self, visitor: Visitor) -> Response:
        """The plain text that is made of a page."""
        del visitor
        return answer({"text": plain_text(clean(_html())) or ""})

    def frame(self, visitor: Visitor, draft_id: str) -> Response:
        """The page of a draft, for the frame of the preview."""
        try:
            typed = self._drafts.typed(self._composing.find(visitor, draft_id))
        except Ended:
            typed = None
        return frame(preview(typed.html if typed else "", {}))


def _html() -> str:
    page = request.form.get("html", "")
    if len(page) > MOST_HTML:
        raise Problem(413, "too_large", f"The HTML has over {MOST_HTML:,} characters.")
    return page


def _typed() -> Typed:
    _html()
    return typed_of(request.form)
