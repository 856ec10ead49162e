"""Addresses as reports write them: with a type, in xtext, in angle brackets, amid words.

What is given back is what `shared.addresses.mailbox` makes of it, so that it is the same text as
the recipient's was when the message was accepted; what is no address is empty. Linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.addresses import mailbox
from workers.returns.fields import words

MOST_IN_TEXT = 2000
"""At signs of a text that are looked at."""

_XTEXT = re.compile(r"\+(2B|3D)")
_UNITEXT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_TYPED = re.compile(r"\s*(?:(rfc822|utf-8|unknown|smtp|[\w.-]{1,40})\s*;)?\s*(.*)", re.I | re.S)
_ROUTE = re.compile(r"@[^\s:,]{1,255}(?:,@[^\s:,]{1,255}){0,20}:")
_OUTSIDE = re.compile(r"[\s<>()\[\],;:\"\\]")
_LOCAL_TAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+\Z")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_WIDE_HOST = re.compile(r"[^\s<>()\[\],;:\"\\@]{1,253}")
_MOST = 320
_CONTROLS = re.compile(r"[\x00-\x20\x7f]")


def checked(address: str) -> str:
    """The address as it was accepted; empty: it is none."""
    if not 3 <= len(address) <= _MOST or _CONTROLS.search(address):
        return ""
    try:
        return mailbox(address) or ""
    except (ValueError, RecursionError):  # Of labels that no library has thought of.
        return ""


def typed(value: str) -> str:
    """The address of `rfc822; a@b`, or of `utf-8; ...` (RFC 6533); empty: none, or of another type.

    An original recipient that is still in the xtext of its ORCPT (RFC 3461 section 4.2) is decoded:
    only `+2B` and `+3D`, which is all that an address has in it; `raw` has it as it stands.
    """
    return checked(_XTEXT.sub(lambda found: chr(int(found[1], 16)), _raw(value)))


def raw(value: str) -> str:
    """The same, with what may be xtext left alone: `bob+2B@example.com` may be his name."""
    return checked(_raw(value))


def _raw(value: str) -> str:
    found = _TYPED.match(value[:1000])
    if found is None:
        return ""
    kind, rest = (found[1] or "").lower(), found[2]
    if kind in ("x400", "x500", "ex", "local", "dns", "notes"):
        return ""
    rest = _UNITEXT.sub(_character, rest)
    if "<" in rest and ">" in rest:
        rest = rest[rest.rindex("<") + 1 :].partition(">")[0]
    route = _ROUTE.match(rest)
    rest = rest[route.end() :] if route else rest
    rest = rest.strip().removeprefix("mailto:")
    if rest.startswith('"'):  # A display name, or a local part, in quotes: only whole atoms count.
        return next(in_text(rest), "") if rest.endswith('"') else ""
    return rest.split()[0].strip("(),;") if rest else ""


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if 0x20 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def in_header(value: str) -> Iterator[str]:
    """The addresses of a header field: To, Cc, ..."""
    return in_text(words(value) if "=?" in value else value)


def in_text(text: str) -> Iterator[str]:
    """All addresses in a text, in order, each as often as it is there."""
    for address, _, _ in spans(text):
        yield address


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """The same, with where each begins and ends."""
    at = -1
    for _ in range(MOST_IN_TEXT):
        at = text.find("@", at + 1)
        if at < 0:
            return
        before = _OUTSIDE.split(text[max(0, at - 64) : at])[-1].rpartition("@")[2]
        closed = text[max(0, at - len(before) - 1) : at - len(before)] in ("<", " ", "\n", "\t", "")
        for local, host in _readings(before, text[at + 1 : at + 254], closed):
            address = checked(f"{local}@{host}")
            if address:
                yield address, at - len(local), at + 1 + len(host)
                break


def _readings(before: str, after: str, closed: bool) -> Iterator[tuple[str, str]]:
    """The ways to read it. ASCII between words of another script stands for itself, as in Chinese,
    where there is no space before it; behind a space or an angle bracket all is read."""
    host, wide = _HOST.match(after), _WIDE_HOST.match(after)
    tail = _LOCAL_TAIL.search(before)
    ascii_host = host[0] if host else ""
    if closed and wide and not before.isascii():
        yield before, wide[0].rstrip(".'`")
    if tail and ascii_host:
        local = tail[0].lstrip("'`=.*|/-")
        yield local, ascii_host
    if wide and not wide[0].isascii():
        yield before, wide[0].rstrip(".'`。")
