"""What the parts of a message are: status, feedback, returned messages, texts.

By their types; where those lie, by what they hold. Nothing is concluded here.
"""

from __future__ import annotations

import re

from workers.returns import plain
from workers.returns.decoding import content, text
from workers.returns.fields import Fields, header_of
from workers.returns.mime import Mail, Part, walk, walk_undeclared
from workers.returns.originals import looks_like_original
from workers.returns.trouble import Troubles

MOST_TEXT = 512 * 1024
"""Characters of a text in which a notice and a returned message are looked for."""
_MOST_TEXTS = 5
_MOST_ORIGINALS = 10
_MOST_STATUSES = 5

_STATUS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ORIGINAL = frozenset({
    "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers",
    "message/partial", "text/rfc822", "message/rfc822-headers", "message/news",
})  # fmt: skip
_STATUS_LINE = re.compile(
    r"^(?:reporting-mta|final-recipient|original-recipient)[ \t]*:", re.I | re.M
)
_FEEDBACK_LINE = re.compile(r"^feedback-type[ \t]*:", re.I | re.M)
_REPORT_INSIDE = re.compile(rb"message/(?:global-)?(?:delivery-status|feedback-report)", re.I)
_INSIDE_BYTES = 64 * 1024


class Contents:
    """One message, its parts told apart."""

    def __init__(self, data: bytes, troubles: Troubles) -> None:
        """`data`: line ends are LF, and there is one before the message."""
        self._data, self._troubles = data, troubles
        mail = walk(data, 1, troubles)
        self.header = mail.fields
        self.is_report = mail.media == "multipart/report"
        self.report_type = mail.parameters.get("report-type", "").lower().strip()
        self.statuses: list[bytes] = []
        self.feedback: bytes | None = None
        self.originals: list[Fields] = []
        """Headers of what came back, as parts of their own."""
        self.inner: bytes | None = None
        """An attached message that is a report itself."""
        self.receipt = False
        """Whether it tells that somebody has read it, or will not (RFC 8098)."""
        self._plain: list[str] = []
        self._pages: list[str] = []
        self._declared: list[Part] = _undeclared(data, mail, troubles) or mail.parts
        for part in self._declared:
            self._sort(part)

    @property
    def texts(self) -> list[str]:
        """Plain texts first, then what pages show."""
        return [*self._plain, *self._pages][:_MOST_TEXTS]

    def _sort(self, part: Part) -> None:
        if part.media in _STATUS:
            self._add_status(content(self._data, part, self._troubles))
        elif part.media == "message/feedback-report":
            self._add_feedback(content(self._data, part, self._troubles))
        elif part.media in _ORIGINAL:
            self._attached(part)
        elif part.media == "message/disposition-notification":
            self.receipt = True
        elif len(self._declared) > 1 and looks_like_original(part.fields):
            self._add_original(part.fields)  # Its header is where the part's should be.
        elif part.media.startswith("text/") or part.media == "application/octet-stream":
            self._text(part)

    def _attached(self, part: Part) -> None:
        if len(self.originals) >= _MOST_ORIGINALS:
            self._troubles.add("too_many_parts")
            return
        raw = content(self._data, part, self._troubles, beginning=True).lstrip(b"\n")
        fields, _ = header_of(raw, 0, len(raw), self._troubles)
        self._add_original(fields)
        kind = fields.first("content-type").lower()
        if self.inner is None and "multipart/report" in kind:
            self.inner = raw

    def _text(self, part: Part) -> None:
        if len(self._plain) + len(self._pages) >= 2 * _MOST_TEXTS:
            return
        words = text(self._data, part, self._troubles)[:MOST_TEXT]
        if self.is_report and _STATUS_LINE.search(words[:4096]):
            self._troubles.add("undeclared_status")
            self._add_status(words.encode("utf-8", "replace"))
        elif self.is_report and _FEEDBACK_LINE.search(words[:4096]):
            self._troubles.add("undeclared_status")
            self._add_feedback(words.encode("utf-8", "replace"))
        elif part.media == "text/html":
            self._pages.append(plain.shown(words))
        elif part.media.startswith("text/"):
            self._plain.append(words)

    def _add_status(self, body: bytes) -> None:
        if len(self.statuses) < _MOST_STATUSES:
            self.statuses.append(body)

    def _add_feedback(self, body: bytes) -> None:
        if self.feedback is None:
            self.feedback = body

    def _add_original(self, fields: Fields) -> None:
        if len(fields):
            self.originals.append(fields)


def _undeclared(data: bytes, mail: Mail, troubles: Troubles) -> list[Part]:
    """The parts of a report that says it is something else; empty: it is not one."""
    if len(mail.parts) != 1 or mail.parts[0].media.startswith("message/"):
        return []
    part = mail.parts[0]
    inside = data[part.start : min(part.end, part.start + _INSIDE_BYTES)]
    found = _REPORT_INSIDE.search(inside)
    if not found or b"\nReceived:" in inside[: found.start()]:  # Of the message that is returned.
        return []
    return walk_undeclared(data, part.start, part.end, troubles)
