"""Regular expressions of rules: compiled, and refused when a reply could make them take long.

Python's matcher tries one way after another, and what it is tried on comes from other people's
servers. So the ways are counted beforehand: of a repeat as many as it has lengths, of alternatives
the sum, of a sequence the product, and all of that for each place in the text to begin at.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import Any

from shared.errors import ConfigError

LONGEST_PATTERN = 400
LONGEST_TEXT = 512
"""Characters of a reply that are looked at; RFC 5321 section 4.5.3.1.5 has lines of 512 octets."""
MOST_WAYS = 3_000
"""From one place in the text; over all of a text made to be slow that takes some 30 ms at most."""

_parser: Any = importlib.import_module("re._parser")
"""The standard library's own reader of expressions; `sre_parse` until Python 3.11."""
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def compiled(text: str) -> re.Pattern[str]:
    """A rule's expression, to be searched for in any case. Raises `ConfigError`."""
    if len(text) > LONGEST_PATTERN:
        raise ConfigError(f"an expression has {LONGEST_PATTERN} characters at most")
    try:
        pattern = re.compile(text, re.IGNORECASE)
        most = ways(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"is no regular expression: {error}") from error
    if most > MOST_WAYS:
        raise ConfigError(
            "could take very long on some replies: say how often something may repeat, such as"
            r" .{0,40} for .* and \d{1,3} for \d+, and put no repeat inside a repeat"
        )
    return pattern


def ways(text: str) -> int:
    """In how many ways an expression can be matched from one place; counted up to a bound."""
    return _ways(_parser.parse(text, re.IGNORECASE))


def _ways(items: Iterable[tuple[Any, Any]]) -> int:
    """The same of a sequence."""
    found = 1
    for kind, argument in items:
        found = min(found * _ways_of(str(kind), argument), MOST_WAYS + 1)
    return found


def _ways_of(kind: str, argument: Any) -> int:
    if kind in _REPEATS:
        least, most, items = argument
        most = min(int(most), LONGEST_TEXT)
        inner = _ways(items)
        if inner == 1:
            return most - min(int(least), most) + 1
        return sum(min(inner, MOST_WAYS + 1) ** times for times in range(min(most, 15) + 1))
    if kind == "BRANCH":
        return sum(_ways(branch) for branch in argument[1])
    if kind in ("SUBPATTERN", "ASSERT", "ASSERT_NOT"):
        return _ways(argument[-1])
    if kind == "ATOMIC_GROUP":
        return _ways(argument)
    if kind == "GROUPREF_EXISTS":
        return sum(_ways(branch) for branch in argument[1:] if branch is not None)
    return 1
