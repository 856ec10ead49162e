"""Text as a MIME part: line ends made CRLF, then the shortest safe encoding.

Gives the part's transfer encoding and its bytes, which end in CRLF and hold no line over 998
octets, no NUL, and CR and LF only together (RFC 5322 section 2.3, RFC 2045 section 6).
"""

from __future__ import annotations

import binascii
import re

LONGEST = 990

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_UNSAFE = bytes({*range(32), 127} - {9, 10, 13})
"""Controls that text should not carry: all but TAB, CR and LF."""


def _has_unsafe(data: bytes) -> bool:
    return len(data.translate(None, _UNSAFE)) != len(data)


def _has_long_line(data: bytes) -> bool:
    """Whether a line has more than `LONGEST` octets; jumps from line end to line end."""
    at, end = 0, len(data) - LONGEST
    while at < end:
        at = data.rfind(b"\n", at, at + LONGEST + 1) + 1
        if at == 0:
            return True
    return False


def normalise(text: str) -> bytes:
    """UTF-8 with CRLF line ends, and one at the end."""
    if "\r" in text:
        text = _LINE_ENDS.sub("\n", text)
    if not text.endswith("\n"):
        text += "\n"
    return text.replace("\n", "\r\n").encode("utf-8")


def encode_text(text: str) -> tuple[bytes, bytes]:
    """The transfer encoding's name and the encoded bytes, for one text part."""
    plain = normalise(text)
    if plain.isascii() and not _has_unsafe(plain) and not _has_long_line(plain):
        return b"7bit", plain
    printable = _quoted_printable(plain)
    # Base64 costs 4 octets for 3, and CRLF for every 57.
    if len(printable) <= (len(plain) + 2) // 3 * 4 + len(plain) // 57 * 2 + 2:
        return b"quoted-printable", printable
    return b"base64", encode_base64(plain)


def _quoted_printable(plain: bytes) -> bytes:
    """RFC 2045 section 6.7 on text whose line ends are CRLF."""
    encoded = binascii.b2a_qp(plain.replace(b"\r\n", b"\n"), istext=True, quotetabs=False)
    return encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def encode_base64(data: bytes) -> bytes:
    """RFC 2045 section 6.8, in lines of 76."""
    encoded = binascii.b2a_base64(data, newline=False)
    if not encoded:
        return b"\r\n"
    return b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76)) + b"\r\n"


def is_clean(data: bytes, *, eight_bit: bool = False) -> bool:
    """Whether bytes may travel as they are: CRLF line ends only, no long line, 7-bit or 8-bit."""
    if not (eight_bit or data.isascii()) or _has_unsafe(data):
        return False
    without = data.replace(b"\r\n", b"")
    if b"\r" in without or b"\n" in without:
        return False
    return not _has_long_line(data)
