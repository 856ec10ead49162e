"""Custom headers: names of the field's grammar, nothing that is ours, values that can be sent."""

from __future__ import annotations

import re

from shared.feedback.tokens import REFERENCE_HEADER
from shared.headers import MAX_LINE, folds, is_structured
from web.validation.report import Report, escape, line

MAX_HEADERS = 980
"""With ours and the signatures there are then at most 1,000, where servers draw the line."""
_NAME = re.compile(r"[!-9;-~]{1,76}\Z")
_RESERVED = frozenset(
    {
        "from", "to", "cc", "bcc", "subject", "date", "message-id", "sender", "return-path",
        "received", "dkim-signature", "mime-version", "reply-to", REFERENCE_HEADER.lower(),
    }
)  # fmt: skip
_RESERVED_PREFIXES = ("resent-", "content-")
_FIELDS = {"from", "to", "cc", "bcc", "subject", "return-path", "reply-to"}
"""Those that a field of the message sets."""


def headers(
    value: object, pointer: str, report: Report, *, limit_bytes: int
) -> tuple[tuple[str, str], ...]:
    """`{name: value}` as pairs; wrong ones are reported."""
    if not isinstance(value, dict):
        report.add(pointer, "wrong_type", "Must be an object of names and values.")
        return ()
    if len(value) > MAX_HEADERS:
        report.add(pointer, "too_many", f"At most {MAX_HEADERS} headers.")
        return ()
    found: list[tuple[str, str]] = []
    names: set[str] = set()
    for name, content in value.items():
        place = f"{pointer}/{escape(name)}"
        lower = name.lower()
        if not _NAME.match(name):
            report.add(place, "bad_header_name", "Header names are 1 to 76 printable characters.")
        elif lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
            report.add(place, "reserved_header", _remedy(lower))
        elif lower in names:
            report.add(place, "duplicate_header", "The header is given twice in another case.")
        else:
            text = line(content, place, report, limit=limit_bytes)
            if text is not None and _can_be_sent(name, text, place, report):
                found.append((name, text))
        names.add(lower)
    return tuple(found)


def _remedy(lower: str) -> str:
    if lower in _FIELDS:
        return f"Use the field {lower.replace('-', '_')}."
    return "This header is set by the system."


def _can_be_sent(name: str, text: str, pointer: str, report: Report) -> bool:
    """Whether a value with a grammar, which no encoding helps, fits as it is."""
    if not is_structured(name):
        return True
    if not text.isascii():
        report.add(pointer, "not_ascii", "This header takes ASCII only; URLs are percent-encoded.")
    elif not folds(name, text):
        detail = f"No line may have over {MAX_LINE} octets: shorten it, or put spaces between."
        report.add(pointer, "line_too_long", detail)
    else:
        return True
    return False
