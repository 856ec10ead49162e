"""How large the head of a message becomes, as it is sent and without the signatures (B5)."""

from __future__ import annotations

from collections.abc import Sequence

from shared.headers import QUOTED_NAME, encoded_octets, most_octets, needs_encoding
from shared.model.message import Address, Content, Recipient
from web.validation.report import Report

OURS = 600
"""Octets of the headers that no field of the message sets, at most."""
_PER_CHARACTER = 8
"""More than a character comes to in encoded words, and more than one of a mailbox's syntax."""
_PER_ITEM = 160
"""More than what is added to a text whatever its length."""


def check_head(
    sender: Address | None,
    recipients: Sequence[Recipient],
    subject: str,
    content: Content,
    report: Report,
    *,
    limit_bytes: int,
) -> None:
    """Report the largest fields, by pointer, until the rest of the head is within the limit."""
    boxes: list[Address | Recipient] = [*recipients, *content.reply_to]
    if sender is not None:
        boxes.append(sender)
    characters = len(subject)
    for box in boxes:
        characters += len(box.email) + len(box.name)
    for name, text in content.headers:
        characters += len(name) + len(text)
    items = len(boxes) + len(content.headers) + 1
    if OURS + _PER_CHARACTER * characters + _PER_ITEM * items <= limit_bytes:
        return
    sizes = {
        "/subject": most_octets(subject),
        "/from": _octets([sender] if sender else []),
        "/to": _octets([each for each in recipients if each.kind == "to"]),
        "/cc": _octets([each for each in recipients if each.kind == "cc"]),
        "/reply_to": _octets(content.reply_to),
        "/headers": sum(len(name) + 4 + most_octets(text) for name, text in content.headers),
    }
    total = OURS + sum(sizes.values())
    detail = f"The head comes to {total} bytes as it is sent; at most {limit_bytes}."
    for pointer in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= limit_bytes:
            return
        report.add(pointer, "too_long", detail)
        total -= sizes[pointer]


def _octets(boxes: Sequence[Address | Recipient]) -> int:
    return sum(len(box.email.encode()) + 8 + _name_octets(box.name) for box in boxes)


def _name_octets(name: str) -> int:
    """A display name: a phrase, a quoted string with every character escaped, or encoded words."""
    if not name:
        return 0
    if len(name) > QUOTED_NAME or needs_encoding(name):
        return encoded_octets(name)
    return 2 * len(name) + 2
