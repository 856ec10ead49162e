"""HTML as a stream of tokens, in one pass whose work grows with the page's length alone.

Follows the tokenizer of the HTML standard (section 13.2.5) where that shows in a mail: quoted
attributes, comments, raw text, what is not closed before the end. It builds no tree, never backs
up, and never raises; what has no end takes the rest of the page with it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

TEXT = ""
"""The name of a token that is text."""

_TAG = re.compile(
    r"<(/?)([A-Za-z][^ \t\n\f\r/>]*+)"
    r"""((?:[^=>]++|=[ \t\n\f\r]*+(?:"[^"]*+"|'[^']*+'|(?!["'])))*+)>"""
)
_LITERAL = re.compile(r"(?:<(?![A-Za-z/!?])[^<]*+)++")
"""From a `<` that begins nothing to the next one that may."""
_BOGUS = re.compile(r"<(?:[!?]|/(?![A-Za-z]))")
"""What is a comment although it should not be."""
_COMMENT_END = re.compile(r"--!?>")
_ATTRIBUTE = re.compile(
    r"""([^\s=/"'>][^\s=/>]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>][^\s>]*+)?+)?+"""
)
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
}
"""Elements whose text is not the page's, and where each ends."""


def tokens(page: str) -> Iterator[tuple[str, str]]:
    """(name, attributes) of a start tag, (/name, "") of an end tag, ("", text) of decoded text."""
    at, end = 0, len(page)
    while 0 <= at < end:
        opened = page.find("<", at)
        if opened != at:
            upto = end if opened < 0 else opened
            yield TEXT, decoded(page[at:upto])
            at = upto
        elif tag := _TAG.match(page, at):
            at = tag.end()
            name = tag[2].lower()
            if tag[1]:
                yield f"/{name}", ""
                continue
            yield name, tag[3]
            if name in _RAW:
                at = _start_of(_RAW[name].search(page, at))
        elif literal := _LITERAL.match(page, at):
            yield TEXT, decoded(literal[0])
            at = literal.end()
        else:
            at = _past(page, at)


def _start_of(found: re.Match[str] | None) -> int:
    return -1 if found is None else found.start()


def _past(page: str, at: int) -> int:
    """The end of a comment, or of what counts as one; -1 when that, or a tag, has none."""
    if page.startswith("<!--", at):
        if page.startswith((">", "->"), at + 4):  # An empty comment, by the standard.
            return page.index(">", at) + 1
        closed = _COMMENT_END.search(page, at + 4)
        return -1 if closed is None else closed.end()
    if _BOGUS.match(page, at):
        return page.find(">", at) + 1 or -1
    return -1


def decoded(text: str) -> str:
    """`text` with its character references replaced."""
    if "&" not in text:
        return text
    try:
        return html.unescape(text)
    except ValueError:  # A number of thousands of digits.
        return text


def attributes(text: str) -> dict[str, str]:
    """The attributes of a start tag; of two with one name the first counts.

    References without a semicolon stay as they are: `?a=1&copy=2` has two parameters.
    """
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        value = match[2] or ""
        if value[:1] in ("'", '"'):
            value = value[1:-1]
        if "&" in value:
            value = _REFERENCE.sub(lambda each: html.unescape(each[0]), value)
        found.setdefault(match[1].lower(), value)
    return found
