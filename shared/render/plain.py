"""Plain text from HTML, for messages that come without any: links, lists, tables stay readable.

One pass over the page's tokens; work and output are in proportion to its length whatever it holds.
Of style sheets only `display: none` counts, in attributes. Pure, and never raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from shared.render.hidden import BLOCKS, Hidden, hides
from shared.render.link import Link, target_of
from shared.render.markup import TEXT, attributes, tokens
from shared.render.page import Page
from shared.render.table import Table

MAX_HTML = 512 * 1024
"""Characters; from more than this no text is derived, and the message stays HTML alone."""
TIMES, MORE = 2, 4096
"""A text of more than so many times the page, and so many characters more, is no text of it."""
DEEPEST_TABLE = 16
"""A table inside so many others is read without its rows and cells."""

_NUMBER = re.compile(r"[0-9]{1,4}\Z")
_COLUMNS = re.compile(r"""\bcolspan\s*+=\s*+["']?([0-9])\b""", re.IGNORECASE)


def plain_text(page: str) -> str | None:
    """The text of a page; None when there is none in it, or when it or the page is too large."""
    if len(page) > MAX_HTML:
        return None
    text = "\n".join(_Reader().read(page))
    if not text or len(text) > TIMES * len(page) + MORE:
        return None
    return text + "\n"


