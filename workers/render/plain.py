"""Plain text from HTML, for messages that come without any: links and tables stay readable."""

from __future__ import annotations

from inscriptis import get_text
from inscriptis.model.config import ParserConfig

MAX_HTML = 512 * 1024
"""Characters; from more than this no text is derived, and the message stays HTML alone."""

_CONFIG = ParserConfig(display_links=True)


def plain_text(html: str) -> str | None:
    """The text of a page; None when there is none in it, or the page is too large."""
    if len(html) > MAX_HTML:
        return None
    lines = [line.rstrip() for line in get_text(html, _CONFIG).splitlines()]
    text = "\n".join(lines).strip("\n")
    return text + "\n" if text.strip() else None
