"""What becomes of one message that came back: news for the store, kept for a look, or nothing.

Blocking, for a thread. When `take` returns, what the message says is stored; it raises the
`StoreError` family and nothing else, and then nobody was told that the message was taken. The same
message twice counts once. Whatever cannot be matched is kept, and changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from shared.addresses import mailbox
from shared.clock import Clock
from shared.feedback.tokens import Reference, Tokens, token_in
from shared.feedback_settings import BounceSettings
from shared.store.ports import Stored
from shared.store.returns import Came, News, Returned, Returns
from workers.returns.match import Classify, Copy, Listing, Reason, bounce, complaint, failure_of
from workers.returns.read import read
from workers.returns.recipients import Mailbox, Mailboxes
from workers.returns.report import Kind, Report
from workers.returns.session import Envelope

Outcome = Literal["changed", "noted", "repeated", "kept", "ignored"]
"""The recipient is bounced now; it is known now; it was known; kept for a look; of no meaning."""
_BY_CAME: dict[Came, Outcome] = {
    Came.CHANGED: "changed", Came.NOTED: "noted", Came.REPEATED: "repeated",
}  # fmt: skip

_NOTHING = frozenset[Kind]({"auto_reply", "delayed", "delivered", "relayed"})
_SUBJECT = re.compile(rb"^subject:[ \t]*([^\r\n]{0,200})", re.IGNORECASE | re.MULTILINE)
MOST_HEADER = 16 * 1024
LEAST_WORD = 3
DAY_MS = 86_400_000


class Taken(msgspec.Struct, frozen=True):
    """What a message came to, in fixed words."""

    kind: Kind
    outcome: Outcome
    reason: Reason | None = None
    """Why it was kept."""
    message_ids: tuple[bytes, ...] = ()
    """Those it was about."""


class Reception:
    """See the module. One for a process; safe for several threads."""

    def __init__(
        self,
        mailboxes: Mailboxes,
        tokens: Tokens | None,
        returns: Returns,
        stored: Callable[[bytes], Stored | None],
        applications: Callable[[], Iterable[str]],
        sites: Sequence[str],
        classify: Classify,
        clock: Clock,
        bounces: BounceSettings,
    ) -> None:
        """`stored`: the message with an id; `applications`, `sites`: all names there are."""
        self.mailboxes = mailboxes
        self._tokens = tokens
        self._returns = returns
        self._stored = stored
        self._applications = applications
        self._sites = sites
        self._classify = classify
        self._clock = clock
        self._keep = bounces.keep_messages
        lasts_ms = bounces.suppress_days * DAY_MS or None
        self._listing = Listing(bounces.suppress == "on", lasts_ms)

    def take(self, envelope: Envelope, message: bytes) -> Taken:
        """See the module."""
        return self.apply(envelope, message, read(message))

    def apply(self, envelope: Envelope, message: bytes, report: Report) -> Taken:
        """The same, of a message that was read."""
        report = _normal(report)
        kinds = {each.kind for each in envelope.mailboxes}
        if report.kind in _NOTHING and kinds & {"return_path", "complaints"}:
            return Taken(report.kind, "ignored")
        news, reason = self._news(envelope, report)
        if not news:
            if reason is None:
                return Taken(report.kind, "ignored")
            if not kinds & {"return_path", "complaints"}:
                reason = "abuse" if "abuse" in kinds else "postmaster"
            self._returns.keep(self._kept(envelope, message, reason), self._keep)
            return Taken(report.kind, "kept", reason)
        came = [_BY_CAME[self._returns.news(each)] for each in news]
        best = min(came, key=list(_BY_CAME.values()).index)
        return Taken(report.kind, best, None, tuple(each.message_id for each in news))

    # -- matching ----------------------------------------------------------------------------

    def _news(self, envelope: Envelope, report: Report) -> tuple[list[News], Reason | None]:
        """What is to be told; else why nothing is, None: it says that nothing has happened."""
        if report.kind not in ("dsn", "complaint"):
            if report.feedback_type == "not-spam":
                return [], None
            return [], "opt_out" if report.feedback_type.startswith("opt-out") else "no_report"
        references, reason = self._references(envelope, report)
        news: list[News] = []
        for each in references:
            found = self._one(each, report, alone=len(references) == 1)
            if isinstance(found, News):
                news.append(found)
            else:
                reason = reason or found
        return news, reason

    def _references(
        self, envelope: Envelope, report: Report
    ) -> tuple[list[Reference], Reason | None]:
        """Those it came to, else those of the copy that came back with it."""
        found = [each.reference for each in envelope.mailboxes if each.reference is not None]
        reason: Reason | None = None
        if not found:
            paths = [token_in(each) or "" for each in report.return_paths]
            given = [self.mailboxes.return_path(each) for each in (*report.references, *paths)]
            found = [
                each.reference
                for each in given
                if isinstance(each, Mailbox) and each.reference is not None
            ]
            if not given:
                reason = "no_token"
            elif not found:
                reason = "expired" if "expired" in given else "bad_token"
        return list({(each.message_id, each.mark): each for each in found}.values()), reason

    def _one(self, reference: Reference, report: Report, *, alone: bool) -> News | Reason | None:
        if not reference.has_recipient:
            return "several_recipients"
        copy, private = self._copy(reference, report)
        if copy is None:
            return "unknown_application"
        now_ms = self._clock.now_ms()
        if report.kind == "complaint":
            return complaint(copy, report, now_ms)
        failure = failure_of(report, copy.address, alone=alone)
        if failure is None:
            return "no_status" if not report.recipients else None
        return bounce(copy, failure, self._classify, now_ms, self._listing, private)

    def _copy(self, reference: Reference, report: Report) -> tuple[Copy | None, tuple[str, ...]]:
        """Whose copy it is, and what its text must not repeat."""
        tokens = self._tokens
        if tokens is None:
            return None, ()
        site = tokens.site_of(reference, self._sites)
        stored = self._stored(reference.message_id)
        if stored is None:
            application = tokens.application_of(reference, self._applications())
            told = (address for each in report.recipients for address in each.addresses)
            address = next(
                (each for each in (*told, *report.candidates) if tokens.is_for(reference, each)), ""
            )
            if application is None:
                return None, ()
            return Copy(reference, application, site, None, address), _private(address)
        head, named = stored.head, {text for each in report.recipients for text in each.addresses}
        found = [
            (each.email not in named, index)
            for index, each in enumerate(head.recipients)
            if tokens.is_for(reference, each.email)
        ]
        if not found:  # Not so, unless heads are changed.
            return Copy(reference, head.application, site), ()
        _, index = min(found)  # `Bob@` and `bob@` are two recipients with one mark.
        each = head.recipients[index]
        copy = Copy(reference, head.application, site, index, each.email)
        return copy, _private(each.email, each.name, head.sender.email, head.subject)

    # -- kept --------------------------------------------------------------------------------

    def _kept(self, envelope: Envelope, message: bytes, reason: Reason) -> Returned:
        recipient = envelope.recipients[0]
        digest = hashlib.blake2b(message, digest_size=8)
        digest.update(recipient.encode())  # The same mail again, after an answer that was lost.
        subject = _SUBJECT.search(message[:MOST_HEADER].partition(b"\r\n\r\n")[0])
        return Returned(
            id=digest.hexdigest(),
            at_ms=self._clock.now_ms(),
            reason=reason,
            sender=envelope.sender,
            recipient=recipient,
            subject="" if subject is None else subject[1].decode(errors="replace"),
            size_bytes=len(message),
            content=_trace(envelope) + message,
        )


def _normal(report: Report) -> Report:
    """The same with its addresses as ours are kept, so that one can be compared with another."""
    recipients = tuple(
        msgspec.structs.replace(
            each,
            final_recipient=_address(each.final_recipient),
            original_recipient=_address(each.original_recipient),
        )
        for each in report.recipients
    )
    candidates = tuple(_address(each) for each in report.candidates)
    return msgspec.structs.replace(report, recipients=recipients, candidates=candidates)


def _address(text: str) -> str:
    """With its domain as A-labels; as it is, but for what is no text, when it is not valid."""
    plain = text.encode(errors="replace").decode()
    return mailbox(plain) or plain


def _trace(envelope: Envelope) -> bytes:
    """Where it came from (RFC 5321 section 4.4)."""
    how = "ESMTPS" if envelope.encrypted else "ESMTP"
    line = f"Received: from {envelope.helo} ([{envelope.peer}]) with {how}"
    return f"Return-Path: <{envelope.sender}>\r\n{line}\r\n".encode()


def _private(address: str, *names: str) -> tuple[str, ...]:
    words = [address.rpartition("@")[0], *names]
    return tuple(each for each in words if len(each) >= LEAST_WORD)
