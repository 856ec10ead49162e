"""What was typed into the form of a message, and the fields of the API that it makes.

The form's words are taken as they are, and nothing here refuses any: `web.validation` does, and
each value goes to it whole, as one string or one item, so that what it has checked is what is sent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from web.console.rich import clean, is_blank

BOXES = ("to", "cc", "bcc", "reply_to")
_LINES = (
    "from_name", "from_local", "from_domain", "from_email", "subject", "when", "send_at", "class",
    "deliver_by", "on_uncertain",
)  # fmt: skip
_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?\Z", re.ASCII)


class Typed(msgspec.Struct, frozen=True):
    """The form. Everything is as it was typed, but the HTML, which is made harmless."""

    from_name: str = ""
    from_local: str = ""
    from_domain: str = ""
    """With a list of domains the sender is made of these two."""
    from_email: str = ""
    """Without one, of this."""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    plain: bool = False
    """Plain text only."""
    message_class: str = ""
    when: str = "now"
    """`at`: at `send_at`."""
    send_at: str = ""
    deliver_by: str = ""
    on_uncertain: str = ""

    @property
    def blank(self) -> bool:
        """Whether nothing worth keeping was typed."""
        words = (*self.to, *self.cc, *self.bcc, self.subject, self.text, self.html)
        return not any(each.strip() for each in words)


class Form(Protocol):
    """A form's fields."""

    def get(self, key: str, default: str) -> str:
        """The first value."""
        ...

    def getlist(self, key: str) -> list[str]:
        """All values."""
        ...


def typed_of(form: Form) -> Typed:
    """What a request's form says."""
    lines = {name: _unicode(form.get(name, "")) for name in _LINES}
    lines["message_class"] = lines.pop("class")
    boxes = {
        name: tuple(each for value in form.getlist(name) for each in split(_unicode(value)))
        for name in BOXES
    }
    typed = Typed(
        text=_unicode(form.get("text", "")).replace("\r\n", "\n"),
        html=clean(_unicode(form.get("html", ""))),
        plain=bool(form.get("plain", "")),
    )
    return msgspec.structs.replace(typed, **boxes, **lines)


def split(text: str) -> list[str]:
    """A field of several addresses, one by one: at commas and semicolons outside of quotation
    marks and angle brackets. What is between is not looked at, let alone put right."""
    found, start, quoted, angle, escaped = [], 0, False, False, False
    for at, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif not quoted and letter in "<>":
            angle = letter == "<"
        elif letter in ",;" and not quoted and not angle:
            found.append(text[start:at])
            start = at + 1
    found.append(text[start:])
    return [each.strip(" ") for each in found if each.strip(" ")]


def fields_of(typed: Typed, domains: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the API, without attachments; what is empty is not there."""
    email = f"{typed.from_local}@{typed.from_domain}" if domains else typed.from_email
    fields: dict[str, Any] = {"subject": typed.subject}
    if typed.from_local or typed.from_email:
        fields["from"] = {"email": email, "name": typed.from_name}
    for name in BOXES:
        if getattr(typed, name):
            fields[name] = list(getattr(typed, name))
    if typed.text.strip():
        fields["text"] = typed.text
    if not typed.plain and not is_blank(typed.html):
        fields["html"] = typed.html
    if typed.message_class:
        fields["class"] = typed.message_class
    if typed.on_uncertain:
        fields["on_uncertain"] = typed.on_uncertain
    if typed.when == "at":
        fields["send_at"] = moment_of(typed.send_at)
    if typed.deliver_by:
        fields["deliver_by"] = moment_of(typed.deliver_by)
    return fields


def attached(files: Iterable[tuple[str, str, bytes]]) -> list[Mapping[str, str]]:
    """Attachments (name, type, content) as the API has them."""
    return [
        {"filename": name, "content_type": kind, "content": base64.b64encode(content).decode()}
        for name, kind, content in files
    ]


def moment_of(text: str) -> str:
    """A time of a browser's field, which has no offset, as UTC; anything else as it is."""
    if not _LOCAL_TIME.match(text):
        return text
    return f"{text}:00Z" if len(text) == 16 else f"{text}Z"


def _unicode(text: str) -> str:
    """Without halves of surrogate pairs, which could not be stored."""
    return text.encode("utf-8", "replace").decode("utf-8")
