"""Lines of the protocol: commands out, replies in (RFC 5321 section 4.1.1 and 4.2)."""

from __future__ import annotations

import re
from functools import lru_cache

from workers.smtp.types import Broken, OutOfStep, Reply

KEPT_TEXT = 1000
"""Characters of a reply that are read."""

_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]?)(.*)\Z", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |\Z)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f]")
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")


def check_text(text: str) -> None:
    """Raise `Broken` for C0 or DEL, which no command and nothing encoded in one has."""
    if _FORBIDDEN.search(text):
        raise Broken("control character in a command")


def command(text: str) -> bytes:
    """A command line. Raises `Broken` for C0 or DEL, before a byte is written."""
    check_text(text)
    try:
        return text.encode("utf-8") + b"\r\n"
    except UnicodeEncodeError as error:
        raise Broken("unpaired surrogate in a command") from error


def path(address: str) -> str:
    """An address between angle brackets. Raises `Broken` when it would end them early."""
    if "<" in address or ">" in address:
        raise Broken("angle bracket in an address")
    return f"<{address}>"


def xtext(text: str) -> str:
    """ASCII text as the value of a DSN parameter (RFC 3461 section 4)."""
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)


@lru_cache(maxsize=2048)
def parse_line(line: bytes) -> Reply:
    """A reply of one line, its line end removed. Raises `OutOfStep` when it is none."""
    return parse_reply((line,))


def parse_reply(lines: tuple[bytes, ...]) -> Reply:
    """A reply from its lines, line ends removed. Raises `OutOfStep` when they are no reply."""
    code, texts = 0, []
    for line in lines:
        match = _LINE.match(line)
        if match is None or (code and int(match[1]) != code):
            raise OutOfStep("protocol error")
        code = int(match[1])
        texts.append(match[3].decode("utf-8", "replace"))
    enhanced = ""
    found = _ENHANCED.match(texts[0])
    if found:
        enhanced = found[1]
        texts = [text.removeprefix(enhanced).lstrip(" ") for text in texts]
    text = _CONTROL.sub("\ufffd", " ".join(texts))
    return Reply(code, enhanced, text[:KEPT_TEXT])
