"""A captured message for the reader: headers, text, HTML, attachments.

The bytes are whatever somebody sent: nothing here raises on them. What cannot be understood is left
out; the source is always there to look at.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value

import msgspec

from web.preview.page import Image

MAX_PARTS = 200
MAX_SHOWN_BYTES = 1024 * 1024

_DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, RecursionError, HeaderParseError,
)  # fmt: skip
# Controls that turn text around or hide it in a file's name.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x1f\x7f-\x9f]")


class Part(msgspec.Struct, frozen=True):
    """A leaf that is not the text or the page itself."""

    index: int
    filename: str
    content_type: str
    content: bytes
    content_id: str


class Letter(msgspec.Struct, frozen=True):
    """A message taken apart."""

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    """As sent: only `web.preview` may show it."""
    parts: tuple[Part, ...]

    def header(self, name: str) -> str:
        """The first header of a name, decoded; empty without one."""
        return next((text for key, text in self.headers if key.lower() == name), "")


def decoded(value: object) -> str:
    """A header's text with its encoded words decoded, as far as they can be."""
    text = str(value)
    try:
        text = str(make_header(decode_header(text)))
    except _DAMAGE:
        pass  # Shown as it stands.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"\s*[\r\n]+\s*", " ", text).replace("\x00", "\ufffd")


def read(data: bytes) -> Letter:
    """Take a message apart."""
    try:
        message = message_from_bytes(data)
        headers = tuple((str(name), decoded(value)) for name, value in message.items())
        leaves = _leaves(message)
    except _DAMAGE:
        return Letter((), None, None, ())
    text = html = None
    parts: list[Part] = []
    for leaf in leaves:
        kind = leaf.get_content_type()
        attached = "attachment" in str(leaf.get("Content-Disposition", "")).lower()
        if kind == "text/plain" and text is None and not attached:
            text = _text(leaf)
        elif kind == "text/html" and html is None and not attached:
            html = _text(leaf)
        else:
            parts.append(_part(leaf, len(parts), kind))
    return Letter(headers, text, html, tuple(parts))


def _leaves(message: Message) -> list[Message]:
    """Parts that hold content, in order; at most `MAX_PARTS`, however they are nested."""
    found: list[Message] = []
    waiting = [message]
    while waiting and len(found) < MAX_PARTS:
        part = waiting.pop(0)
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting[:0] = [each for each in payload if isinstance(each, Message)]
        else:
            found.append(part)
    return found


def _payload(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        try:
            whole = inner[0] if isinstance(inner, list) and inner else None
            return whole.as_bytes() if isinstance(whole, Message) else b""
        except _DAMAGE:
            return b""
    try:
        data = part.get_payload(decode=True)
    except _DAMAGE:
        return b""
    return data if isinstance(data, bytes) else b""


def _text(part: Message) -> str:
    data = _payload(part)[:MAX_SHOWN_BYTES]
    try:
        charset = str(part.get_content_charset() or "utf-8")
        return data.decode(charset, "replace")
    except _DAMAGE:
        return data.decode("latin-1")


def plain_name(name: str) -> str:
    """A file's name without folders, controls, and characters that turn text around."""
    return _BIDI.sub("\ufffd", name).replace("\\", "/").rpartition("/")[2][:200]


def _part(part: Message, index: int, kind: str) -> Part:
    try:
        name = decoded(collapse_rfc2231_value(part.get_filename("") or ""))
    except _DAMAGE:
        name = ""
    name = plain_name(name)
    identifier = str(part.get("Content-ID", "")).strip().strip("<>")
    return Part(index, name or f"part-{index + 1}", kind, _payload(part), identifier)


def images(letter: Letter) -> dict[str, Image]:
    """Inline images, by Content-ID."""
    return {
        part.content_id: Image(part.content_type, part.content)
        for part in letter.parts
        if part.content_id and part.content_type.startswith("image/")
    }
