"""From the bytes of a message that came back to what it says. Read this first.

Takes any bytes; gives a `Report`; never raises; takes time linear in the size of the message. In
order: line ends are made one; the parts are told apart (`mime`, `contents`); a feedback report
makes it a complaint (`complaints`), a delivery status a DSN (`dsn`); else its text is compared with
the known forms of bounces (`senders`, `forms`) and read (`notices`); else an autoresponder or a
person wrote it. Whose copy it was is in the returned message's header (`originals`, `gathered`).
"""

from __future__ import annotations

from itertools import chain

import msgspec

from workers.returns import complaints, forms
from workers.returns.complaints import Complaint
from workers.returns.contents import Contents
from workers.returns.decoding import uudecoded
from workers.returns.diagnostics import enhanced, one_line, reply_code, status
from workers.returns.dsn import read_status
from workers.returns.gathered import Gathered
from workers.returns.mailboxes import in_header
from workers.returns.notices import Notice
from workers.returns.originals import fields_in, split
from workers.returns.report import MOST_RECIPIENTS, Action, Kind, Report, Told
from workers.returns.senders import is_about_failure, is_automatic, is_system, says_away, subject_of
from workers.returns.trouble import Troubles

MOST_BYTES = 16 * 1024 * 1024
"""Of a message; the rest is not looked at."""
_LF = bytes.maketrans(b"\r", b"\n")
_MOST_NOTICE = 64 * 1024
"""Characters of a notice that are searched for addresses."""


def read(message: bytes) -> Report:
    """What a message says. Pure; of any bytes."""
    troubles = Troubles()
    if len(message) > MOST_BYTES:
        troubles.add("too_long")
        message = message[:MOST_BYTES]
    data = b"\n" + message.replace(b"\r\n", b"\n").translate(_LF)
    return _Reading(data, troubles).report(may_go_in=True)


