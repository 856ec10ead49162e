"""The arguments of MAIL and RCPT (RFC 5321 section 4.1.2): a path and its parameters. Pure."""

from __future__ import annotations

import re

import msgspec

_ARGUMENT = re.compile(
    rb"""
    \ *
    (?: < (?:@[^:<>"]{1,1000}:)?                    # A source route is read and forgotten.
          (?P<path> (?: "(?:[^"\\]|\\.)*" | [^"<>] )* ) >
      | (?P<bare> [^\s<>"]+ ) )                     # Some leave the brackets away.
    (?P<rest> (?:\ +[^\s]+)* ) \ *
    """,
    re.VERBOSE,
)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\s]+))?")
MOST_PATH = 256
"""RFC 5321 section 4.5.3.1.3."""


class Argument(msgspec.Struct, frozen=True):
    """What MAIL or RCPT says."""

    path: str
    """The address; empty: the null sender."""
    parameters: dict[str, str]
    """Names in upper case; a value is empty where there is none."""


def argument(text: bytes, word: bytes) -> Argument | None:
    """What stands behind the verb, `FROM:<...> SIZE=1` with `word` FROM; None: it is malformed."""
    head, colon, tail = text.partition(b":")
    if not colon or head.strip(b" ").upper() != word:
        return None
    found = _ARGUMENT.fullmatch(tail)
    if found is None:
        return None
    path = found["path"] if found["bare"] is None else found["bare"]
    try:
        address, rest = path.decode(), found["rest"].decode("ascii")
    except UnicodeDecodeError:
        return None
    if len(path) > MOST_PATH or not address.isprintable():
        return None
    parameters: dict[str, str] = {}
    for each in rest.split():
        one = _PARAMETER.fullmatch(each)
        if one is None or one[1].upper() in parameters:
            return None
        parameters[one[1].upper()] = one[2] or ""
    return Argument(address, parameters)
