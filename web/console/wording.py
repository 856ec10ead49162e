"""What validation says of a message's fields, beside the fields of the form and in its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from web.console.typed import Typed
from web.errors import FieldError


class Wrong(msgspec.Struct, frozen=True):
    """One mistake."""

    field: str
    """The id of the form's field."""
    text: str


_NAMES = {
    "to": "To", "cc": "Cc", "bcc": "Bcc", "reply_to": "Reply to", "subject": "The subject",
    "text": "The text", "html": "The page", "send_at": "The time", "deliver_by": "The time",
    "from_local": "The sender's address", "from_email": "The sender's address",
    "from_name": "The sender's name",
}  # fmt: skip
_ADDRESSES = {"to", "cc", "bcc", "reply_to"}
_WORDS = {
    "required": "{what} is missing.",
    "bad_address": "{what} is not an e-mail address. It should look like ann@example.com.",
    "control_character": "{what} holds a line break or another control character, which could"
    " change the message's headers. Type it anew.",
    "bad_unicode": "{what} holds a character that is damaged. Type it anew.",
    "too_long": "{what} is too long.",
    "bad_time": "This is not a time, or there is none like it.",
    "dkim_key_missing": "Mail from this domain cannot be signed: no DKIM key is set for it.",
    "bad_filename": "{what}: the name of a file may not have a path in it.",
    "class_not_allowed": "This class may not be used here.",
    "bad_value": "Choose one of what is offered.",
}
"""By code; others have a detail that says it well enough."""
_TOO_EARLY = "It would give up before it is sent: choose a later time, after now and after sending."
_NO_SENDER = "Say who the message is from."
_NOBODY = "Add at least one recipient, in To, Cc or Bcc."
_NO_TEXT = "Write a message: there is no text yet."


def wrongs_of(
    errors: Iterable[FieldError], typed: Typed, files: Sequence[str], domains: Sequence[str]
) -> list[Wrong]:
    """Every mistake, in the order of validation; `files` are the names of the attachments."""
    return [_wrong(error, typed, files, domains) for error in errors]


def _wrong(error: FieldError, typed: Typed, files: Sequence[str], domains: Sequence[str]) -> Wrong:
    head, *rest = error.pointer.lstrip("/").split("/")
    if head == "attachments":
        index = int(rest[0]) if rest and rest[0].isdigit() else -1
        what = f"“{files[index]}”" if 0 <= index < len(files) else "The attachments"
        return Wrong("files", _words(error, what))
    field = _field(head, rest, typed, domains)
    if error.code == "from_not_allowed":
        return Wrong(field, f"Mail may be sent from {_listed(domains)} only.")
    if error.code == "required":
        missing = {"from": _NO_SENDER, "to": _NOBODY, "text": _NO_TEXT}.get(head)
        if missing:
            return Wrong(field, missing)
    if error.code == "too_early":
        return Wrong(field, _TOO_EARLY)
    return Wrong(field, _words(error, _what(field, rest, typed)))


def _field(head: str, rest: list[str], typed: Typed, domains: Sequence[str]) -> str:
    if head == "from":
        if rest == ["name"]:
            return "from_name"
        return "from_local" if domains else "from_email"
    if head == "text" and not typed.plain:
        return "html"
    return head


def _what(field: str, rest: list[str], typed: Typed) -> str:
    """The address that is meant, or the field."""
    if field in _ADDRESSES and rest and rest[0].isdigit():
        given = getattr(typed, field)
        if int(rest[0]) < len(given):
            return f"“{_short(given[int(rest[0])])}”"
    return _NAMES.get(field, "This")


def _words(error: FieldError, what: str) -> str:
    words = _WORDS.get(error.code)
    return error.detail if words is None else words.format(what=what)


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
