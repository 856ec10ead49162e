"""What the receiver reads of a message: its number, its ids, where it can be sent back. Pure."""

from __future__ import annotations

import re
import zlib
from urllib.parse import urlsplit

import msgspec

from shared.feedback.tokens import REFERENCE_HEADER, return_path
from tests.chaos.fates import BOUNCES_DOMAIN, LINKS
from tests.chaos.mail import HEADER

_BOUNDARY = re.compile(rb"=_[0-9a-f]{32}")
_OWN = re.compile(
    rb"^(?:" + REFERENCE_HEADER.encode() + rb"|List-Unsubscribe): [^\r]*(?:\r\n[ \t][^\r]*)*\r\n",
    re.MULTILINE,
)
"""What each recipient's copy has of its own."""
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class Letter(msgspec.Struct, frozen=True):
    """One message as it came."""

    number: int
    message_id: str
    content: int
    """A checksum, without what is random or a recipient's own."""
    return_path: str
    """What its reference says it should be; empty: it has none."""
    link: str
    """The path of its unsubscribe link; empty: it has none."""
    header: bytes


def read(data: bytes) -> Letter | None:
    """The message; None without a number or Message-ID."""
    header = data[: data.find(b"\r\n\r\n") + 2]
    number, message_id = _field(header, HEADER), _field(header, "Message-ID")
    if not number.isdigit() or not message_id:
        return None
    token, link = _field(header, REFERENCE_HEADER), _field(header, "List-Unsubscribe").strip("<>")
    return Letter(
        int(number),
        message_id,
        zlib.crc32(_OWN.sub(b"", _BOUNDARY.sub(b"", data))),
        return_path(token, BOUNCES_DOMAIN) if token else "",
        urlsplit(link).path if link.startswith(f"{LINKS}/") else "",
        header,
    )


def _field(header: bytes, name: str) -> str:
    """A field's value, unfolded; empty: it is not there once."""
    pattern = rb"^" + name.encode() + rb": ((?:[^\r]|\r\n[ \t])*)\r$"
    found = re.findall(pattern, header, re.MULTILINE)
    return _FOLD.sub(b"", found[0]).decode() if len(found) == 1 else ""
