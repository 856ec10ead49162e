"""Writing a message: its draft, its files, and its sending, once.

A message goes through the same validation and the same accept as one of the API. Its idempotency
key is the draft's name with a fingerprint that is always the same: whatever a second click, a
reload or another process sends under this name, the store answers with the first message.
"""

from __future__ import annotations

import re
import secrets

import msgspec
from werkzeug.datastructures import FileStorage

from shared.accounts.users import TooBusy
from shared.errors import StoreError
from shared.ids import new_message_id
from web.accept import accept, idempotency
from web.console.desk import Desk, Visitor
from web.console.draft import Draft, Ended, File, Limits, NoDraft, NoRoom
from web.console.drafts import Drafts
from web.console.typed import Typed, attached, fields_of
from web.console.wording import Wrong, wrongs_of
from web.errors import Problem
from web.validation import Validated, validate
from web.validation.attachments import MAX_FILENAME, attachments
from web.validation.report import Report

_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that turn text around: with them `exe` can look like the `gpj.` of a picture."""
_GONE = "There is no such draft, or not any more."
_NO_FILES = "No files are taken at the moment, as no mail is. Try again in a minute."


class NotTaken(Exception):
    """Why a file is not attached."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Refused(Exception):
    """Why a message was not sent; nothing was done, but for `unknown`."""

    def __init__(self, status: int, text: str, wrongs: list[Wrong]) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.wrongs = wrongs


class Sent(msgspec.Struct, frozen=True):
    """What became of it."""

    message: str
    """External id."""
    suppressed: int = 0
    recipients: int = 0


class Composing:
    """What the pages of writing share."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        web = desk.settings.web
        limits = Limits(
            files=web.max_attachments,
            draft_bytes=web.max_message_bytes,
            all_bytes=desk.console.drafts_bytes,
        )
        clock = desk.context.services.clock
        self.drafts = Drafts(desk.records, clock, desk.key("drafts"), limits)

    def find(self, visitor: Visitor, draft_id: str) -> Draft:
        """The visitor's draft. Raises a `Problem` 404, or `Ended`."""
        try:
            return self.drafts.find(visitor.user.id, draft_id)
        except Ended:
            raise
        except NoDraft as error:
            raise Problem(404, "not_found", _GONE) from error

    def take(self, visitor: Visitor, draft_id: str, given: FileStorage) -> File:
        """Attach a file of a form. Raises `NotTaken`, `WasSent`, `NoDraft`."""
        name = given.filename or ""
        kind = _type_of(given.mimetype)
        report = Report()
        attachments([{"filename": name, "content": "", "content_type": kind}], "", report, limit=1)
        if report.errors or _TURNS.search(name):
            raise NotTaken(422, _name_words(name))
        most = self.drafts.limits.draft_bytes
        content = given.stream.read(most + 1)
        if len(content) > most:
            raise NotTaken(413, f"It is too large: a message may have {most:,} bytes.")
        if not content:
            raise NotTaken(422, "It is empty: there is nothing in it to send.")
        file = File(f"file_{secrets.token_hex(12)}", name, kind, len(content))
        try:
            self.desk.context.admission.check()
        except Problem as error:
            raise NotTaken(503, _NO_FILES) from error
        try:
            self.drafts.add_file(visitor.user.id, draft_id, file, content)
        except NoRoom as error:
            raise NotTaken(413, str(error)) from error
        return file

    def send(self, visitor: Visitor, draft: Draft, typed: Typed) -> Sent:
        """Send it, or say what it was sent as before. Raises `Refused`."""
        if draft.message:
            return Sent(draft.message)
        desk = self.desk
        try:
            desk.context.admission.check()
        except Problem as problem:
            raise _refused(problem) from problem
        policy = desk.policy()
        fields = fields_of(typed, policy.from_domains)
        if draft.files:
            fields["attachments"] = self._attached(draft)
        validated = validate(fields, new_message_id(), policy)
        if validated.message is None:
            raise self._invalid(validated, typed, draft)
        digests = idempotency(policy.application, draft.id, {})
        commit = desk.context.meter.metrics.commit
        (receipt,) = accept(
            desk.context.services.spool, policy, [(validated.message, digests)], commit
        )
        if isinstance(receipt, Problem):
            raise _refused(receipt)
        people = receipt.body["recipients"]
        suppressed = sum(each["status"] == "suppressed" for each in people)
        sent = Sent(receipt.body["id"], suppressed, len(people))
        self._note(visitor, draft, sent, "yes" if receipt.replayed else "no")
        return sent

    def _attached(self, draft: Draft) -> list[object]:
        found: list[object] = []
        for file in draft.files:
            content = self.drafts.content(file)
            if content is None:
                text = f"“{file.name}” is gone: remove it, and attach it again."
                raise Refused(422, "", [Wrong("files", text)])
            found += attached([(file.name, file.content_type, content)])
        return found

    def _invalid(self, validated: Validated, typed: Typed, draft: Draft) -> Refused:
        domains = self.desk.console.from_domains
        errors = validated.errors or validated.forbidden
        wrongs = wrongs_of(errors, typed, [file.name for file in draft.files], domains)
        if validated.errors:
            return Refused(422, "", wrongs)
        if validated.too_large:
            most = self.desk.settings.web.max_message_bytes
            text = f"Text and attachments together are too large: at most {most:,} bytes."
            return Refused(413, "", [Wrong("files", text)])
        return Refused(403, "", wrongs)

    def _note(self, visitor: Visitor, draft: Draft, sent: Sent, repeated: str) -> None:
        """Mark the draft. It has been accepted, so no failure of this is told as one."""
        count = str(sent.recipients)
        entry = self.desk.audited(
            visitor, "message.sent", sent.message, recipients=count, repeated=repeated
        )
        try:
            self.drafts.sent(visitor.user.id, draft.id, sent.message, [entry])
        except (StoreError, TooBusy, NoDraft):
            pass  # Posted again, the spool knows it by its key, and it is marked then.


def _type_of(text: str) -> str:
    """What a browser says a file is, as far as it is a type of a file at all."""
    report = Report()
    attachments([{"filename": "x", "content": "", "content_type": text}], "", report, limit=1)
    return "application/octet-stream" if report.errors or not text else text.lower()


def _name_words(name: str) -> str:
    if len(name) > MAX_FILENAME:
        return f"Its name is too long: at most {MAX_FILENAME} characters."
    if _TURNS.search(name):
        return "Its name holds characters that turn text around. Rename it."
    return "Its name holds a path, a line break or another control character. Rename it."


def _refused(problem: Problem) -> Refused:
    """A refusal of the whole message, in words."""
    if problem.code == "acceptance_unknown":
        text = (
            "The store did not answer in time: the message may have been sent or not. Press Send"
            " again: it goes once, whichever it was."
        )
    elif problem.code == "idempotency_mismatch":
        text = "This draft's name was used for another message. Copy it to a new draft."
    elif problem.status == 503:
        text = "No mail is accepted at the moment, and nothing was sent. Try again in a minute."
    else:
        text = f"Nothing was sent. {problem.detail}"
    return Refused(problem.status, text, [])