class _Reader:
    """The one pass, and what is open in it."""

    def __init__(self) -> None:
        self._pages = [Page()]
        """The whole page, and every open cell, the innermost last."""
        self._tables: list[Table] = []
        self._too_deep = 0
        self._link: Link | None = None
        self._at_verbatim_start = False

    @property
    def _page(self) -> Page:
        return self._pages[-1]

    def read(self, page: str) -> list[str]:
        """The lines of a page."""
        hidden: Hidden | None = None
        for name, rest in tokens(page.replace("\r\n", "\n").replace("\r", "\n")):
            if hidden is not None:
                held = hidden.holds(name)
                if hidden.over:
                    hidden = None
                if held:
                    continue
            if name == TEXT:
                self._text(rest)
            elif rest and hides(rest):
                hidden = Hidden(name)
                hidden = None if hidden.over else hidden
            else:
                self._tag(name, rest)
        self._too_deep = 0
        while self._tables:
            self._end_table("")
        self._end_link("")
        return self._page.finish()

    def _tag(self, name: str, attrs: str) -> None:
        act = _ACTS.get(name)
        if act is not None:
            act(self, attrs)
        elif name.removeprefix("/") in BLOCKS:
            self._page.part(_GAPS.get(name.removeprefix("/"), 1))

    # -- text and links ----------------------------------------------------------------------

    def _text(self, text: str) -> None:
        page = self._page
        if self._at_verbatim_start:
            text = text.removeprefix("\n")
            self._at_verbatim_start = False
        if self._link is not None and text.strip():
            self._link.write(text, page)
        else:
            page.put(text)

    def _start_link(self, attrs: str) -> None:
        self._end_link("")
        target = target_of(attributes(attrs).get("href", ""))
        if target:
            self._link = Link(target, len(self._pages))

    def _end_link(self, _: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.end(self._page)

    def _image(self, attrs: str) -> None:
        if self._link is not None:
            self._link.has_image = True
        self._text(attributes(attrs).get("alt", ""))

    def _quote(self, _: str) -> None:
        self._text('"')

    # -- lines, lists ------------------------------------------------------------------------

    def _line_break(self, _: str) -> None:
        self._page.line_break()

    def _rule(self, _: str) -> None:
        self._page.part(2)
        self._page.write("---")
        self._page.part(2)

    def _start_list(self, _: str) -> None:
        self._page.part(1 if self._page.lists else 2)
        self._page.lists.append(0)

    def _start_numbers(self, attrs: str) -> None:
        self._start_list("")
        first = attributes(attrs).get("start", "")
        self._page.lists[-1] = int(first) if _NUMBER.match(first) else 1

    def _end_list(self, _: str) -> None:
        page = self._page
        page.bullet = ""
        if page.lists:
            page.lists.pop()
        page.part(1 if page.lists else 2)

    def _start_item(self, attrs: str) -> None:
        page = self._page
        page.part(1)
        page.bullet = "* "
        if page.lists and page.lists[-1]:
            value = attributes(attrs).get("value", "") if attrs else ""
            if _NUMBER.match(value):
                page.lists[-1] = int(value)
            page.bullet = f"{page.lists[-1]}. "
            page.lists[-1] += 1

    def _end_item(self, _: str) -> None:
        self._page.bullet = ""
        self._page.part(1)

    def _start_quoted(self, _: str) -> None:
        self._page.part(2)
        self._page.quotes += 1

    def _end_quoted(self, _: str) -> None:
        self._page.part(2)
        self._page.quotes = max(0, self._page.quotes - 1)

    def _start_verbatim(self, _: str) -> None:
        self._page.part(2)
        self._page.verbatim += 1
        self._at_verbatim_start = True

    def _end_verbatim(self, _: str) -> None:
        self._page.part(2)
        self._page.verbatim = max(0, self._page.verbatim - 1)

    # -- tables ------------------------------------------------------------------------------

    def _start_table(self, _: str) -> None:
        self._page.part(2)
        if len(self._tables) < DEEPEST_TABLE:
            self._tables.append(Table())
        else:
            self._too_deep += 1

    def _table(self) -> Table | None:
        """The table whose rows and cells the tags are about."""
        return self._tables[-1] if self._tables and not self._too_deep else None

    def _start_cell(self, attrs: str) -> None:
        table = self._table()
        if table is None:
            self._page.space = True
            return
        self._end_cell("")
        columns = _COLUMNS.search(attrs) if attrs else None
        table.columns = int(columns[1]) if columns else 1
        table.cell = Page()
        self._pages.append(table.cell)

    def _end_cell(self, _: str) -> None:
        table = self._table()
        if table is None or table.cell is None:
            return
        if self._link is not None and self._link.depth == len(self._pages):
            self._end_link("")
        self._pages.pop()
        table.close_cell()

    def _start_row(self, _: str) -> None:
        self._end_row("")
        table = self._table()
        if table is not None:
            table.row()

    def _end_row(self, _: str) -> None:
        self._end_cell("")
        if self._table() is None:
            self._page.part(1)

    def _end_table(self, _: str) -> None:
        if self._too_deep:
            self._too_deep -= 1
        elif self._tables:
            self._end_cell("")
            self._page.add(self._tables.pop().text())
        self._page.part(2)


_Act = Callable[[_Reader, str], None]
_GAPS = dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6", "dl", "figure"), 2)
"""Elements with an empty line before and after them; the other blocks only begin a line."""
_ACTS: dict[str, _Act] = {
    "a": _Reader._start_link, "/a": _Reader._end_link, "img": _Reader._image,
    "br": _Reader._line_break, "hr": _Reader._rule, "q": _Reader._quote, "/q": _Reader._quote,
    "ul": _Reader._start_list, "/ul": _Reader._end_list,
    "ol": _Reader._start_numbers, "/ol": _Reader._end_list,
    "li": _Reader._start_item, "/li": _Reader._end_item,
    "blockquote": _Reader._start_quoted, "/blockquote": _Reader._end_quoted,
    "pre": _Reader._start_verbatim, "/pre": _Reader._end_verbatim,
    "table": _Reader._start_table, "/table": _Reader._end_table,
    **dict.fromkeys(("td", "th"), _Reader._start_cell),
    **dict.fromkeys(("/td", "/th"), _Reader._end_cell),
    "tr": _Reader._start_row,
    **dict.fromkeys(
        ("/tr", "tbody", "/tbody", "thead", "/thead", "tfoot", "/tfoot"), _Reader._end_row
    ),
}  # fmt: skip
