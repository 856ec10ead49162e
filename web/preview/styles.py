"""What is kept of a `style` attribute: plain properties with plain values, so that nothing loads.

A declaration is kept whole or not at all. One with a function other than those of colours and
lengths, with an escape, a comment, an at-rule or an unfinished string is left out (B24). Pure.
"""

from __future__ import annotations

import re

LONGEST = 4096
"""Characters of a style; from more nothing is kept."""
_PROPERTY = re.compile(
    r"(?:-webkit-text-size-adjust|mso-[a-z-]{1,40}"
    r"|(?:background|border|font|list-style|margin|max|min|outline|overflow|padding|text|word)"
    r"(?:-[a-z]+){0,4}|border-radius|box-sizing|clear|color|direction|display|float|height"
    r"|letter-spacing|line-height|opacity|table-layout|vertical-align|visibility|white-space"
    r"|width)\Z"
)
_PLAIN = re.compile(r"""[\w\s#%.,!+*/()'"-]*\Z""")
_FUNCTION = re.compile(r"([\w-]*)\(")
_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla", "calc", "min", "max", "clamp", ""})


def harmless(style: str) -> str:
    """The declarations that are kept; empty when there are none."""
    if len(style) > LONGEST:
        return ""
    return ";".join(each.strip() for each in style.split(";") if _is_plain(each))


def _is_plain(declaration: str) -> bool:
    name, colon, value = declaration.partition(":")
    if not colon or not _PROPERTY.match(name.strip().lower()):
        return False
    if not _PLAIN.match(value) or "/*" in value or value.count("(") != value.count(")"):
        return False
    if value.count('"') % 2 or value.count("'") % 2:
        return False
    return all(each.lower() in _FUNCTIONS for each in _FUNCTION.findall(value))
