"""Header lines as bytes: encoded, folded, and safe whatever the text holds.

Takes decoded text, gives ASCII (UTF-8 only in addresses of a SMTPUTF8 message) with CRLF between
folded lines and none at the end. Text that looks like an encoded word is itself encoded, so that
it is shown as it was given (RFC 2047 section 5). A control character raises `ValueError`: nothing
that validation lets through has one.
"""

from __future__ import annotations

import binascii
import re
import time
from collections.abc import Sequence
from functools import lru_cache

from shared.headers import QUOTED_NAME, folds, is_structured, needs_encoding
from shared.model.message import Address

LINE = 76
"""Lines are folded to this where the text allows it; RFC 5322 section 2.1.1 says 78."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def refuse_control(text: str) -> str:
    """`text` as it is. Raises `ValueError` when it holds a control character."""
    if _CONTROL.search(text):
        raise ValueError("control character in a header value")
    return text


def encoded_words(text: str, first_room: int = LINE) -> bytes:
    """`text` as RFC 2047 encoded words of at most 75 octets, folded; whole characters in each."""
    words: list[bytes] = []
    chunk = b""
    room = min(first_room, 75) - 12
    for character in text:
        octets = character.encode("utf-8")
        if (len(chunk) + len(octets) + 2) // 3 * 4 > room and chunk:
            words.append(chunk)
            chunk, room = b"", 75 - 12
        chunk += octets
    words.append(chunk)
    return b"\r\n ".join(
        b"=?utf-8?b?" + binascii.b2a_base64(word, newline=False) + b"?=" for word in words
    )


def fold(name: str, text: str) -> bytes:
    """`Name: text` with ASCII text folded at spaces."""
    line = f"{name}: {text}"
    if len(line) <= LINE:
        return line.encode("ascii")
    lines = []
    current = f"{name}:"
    for word in text.split(" "):
        # The first word stays beside the name: a line of white space alone is obsolete syntax.
        if len(current) + 1 + len(word) > LINE and not current.endswith(":"):
            lines.append(current)
            current = ""
        current += " " + word
    lines.append(current)
    return "\r\n".join(lines).encode("ascii")


def custom(name: str, text: str) -> bytes:
    """A header that the client gave; one with a grammar is never encoded (RFC 2047 section 5).

    Such a header that is not ASCII or does not fold has not passed validation.
    """
    if is_structured(name) and text.isascii() and folds(name, text):
        return fold(name, " ".join(refuse_control(text).split()))
    return unstructured(name, text)


def unstructured(name: str, text: str) -> bytes:
    """A header of free text, such as Subject."""
    refuse_control(text)
    if needs_encoding(text):
        return name.encode("ascii") + b": " + encoded_words(text, LINE - len(name) - 2)
    return fold(name, text)


@lru_cache(maxsize=4096)
def mailbox(email: str, name: str) -> bytes:
    """`Name <address>`, the name as a phrase, a quoted string or encoded words."""
    refuse_control(name)
    address = refuse_control(email).encode("utf-8")
    if not name:
        return address
    if needs_encoding(name) or len(name) > QUOTED_NAME:
        phrase = encoded_words(name, 60)
    elif _PHRASE.match(name):
        phrase = name.encode("ascii")
    else:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{quoted}"'.encode("ascii")
    return phrase + b" <" + address + b">"


def addresses(name: str, boxes: Sequence[Address]) -> bytes:
    """An address header; each further mailbox on its own line when they do not fit on one."""
    encoded = [mailbox(box.email, box.name) for box in boxes]
    line = name.encode("ascii") + b": " + b", ".join(encoded)
    if len(line) <= LINE and b"\r\n" not in line:
        return line
    return name.encode("ascii") + b": " + b",\r\n ".join(encoded)


def date(date_ms: int) -> bytes:
    """A Date header (RFC 5322 section 3.3), in UTC."""
    return _date(date_ms // 1000)


@lru_cache(maxsize=256)
def _date(seconds: int) -> bytes:
    at = time.gmtime(seconds)
    return (
        f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d}"
        f" {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"
    ).encode("ascii")


_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,60}\Z")


def parameter(name: str, value: str) -> bytes:
    """`; name=value` on lines of its own, by RFC 2231 where ASCII quoting does not do."""
    refuse_control(value)
    if _TOKEN.match(value):
        return f";\r\n {name}={value}".encode("ascii")
    if value.isascii() and len(value) <= 60 and "=?" not in value:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{quoted}"'.encode("ascii")
    return _extended(name, value)


def _extended(name: str, value: str) -> bytes:
    """RFC 2231 section 4: percent-encoded UTF-8, in numbered pieces when it is long."""
    pieces: list[str] = []
    current = ""
    for character in value:
        if re.match(r"[A-Za-z0-9._-]", character) and character.isascii():
            encoded = character
        else:
            encoded = "".join(f"%{octet:02X}" for octet in character.encode("utf-8"))
        if len(current) + len(encoded) > 50:
            pieces.append(current)
            current = ""
        current += encoded
    pieces.append(current)
    if len(pieces) == 1:
        return f";\r\n {name}*=utf-8''{pieces[0]}".encode("ascii")
    lines = [
        f";\r\n {name}*{index}*=" + ("utf-8''" if index == 0 else "") + piece
        for index, piece in enumerate(pieces)
    ]
    return "".join(lines).encode("ascii")
