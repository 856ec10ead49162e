"""The content of one part as it was meant: transfer encodings undone, then charsets (RFC 2045).

Bounded: of a part only its first `MOST_ENCODED` bytes are looked at. A wrong declaration gives what
can be read, never an exception. Linear.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re

from workers.returns.charsets import known, text_of
from workers.returns.mime import Part
from workers.returns.trouble import Troubles

MOST_ENCODED = 1024 * 1024
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64_LINE = re.compile(rb"\s*[A-Za-z0-9+/]+={0,2}[ \t]*(?:\n|\Z)")
_BEGIN = re.compile(rb"(?:\A|\n)begin [0-7]{3,4} [^\n]{0,200}\n")


def content(data: bytes, part: Part, troubles: Troubles, *, beginning: bool = False) -> bytes:
    """A part's content, decoded. `beginning`: no more is asked for, so that it is not too long."""
    end = part.end
    if end - part.start > MOST_ENCODED:
        if not beginning:
            troubles.add("part_too_long")
        end = part.start + MOST_ENCODED
    raw = data[part.start : end]
    encoding = part.fields.first("content-transfer-encoding").lower().strip(" \"';.")
    if encoding == "base64":
        if not _BASE64_LINE.match(raw):  # It says so, and is plain.
            troubles.add("bad_encoding")
            return raw
        return _lines(_base64(raw))
    if encoding == "quoted-printable":
        return _lines(quopri.decodestring(raw))
    if encoding in ("x-uuencode", "uuencode", "x-uue"):
        return _lines(uudecoded(raw) or raw)
    return raw


def text(data: bytes, part: Part, troubles: Troubles) -> str:
    """A part's content as text, lines ended by LF."""
    charset = part.parameters.get("charset", "").strip()
    if charset and not known(charset):
        troubles.add("bad_charset")
    return text_of(content(data, part, troubles), charset)


def uudecoded(raw: bytes) -> bytes:
    """What is between the first `begin` and its `end`; empty: there is none."""
    found = _BEGIN.search(raw)
    if not found:
        return b""
    out: list[bytes] = []
    for line in raw[found.end() :].split(b"\n"):
        if line.rstrip() in (b"end", b"`", b""):
            break
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            break  # The rest is of no use.
    return b"".join(out)


def _base64(raw: bytes) -> bytes:
    clean = _NOT_BASE64.sub(b"", raw)
    padded = clean.find(b"=")
    if padded >= 0:
        clean = clean[:padded]
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    return base64.b64decode(clean + b"=" * (-len(clean) % 4))


def _lines(decoded: bytes) -> bytes:
    return decoded.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
