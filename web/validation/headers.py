"""Custom headers: names of the field's grammar, nothing that is ours, values of one line (B1)."""

from __future__ import annotations

import re

from web.validation.report import Report, escape, line

_NAME = re.compile(r"[!-9;-~]{1,76}\Z")
_RESERVED = frozenset(
    {
        "from", "to", "cc", "bcc", "subject", "date", "message-id", "sender", "return-path",
        "received", "dkim-signature", "mime-version",
    }
)  # fmt: skip
_RESERVED_PREFIXES = ("resent-", "content-")


def headers(
    value: object, pointer: str, report: Report, *, limit_bytes: int
) -> tuple[tuple[str, str], ...]:
    """`{name: value}` as pairs; wrong ones are reported."""
    if not isinstance(value, dict):
        report.add(pointer, "wrong_type", "Must be an object of names and values.")
        return ()
    found: list[tuple[str, str]] = []
    names: set[str] = set()
    for name, content in value.items():
        place = f"{pointer}/{escape(name)}"
        lower = name.lower()
        if not _NAME.match(name):
            report.add(place, "bad_header_name", "Header names are 1 to 76 printable characters.")
        elif lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
            report.add(place, "reserved_header", "This header is set by the system.")
        elif lower in names:
            report.add(place, "duplicate_header", "The header is given twice in another case.")
        else:
            text = line(content, place, report, limit=limit_bytes)
            if text is not None:
                found.append((name, text))
        names.add(lower)
    if sum(len(name) + len(text.encode()) + 4 for name, text in found) > limit_bytes:
        report.add(pointer, "too_long", f"All headers together may have {limit_bytes} bytes.")
    return tuple(found)
