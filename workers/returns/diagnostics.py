"""What a server said: enhanced code, reply code and words, wherever they stand in it."""

from __future__ import annotations

import re

from workers.returns.report import MOST_TEXT

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_AT_START = re.compile(r"[ '\"#]{0,5}(?:smtp;)? ?([45]\d\d)(?=[\s\-:,]|\Z)", re.IGNORECASE)
_BEFORE_ENHANCED = re.compile(r"(?<![\d.])([45][0-5]\d)[ -]{1,3}#?[45]\.\d{1,3}\.\d{1,3}")
_AFTER_WORD = re.compile(
    r"(?:said:|returned:?|failed with:?|responded:?|response:|replied:?|was:|reason:|error:?|code"
    r"|error_code\s*:|smtp;|<<<|>>>|\]:|:|#) ?[:'\"#<(]{0,4} ?([45][0-5]\d)(?=[\s\-:.,'\")>]|\Z)",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?<![\w.:/@$-])(421|45[0-5]|50[0-4]|521|523|53[045]|541|55[0-6])(?=[ -]+[#<'\"(]?[A-Za-z#<(])"
    r"(?!\s+(?:[kmg]?b|bytes?|messages?|hours?|days?|minutes?|seconds?)\b)",
    re.IGNORECASE,
)
"""A number that is a code by its value, and no quantity by the word behind it."""
_LOOKED_AT = 2000


def one_line(text: str) -> str:
    """A text on one line, cut."""
    return _flat(text)[:MOST_TEXT]


def _flat(text: str) -> str:
    """Without runs of white space, which the patterns here count on."""
    return " ".join(text[:_LOOKED_AT].split())


def enhanced(text: str) -> str:
    """The first enhanced code of class 4 or 5 (RFC 3463), else of class 2; empty: there is none."""
    positive = ""
    for found in _ENHANCED.finditer(text[:_LOOKED_AT]):
        code = f"{found[1]}.{int(found[2])}.{int(found[3])}"
        if found[1] != "2":
            return code
        positive = positive or code
    return positive


def reply_code(text: str) -> int:
    """The first SMTP code of a refusal; 0: there is none."""
    text = _flat(text)
    for pattern in (_AT_START, _BEFORE_ENHANCED, _AFTER_WORD, _BARE):
        found = pattern.match(text) if pattern is _AT_START else pattern.search(text)
        if found:
            return int(found[1])
    return 0


def status(declared: str, diagnostic: str) -> str:
    """The enhanced code: what is declared, unless it is `other` and the server's words say more."""
    own, said = enhanced(declared), enhanced(diagnostic)
    more = said[:1] == own[:1] and own.endswith(".0") and not said.endswith(".0")
    return said if more or not own else own
