"""The parts of a page that are not shown: `display: none` and the `hidden` attribute.

Without a tree, a hidden element ends with its end tag, with the end of what it stands in, or with
a tag that implies its end (HTML standard, section 13.1.2.4).
"""

from __future__ import annotations

import re

from shared.render.markup import TEXT, attributes

BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd",
        "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure",
        "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html",
        "legend", "li", "listing", "main", "menu", "nav", "ol", "option", "p", "pre", "section",
        "summary", "table", "ul", "xmp",
    }
)  # fmt: skip
"""Elements that stand on lines of their own."""
CELLS = frozenset({"td", "th"})
ROWS = frozenset({"tr", "tbody", "thead", "tfoot"})

_VOID = frozenset(
    {
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param",
        "source", "track", "wbr",
    }
)  # fmt: skip
_MAY_HIDE = re.compile("none|hidden", re.IGNORECASE)
_DISPLAY_NONE = re.compile(r"(?:^|[;\s])display\s*+:\s*+none", re.IGNORECASE)
_ENCLOSING = BLOCKS | CELLS | ROWS
_ENDED_BY = {
    "p": BLOCKS,
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "option": frozenset({"option"}),
    "td": CELLS | ROWS,
    "th": CELLS | ROWS,
    "tr": ROWS,
}
"""Start tags that end an element whose end tag was left out."""
_SCOPES = ("table", "ul", "ol", "dl")
"""What is inside one of these ends nothing outside."""


def hides(attrs: str) -> bool:
    """Whether an element with these attributes is not shown."""
    if not _MAY_HIDE.search(attrs):
        return False
    found = attributes(attrs)
    return "hidden" in found or _DISPLAY_NONE.search(found.get("style", "")) is not None


class Hidden:
    """An element that is not shown, and what is open in it."""

    def __init__(self, name: str) -> None:
        self.over = name in _VOID
        """Whether it has ended."""
        self._name = name
        self._inside: dict[str, int] = {}

    def holds(self, name: str) -> bool:
        """Whether the next token belongs to it; `over` says whether that, or what, ended it."""
        if name == TEXT:
            return True
        if name.startswith("/"):
            return self._holds_end(name[1:])
        implied = name in _ENDED_BY.get(self._name, ())
        if implied and not any(self._inside.get(scope) for scope in _SCOPES):
            self.over = True
            return False
        if name not in _VOID:
            self._inside[name] = self._inside.get(name, 0) + 1
        return True

    def _holds_end(self, name: str) -> bool:
        if self._inside.get(name):
            self._inside[name] -= 1
            return True
        self.over = name == self._name or name in _ENCLOSING
        return name == self._name or not self.over
