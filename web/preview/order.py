"""HTML of a stranger, put in order before it is sanitised: few elements, each closed, not too deep.

What comes out is well formed, so that the parser behind it sees what is written here and nothing
else: no comments, no raw text, no foreign content, nothing misnested. That is where sanitisers and
browsers disagree (mXSS), and where parsers take time that grows with the square of the depth: half
a megabyte of open `<div>` takes 30 seconds. It is no sanitiser itself. Pure, and never raises.
"""

from __future__ import annotations

from collections import Counter
from html import escape

from shared.render.hidden import BLOCKS, CELLS, ROWS
from shared.render.markup import TEXT, attributes, tokens

MAX_HTML = 512 * 1024
"""Characters; what is behind them is not shown."""
DEEPEST = 100
"""Elements inside each other; a tag that would open more is left out."""
MOST_LINKS = 100

_VOID = frozenset({"br", "hr", "img", "wbr", "col"})
TAGS = frozenset(
    {
        "a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote",
        "caption", "center", "cite", "code", "colgroup", "dd", "del", "details", "dfn",
        "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4",
        "h5", "h6", "header", "hgroup", "i", "ins", "kbd", "li", "main", "mark", "nav",
        "ol", "p", "pre", "q", "s", "samp", "section", "small", "span", "strike", "strong", "sub",
        "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time", "tr", "tt", "u",
        "ul", "var",
    }
) | _VOID  # fmt: skip
"""Elements that are shown. Of others what is in them is, without them."""
ATTRIBUTES: dict[str, frozenset[str]] = {
    "*": frozenset(
        {
            "align", "valign", "width", "height", "bgcolor", "color", "dir", "lang", "title",
            "style",
        }
    ),
    "img": frozenset({"src", "alt", "border", "hspace", "vspace"}),
    "table": frozenset({"border", "cellpadding", "cellspacing", "summary"}),
    "td": frozenset({"colspan", "rowspan", "nowrap"}),
    "th": frozenset({"colspan", "rowspan", "nowrap", "scope"}),
    "col": frozenset({"span"}),
    "colgroup": frozenset({"span"}),
    "font": frozenset({"face", "size"}),
    "ol": frozenset({"start", "type"}),
    "ul": frozenset({"type"}),
    "li": frozenset({"value"}),
}  # fmt: skip
"""What elements may have; `*`: any."""
_NONE: frozenset[str] = frozenset()
_CLOSES = {
    **dict.fromkeys(BLOCKS, frozenset({"p"})),
    "li": frozenset({"li", "p"}),
    **dict.fromkeys(("dt", "dd"), frozenset({"dt", "dd", "p"})),
    **dict.fromkeys(CELLS, CELLS | {"caption", "colgroup"}),
    **dict.fromkeys(ROWS, CELLS | ROWS | {"caption", "colgroup"}),
    "tr": CELLS | {"tr", "caption", "colgroup"},
    "a": frozenset({"a"}),
}
"""What a start tag ends where its end tag was left out (HTML standard, section 13.1.2.4)."""
_PARTS = CELLS | ROWS
_TABLE = frozenset({"table"})
_LISTS = _TABLE | {"ul", "ol", "dl"}
_LINKS = ("http://", "https://", "mailto:", "tel:")


def in_order(page: str, *, linked: bool = False) -> tuple[str, tuple[str, ...]]:
    """The page, well formed, without what is not shown; and where its links lead.

    With `linked` they keep where they lead: of a page that is to be sent.
    """
    order = _Order(linked=linked)
    for name, rest in tokens(page[:MAX_HTML]):
        if name == TEXT:
            order.parts.append(escape(rest, quote=False))
        elif name.startswith("/"):
            order.end(name[1:])
        elif name in TAGS:
            order.start(name, rest)
    order.close(0)
    return "".join(order.parts), tuple(order.links)


class _Order:
    """What is written so far, and what is open in it."""

    def __init__(self, *, linked: bool) -> None:
        self._of_links = frozenset({"href"}) if linked else _NONE
        self.parts: list[str] = []
        self.links: dict[str, None] = {}
        self._open: list[str] = []
        self._count: Counter[str] = Counter()
        """How many of each are open."""

    def start(self, name: str, rest: str) -> None:
        """A start tag."""
        closes = _CLOSES.get(name, _NONE)
        if any(map(self._count.__getitem__, closes)):
            self.close(self._first(closes, name))
        if len(self._open) >= DEEPEST:
            return
        given = attributes(rest) if rest else {}
        if name == "a":
            self._link(given.get("href", ""))
        kept = (
            ATTRIBUTES["*"]
            | ATTRIBUTES.get(name, _NONE)
            | (self._of_links if name == "a" else _NONE)
        )
        self.parts.append(f"<{name}")
        self.parts += [f' {key}="{escape(given[key])}"' for key in given if key in kept]
        self.parts.append(">")
        if name not in _VOID:
            self._open.append(name)
            self._count[name] += 1

    def end(self, name: str) -> None:
        """An end tag: what is open inside ends, too; it reaches no further than its table."""
        if not self._count[name]:
            return
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] == name:
                self.close(at)
                return
            if self._open[at] == "table":
                return

    def close(self, at: int) -> None:
        """End what is open from there on."""
        self.parts += [f"</{name}>" for name in reversed(self._open[at:])]
        self._count.subtract(self._open[at:])
        del self._open[at:]

    def _first(self, closes: frozenset[str], name: str) -> int:
        """Where the outermost begins that such a start tag ends."""
        stops = _LISTS if name in ("li", "dt", "dd") else _TABLE
        inside = _NONE if name in _PARTS else CELLS
        found = len(self._open)
        for at in range(found - 1, -1, -1):
            if self._open[at] in closes:
                found = at
            elif self._open[at] in stops or self._open[at] in inside:
                break
        return found

    def _link(self, target: str) -> None:
        target = "".join(target.split())[:2000]
        if target.lower().startswith(_LINKS) and len(self.links) < MOST_LINKS:
            self.links[target] = None
