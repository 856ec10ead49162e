"""What is known of header fields by name: which are ours, which have a grammar, how they fold.

Shared by validation, which refuses what could not be sent, and by rendering. Names are compared in
lower case. Pure.
"""

from __future__ import annotations

MAX_LINE = 998
"""Octets of a line without its CRLF (RFC 5322 section 2.1.1)."""
MAX_WORD = 900
"""An unbroken word of free text that is longer is encoded."""
QUOTED_NAME = 76
"""A longer display name is encoded: quoted strings are not folded."""

_STRUCTURED = frozenset(
    {
        "references", "in-reply-to", "original-message-id", "supersedes", "obsoletes",
        "auto-submitted", "precedence", "priority", "importance", "sensitivity", "x-priority",
        "x-auto-response-suppress", "expires", "reply-by", "archived-at", "feedback-id",
        "disposition-notification-to", "disposition-notification-options", "return-receipt-to",
        "errors-to", "mail-followup-to", "mail-reply-to", "delivered-to", "original-recipient",
        "authentication-results", "received-spf", "bimi-selector", "tls-required", "mt-priority",
        "require-recipient-valid-since", "autocrypt", "openpgp",
    }
)  # fmt: skip
_STRUCTURED_PREFIXES = ("list-", "arc-")


def is_structured(name: str) -> bool:
    """Whether a header's value has a grammar: ids, addresses, URLs, tokens.

    RFC 2047 section 5 forbids encoded words in them, so they are only folded.
    """
    lower = name.lower()
    return lower in _STRUCTURED or lower.startswith(_STRUCTURED_PREFIXES)


def folds(name: str, text: str) -> bool:
    """Whether `Name: text`, folded at spaces only, has no line over `MAX_LINE`."""
    if len(name) + 2 + len(text) <= MAX_LINE:
        return True
    first, *rest = text.split() or [""]
    return len(name) + 2 + len(first) <= MAX_LINE and all(len(word) < MAX_LINE for word in rest)


def needs_encoding(text: str) -> bool:
    """Whether free text would not arrive as it is: not ASCII, or changed by folding or reading."""
    return (
        not text.isascii()
        or "=?" in text
        or text != text.strip(" ")
        or "  " in text
        or (len(text) > MAX_WORD and max(map(len, text.split(" "))) > MAX_WORD)
    )


def most_octets(text: str) -> int:
    """What free text, or a value that is only folded, comes to in a header at most."""
    if needs_encoding(text):
        return encoded_octets(text)
    return len(text) + len(text) // 19 + 4  # Two lines, one after the other, have 76 or more.


def encoded_octets(text: str) -> int:
    """What a text comes to at most in encoded words (RFC 2047).

    One has 75 octets with its line end, and holds at least 42 of the text, the first one fewer.
    """
    return (len(text.encode("utf-8", "replace")) // 42 + 2) * 75