class _Reading:
    """One message."""

    def __init__(self, data: bytes, troubles: Troubles) -> None:
        self._troubles = troubles
        self._contents = Contents(data, troubles)
        self._header = self._contents.header
        self._gathered = Gathered(troubles)

    def report(self, *, may_go_in: bool) -> Report:
        """What it comes to. `may_go_in`: also into a report that is attached to it."""
        complaint = self._complaint()
        if complaint is not None:
            return self._complained(complaint)
        if self._contents.statuses:
            return self._notified()
        bounce = None if self._contents.receipt else self._bounced()
        inner = self._contents.inner if may_go_in and is_system(self._header) else None
        if inner is not None and not (bounce and bounce.recipients):
            self._troubles.add("report_in_report")
            return _Reading(b"\n" + inner, self._troubles).report(may_go_in=False)
        if bounce is not None:
            return bounce
        # A bounce in words that nobody knows yet is for people to look at, though it is automatic.
        unknown = is_system(self._header) and is_about_failure(self._header)
        automatic = is_automatic(self._header) and not unknown
        kind: Kind = "auto_reply" if automatic else "other"
        return Report(kind=kind, trouble=self._troubles.told())

    # Complaints

    def _complaint(self) -> Complaint | None:
        contents = self._contents
        if contents.feedback is not None:
            return complaints.read_feedback(contents.feedback, self._gathered, self._troubles)
        if contents.statuses:
            return None
        for original in contents.originals:
            found = complaints.from_original(original)
            if found is not None:
                return found
        for words in contents.texts:
            found = complaints.from_xarf(self._header, words, self._troubles)
            found = found or complaints.from_spamcop(self._header, words)
            if found is not None:
                return found
        return None

    def _complained(self, complaint: Complaint) -> Report:
        self._originals()
        kind: Kind = "complaint" if complaint.feedback_type in complaints.COMPLAINTS else "other"
        return self._told(kind, (), **msgspec.structs.asdict(complaint))

    # Delivery status

    def _notified(self) -> Report:
        statuses = [read_status(body, self._troubles) for body in self._contents.statuses]
        notices = [split(words)[0] for words in self._contents.texts]
        recipients = tuple(chain.from_iterable(each.recipients for each in statuses))
        recipients = self._completed(recipients[:MOST_RECIPIENTS], notices)
        for each in recipients:
            for address in each.addresses:
                self._gathered.address(address)
        for address in chain.from_iterable(each.also for each in statuses):
            self._gathered.address(address)
        self._originals()
        for words in notices:
            self._gathered.text(words[:_MOST_NOTICE])
        first = statuses[0]
        return self._told(
            _kind(recipients),
            recipients,
            reporting_mta=first.reporting_mta,
            arrival=first.arrival,
        )

    def _completed(self, told: tuple[Told, ...], notices: list[str]) -> tuple[Told, ...]:
        """With what the text says where the status does not: the server's words, the action."""
        action: Action = ""
        if any(not each.action for each in told):
            action = _action_of(notices, subject_of(self._header))
        if not notices or all(each.diagnostic and each.action for each in told):
            return told
        notice = Notice(notices[0], self._ours(), action)
        completed = []
        for each in told:
            words = each.diagnostic
            if not words:
                words = next(filter(None, map(notice.said_of, each.addresses)), notice.reason)
            completed.append(
                msgspec.structs.replace(
                    each,
                    action=each.action or action,
                    diagnostic=one_line(words),
                    code=each.code or reply_code(words),
                    status=status(each.status, words),
                )
            )
        return tuple(completed)

    # Bounces in words

    def _bounced(self) -> Report | None:
        declared = self._contents.is_report and self._contents.report_type == "delivery-status"
        if not declared and (not is_system(self._header) or says_away(self._header)):
            return None
        for words in self._contents.texts:
            text, original = split(words)
            form = forms.recognised(text, subject_of(self._header))
            action: Action = "delayed" if form and form.delayed else "failed"
            notice = Notice(text, self._ours(), action)
            if form is None and not self._plainly_refused(notice):
                continue
            if declared:
                self._troubles.add("no_status_part")
            return self._in_words(form.name if form else "unknown", action, notice, original, words)
        return None

    def _plainly_refused(self, notice: Notice) -> bool:
        """No form that is known, but a mail system returns a message, with a refusal for good."""
        returned = bool(self._contents.originals) or self._contents.is_report
        return returned and is_about_failure(self._header) and reply_code(notice.reason) >= 500

    def _in_words(
        self, form: str, action: Action, notice: Notice, original: str, words: str
    ) -> Report:
        recipients = notice.recipients()
        reason = _of_words(notice.reason, action)
        if not recipients:
            failed = chain.from_iterable(map(in_header, self._header.all("x-failed-recipients")))
            addresses = dict.fromkeys(failed)
            recipients = tuple(
                msgspec.structs.replace(reason, final_recipient=each)
                for each in list(addresses)[:MOST_RECIPIENTS]
            )
        for each in recipients:
            self._gathered.address(each.final_recipient)
        for value in self._header.all("x-failed-recipients"):
            self._gathered.header(value)
        self._originals()
        if not self._gathered.returned:
            self._inline(original or uudecoded(words.encode("utf-8", "replace")).decode("latin-1"))
        for address in notice.mentioned:
            self._gathered.address(address)
        kind: Kind = "delayed" if action == "delayed" else "dsn"
        return self._told(kind, recipients, form=form, text=reason)

    # What they share

    def _originals(self) -> None:
        """The returned messages; where none is attached, the one that stands in a text."""
        for fields in self._contents.originals:
            self._gathered.original(fields)
        if self._contents.inner is not None:
            self._troubles.add("report_in_report")
        if not self._gathered.returned:
            for words in self._contents.texts:
                if self._inline(split(words)[1]):
                    return

    def _inline(self, original: str) -> bool:
        if original:
            self._gathered.original(fields_in(original, self._troubles))
        return self._gathered.returned

    def _ours(self) -> set[str]:
        """Who writes and who is written to: neither was to get the message."""
        names = ("from", "to", "cc", "sender", "reply-to", "return-path")
        values = [value[:2000] for name in names for value in self._header.all(name)[:5]]
        return set(chain.from_iterable(map(in_header, values)))

    def _told(self, kind: Kind, recipients: tuple[Told, ...], **more: str | Told) -> Report:
        return Report(
            kind=kind,
            recipients=recipients,
            references=self._gathered.references,
            return_paths=self._gathered.return_paths,
            candidates=self._gathered.candidates,
            returned=self._gathered.returned,
            trouble=self._troubles.told(),
            **more,  # type: ignore[arg-type]  # Names are those of `Report`.
        )


def _kind(recipients: tuple[Told, ...]) -> Kind:
    actions = {each.action for each in recipients}
    if "failed" in actions:
        return "dsn"
    if "delayed" in actions:
        return "delayed"
    if "delivered" in actions:
        return "delivered"
    return "relayed" if actions & {"relayed", "expanded"} else "other"


def _action_of(notices: list[str], subject: str) -> Action:
    """What the text says, where a status does not say whether it has failed."""
    for words in notices:
        form = forms.recognised(words, subject)
        if form is not None:
            return "delayed" if form.delayed else "failed"
    return ""


def _of_words(words: str, action: Action) -> Told:
    return Told(
        action=action, status=enhanced(words), code=reply_code(words), diagnostic=one_line(words)
    )
