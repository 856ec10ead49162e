"""Where in a text the message that is returned begins, when it is not a part of its own.

It begins at a run of lines that look like the header of a message; lines before it that only say
that it follows are no part of it. Quoted lines (`> Received: ...`) are a person's, and no header.
"""

from __future__ import annotations

import re

from workers.returns.fields import Fields, fields_of
from workers.returns.trouble import Troubles

MOST_HEADER = 256 * 1024
_MOST_LINES = 5000

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:")
_TRACES = frozenset({
    "received", "return-path", "message-id", "dkim-signature", "mime-version",
    "x-posthaste-reference", "delivered-to", "x-mailer", "arc-seal",
})  # fmt: skip
_KNOWN = _TRACES | {
    "from", "to", "subject", "date", "cc", "sender", "reply-to", "content-type", "list-unsubscribe",
    "content-transfer-encoding", "x-envelope-from", "x-envelope-to", "feedback-id", "in-reply-to",
}  # fmt: skip
_ENOUGH = 3
_OF_A_MESSAGE = frozenset({
    "from", "to", "subject", "date", "received", "message-id", "return-path",
    "x-posthaste-reference",
})  # fmt: skip
_MOST_LEAD_IN = 400
_LEAD_IN = re.compile(
    r"(?:^|\n)[^\n]{0,40}\b(?:original|returned|unsent|undelivered|copy of|header|message text)\b"
    r"[^\n]{0,60}(?:\n[\s\-=_*|+]*)?\Z",
    re.IGNORECASE,
)
"""`--- Below this line is a copy of the message.`"""


def looks_like_original(fields: Fields) -> bool:
    """Whether these are the fields of a message, not of a part."""
    return fields.has(_OF_A_MESSAGE) >= _ENOUGH


def split(text: str) -> tuple[str, str]:
    """What a text says, and the returned message in it; the second is empty: there is none."""
    at = 0
    run = _Run()
    for line in text.split("\n", _MOST_LINES)[:_MOST_LINES]:
        if run.takes(line, at) and run.proven:
            break
        at += len(line) + 1
    if not run.proven:
        return text, ""
    notice = text[: run.start].rstrip()
    lead_in = _LEAD_IN.search(notice, max(0, len(notice) - _MOST_LEAD_IN))
    return notice[: lead_in.start()] if lead_in else notice, text[run.start :]


class _Run:
    """Lines of a header that follow each other."""

    def __init__(self) -> None:
        self.start = 0
        self._names: set[str] = set()

    @property
    def proven(self) -> bool:
        return len(self._names) >= _ENOUGH and bool(self._names & _TRACES)

    def takes(self, line: str, at: int) -> bool:
        """One more line; whether it is of a header."""
        if self._names and line[:1] in (" ", "\t") and line.strip():
            return True  # A fold.
        found = _FIELD.match(line)
        name = found[1].lower() if found else ""
        if name in _KNOWN or (self._names and name.startswith("x-")):
            if not self._names:
                self.start = at
            self._names.add(name)
            return True
        if not (self._names and found):
            self._names.clear()
        return False


def fields_in(original: str, troubles: Troubles) -> Fields:
    """The header of a message in a text."""
    head = original[:MOST_HEADER].partition("\n\n")[0]
    return fields_of(head.encode("utf-8", "replace"), troubles)
