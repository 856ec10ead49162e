"""From HTML to the text that it shows; enough for reports, which are short. Linear."""

from __future__ import annotations

import html
import re

MOST = 512 * 1024
_HIDDEN = ("style", "script", "head")
_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?table|/?li|/?ul|/?h[1-6]|/?pre|hr)\b[^<>]*>", re.I)
_TAG = re.compile(r"<[^<>]*>")


def shown(text: str) -> str:
    """The text of an HTML page."""
    text = text[:MOST]
    for name in _HIDDEN:
        text = _without(text, name)
    text = _TAG.sub("", _BREAK.sub("\n", text))
    return html.unescape(text).replace("\xa0", " ")


def _without(text: str, name: str) -> str:
    """Without an element that is not shown; one that does not end hides nothing."""
    lower = text.lower()
    if len(lower) != len(
        text
    ):  # A letter whose lower case is two: positions would not be the same.
        lower = text
    kept: list[str] = []
    at = 0
    while True:
        start = lower.find(f"<{name}", at)
        end = lower.find(f"</{name}>", start) if start >= 0 else -1
        if end < 0:
            kept.append(text[at:])
            return "".join(kept)
        kept.append(text[at:start])
        at = end + len(name) + 3
