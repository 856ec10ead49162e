"""Writing a message: the form, which works without scripts, and its sending.

Every button of the form sends all of it, so that nothing that was typed is lost, whatever is
answered. `web.console.views.compose_parts` has what the page asks for while somebody types.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response, make_response, render_template, request

from shared.errors import StoreError
from shared.model.message import CLASSES
from web.console.again import again, of_draft
from web.console.composing import Composing, NotTaken, Refused
from web.console.desk import Desk, Visitor
from web.console.draft import Draft, Ended, NoDraft, NoRoom, WasSent
from web.console.pages import Pages, go
from web.console.rich import MOST as MOST_HTML
from web.console.shown import shown_of
from web.console.typed import Typed, typed_of
from web.console.wording import Wrong
from web.errors import Problem

PAGE = "/console/compose"
_ENDED = "This page was open for more than a day. Nothing was sent: look it over, and send it."
_NOT_KEPT = "The draft could not be kept, because the store does not answer. Files are not kept."
_NOTICES = {
    "draft-kept": "The draft is kept for a day.",
    "draft-deleted": "The draft is deleted.",
    "message-sent": "The message is accepted.",
    "message-sent-but": "The message is accepted. Some recipients are on the suppression list, and"
    " get nothing.",
    "message-sent-before": "This draft was sent before. It was not sent again.",
    "again-empty": "The content of the message is gone, or may not be seen: write it anew.",
    "again-files-gone": "Not all attachments are there any more: attach them again.",
}


def register(pages: Pages, desk: Desk) -> None:
    """`/console/compose`."""
    views = _Views(desk)
    pages.get("/compose", views.page, "compose")
    most = desk.settings.web.max_request_bytes
    pages.post("/compose", views.submit, "compose", most_bytes=most)
    pages.post("/compose/delete", views.delete, "compose")
    pages.notices.update(_NOTICES)


class _Top(msgspec.Struct, frozen=True):
    """What is wrong, above the form."""

    text: str = ""
    wrongs: tuple[Wrong, ...] = ()


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._composing = Composing(desk)
        self._drafts = self._composing.drafts

    def page(self, visitor: Visitor) -> Any:
        """GET: a new message, a draft, or a message once more."""
        if "again" in request.args:
            return self._again(visitor, request.args["again"])
        draft_id = request.args.get("draft", "") or self._drafts.new_id(visitor.user.id)
        try:
            draft = self._composing.find(visitor, draft_id)
        except Ended as error:
            raise Problem(404, "not_found", "This draft has ended: one lasts a day.") from error
        if draft.message:
            return _sent_before(draft.message)
        typed = self._drafts.typed(draft) or self._first(visitor)
        return self._form(visitor, draft, typed, _Top())

    def submit(self, visitor: Visitor) -> Any:
        """POST: every button of the form."""
        if len(request.form.get("html", "")) > MOST_HTML:
            raise Problem(413, "too_large", f"The HTML has over {MOST_HTML:,} characters.")
        typed, act = typed_of(request.form), request.form.get("do", "save")
        try:
            draft = self._composing.find(visitor, request.form.get("draft", ""))
        except Ended:
            draft = Draft(self._drafts.new_id(visitor.user.id), self._desk.now_ms(), 0)
            return self._form(visitor, draft, typed, _Top(_ENDED), 409)
        try:
            draft, top, status = self._kept(visitor, draft, typed)
            if top.text or top.wrongs:
                return self._form(visitor, draft, typed, top, status)
            if act.startswith("remove:"):
                self._drafts.remove_file(visitor.user.id, draft.id, act.removeprefix("remove:"))
        except WasSent as sent:
            return _sent_before(sent.message)
        if act != "send":
            return go(f"{PAGE}?draft={draft.id}{_place(act)}")
        try:
            sent_as = self._composing.send(visitor, draft, typed)
        except Refused as refused:
            top = _Top(refused.text, tuple(refused.wrongs))
            return self._form(visitor, draft, typed, top, refused.status)
        notice = "message-sent-but" if sent_as.suppressed else "message-sent"
        return go(f"/console/messages/{sent_as.message}", notice)

    def delete(self, visitor: Visitor) -> Any:
        """POST: forget a draft and its files."""
        self._drafts.delete(visitor.user.id, request.form.get("draft", ""))
        return go(PAGE, "draft-deleted")

    def _kept(self, visitor: Visitor, draft: Draft, typed: Typed) -> tuple[Draft, _Top, int]:
        """The draft with what was typed and the files of the form; what could not be kept.

        A message can be sent that could not be kept as a draft, as long as it has no files.
        """
        given = [each for each in request.files.getlist("files") if each.filename]
        wrongs, text, status, user = [], "", 422, visitor.user.id
        try:
            draft = self._drafts.save(user, draft.id, typed)
            for each in given:
                try:
                    self._composing.take(visitor, draft.id, each)
                except NotTaken as error:
                    name = (each.filename or "")[:80]
                    wrongs.append(Wrong("files", f"“{name}”: {error.text}"))
                    status = error.status
            draft = self._drafts.find(user, draft.id)
        except (NoRoom, NoDraft) as error:
            text = str(error) if given or request.form.get("do") != "send" else ""
        except StoreError:
            text, status = _NOT_KEPT, 503
        return draft, _Top(text, tuple(wrongs)), status

    def _again(self, visitor: Visitor, message: str) -> Any:
        """Another page cannot fill somebody's drafts by links."""
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return go(PAGE)
        found = again(self._composing, visitor, message, everybody="all" in request.args)
        return go(f"{PAGE}?draft={found.draft}", found.note)

    def _first(self, visitor: Visitor) -> Typed:
        """An empty form."""
        domains = self._desk.console.from_domains
        return Typed(
            from_name=visitor.user.name,
            from_domain=domains[0] if domains else "",
            message_class=self._desk.settings.default_class,
        )

    def _form(
        self, visitor: Visitor, draft: Draft, typed: Typed, top: _Top, status: int = 200
    ) -> Response:
        wrong: dict[str, list[str]] = {}
        for each in top.wrongs:
            wrong.setdefault(each.field, []).append(each.text)
        limits, (message, to_all) = self._drafts.limits, of_draft(draft)
        policy = self._desk.policy()
        body = render_template(
            "console/compose.html",
            draft=draft,
            typed=typed,
            top=top,
            wrong=wrong,
            drafts=[each for each in self._drafts.of(visitor.user.id) if not each.message],
            domains=self._desk.console.from_domains,
            classes=CLASSES,
            limits=limits,
            most_recipients=self._desk.settings.web.max_recipients_per_field,
            again=message,
            again_all=to_all,
            shown=shown_of(typed, draft, policy) if "preview" in request.args else None,
        )
        return make_response(body, status)


def _place(act: str) -> str:
    """Where the page goes on after a button that only keeps."""
    if act == "preview":
        return "&preview=1#preview"
    return "#files-list" if act.startswith("remove:") or act == "attach" else "&notice=draft-kept"


def _sent_before(message: str) -> Any:
    return go(f"/console/messages/{message}", "message-sent-before")
