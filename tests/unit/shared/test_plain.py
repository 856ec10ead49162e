"""Text from HTML: readable, and never more work or room than the page is worth."""

from __future__ import annotations

import html
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.render.plain import DEEPEST_TABLE, MAX_HTML, MORE, TIMES, plain_text


def shown(page: str) -> str:
    """The text with its last line end."""
    found = plain_text(page)
    assert found is not None
    assert found.endswith("\n")
    return found[:-1]


PAGES = [
    ("<h1>Reset</h1><p>Hi &amp; welcome,<br>Ann</p>\n <div>a</div><div>b  c\n d</div>",
     "Reset\n\nHi & welcome,\nAnn\n\na\nb c d"),
    ("<p>See <a href='https://x.test/?a=1&amp;b=2&copy=3'>the <b>page</b></a>, please",
     "See [the page](https://x.test/?a=1&b=2&copy=3), please"),
    ("<a href='https://x.test/'>https://x.test/</a> <a href='mailto:a@b.test'>a@b.test</a>",
     "https://x.test/ a@b.test"),
    ("<a href='#top'>up</a> <a name=x>here</a>", "up here"),
    ("<a href='https://x.test'><img src=l.png alt='Shop'></a> <a href='https://y.test'><img></a>",
     "[Shop](https://x.test) https://y.test"),
    ("<ul><li>one<li>two<ul><li>deep<br>er</ul></ul><ol start=3><li>c</li><li value=7>d</li></ol>",
     "* one\n* two\n  * deep\n    er\n\n3. c\n7. d"),
    ("<blockquote>said<p>more</blockquote>after<hr>end", "> said\n\n> more\n\nafter\n\n---\n\nend"),
    ("<blockquote>" * 9 + "<ul><li>" * 9 + "x<br>y", "> > > * x\n> > > > y"),
    ("<pre>\n  a\n\n    b &lt;\n</pre>c", "  a\n\n    b <\n\nc"),
    ("<q>x</q> a<sup>2</sup> caf&eacute; &#8364;", '"x" a2 caf\xe9 \u20ac'),
    ("a < b and c <3 &unknown; &#99999999;", "a < b and c <3 &unknown; \ufffd"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "text"), PAGES)
def test_it_reads_as_the_page_does(page: str, text: str) -> None:
    assert shown(page) == text


TABLES = [
    ("<table><tr><td>Order</td><td>1001</td></tr></table>", "Order  1001"),
    ("<table><tr><th>Item<th>No<th>Price<tr><td>Hat<br>red<td>1<td>9.00<tr><td colspan=2>All<td>9",
     "Item  No  Price\nHat   1   9.00\nred\nAll       9"),
    ("<table><tr><td>Logo</td></tr><tr><td><p>Dear Ann,</p><p>thank you.</p></td></tr></table>",
     "Logo\n\nDear Ann,\n\nthank you."),
    (f"<table><tr><td>{'x ' * 40}<br>y</td><td>z<br>{'w ' * 40}</td></tr></table>",
     f"{'x ' * 39}x\ny\n\nz\n{'w ' * 39}w"),
    ("<table><tr><td><table><tr><td>a<td>b<tr><td>c<td>d</table></td><td>e</td></tr></table>",
     "a  b\nc  d\n\ne"),
    ("x<table><tr><td><a href='https://x.test'>Go</a></td></tr></table>y",
     "x\n\n[Go](https://x.test)\n\ny"),
    ("<ul><li><table><tr><td>a<tr><td>b</table></ul>", "* a\n  b"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "text"), TABLES)
def test_tables_stay_readable(page: str, text: str) -> None:
    assert shown(page) == text


HIDDEN = [
    "<div style='color: red; DISPLAY : none'>no<div>no</div>no</div>yes",
    "<p hidden>no<p>yes",
    "<table><tr><td style='display:none'>no<td>yes</table>",
    "<table><tr style='display:none'><td>no<table><tr><td>no</table><tr><td>yes</table>",
    "<div><span style='display:none'>no</div>yes",
    "<ul><li style='display:none'>no<ul><li>no</ul><li style='list-style: none'>yes</ul>",
    "<img style='display:none' alt=no>yes",
    "<script>'</p>no'</script><style>no</style><title>no</title>yes<script>no",
    "<!-- no --><!--[if mso]><p>no</p><![endif]--><!--[if !mso]><!-->yes<!--<![endif]--><!-- no",
    "<!no><?no?></ no>yes<a href='no",
    "yes&zwnj;&nbsp;&zwnj; &#8203;",
]


@pytest.mark.parametrize("page", HIDDEN)
def test_what_is_not_shown_is_not_read(page: str) -> None:
    assert shown(page).strip("* \u200c") == "yes"


@pytest.mark.parametrize("page", ["", " \n", "<img src='cid:x'>", "<p hidden>x", "&nbsp;&#8203;"])
def test_nothing_to_read(page: str) -> None:
    assert plain_text(page) is None


def test_styles_do_not_count() -> None:
    page = "<p style='padding-left:100000em;margin:9999em' align=right>" + "x<br>" * 100
    assert shown(page) == "\n".join("x" * 100)


BOMBS = {
    "padding": ("<p style='padding-left:100000em;margin-top:99999em'>", "x<br>", ""),
    "tables": ("", "<table><tr><td>", "x"),
    "full tables": ("", "<table><tr><td>x<td>y", ""),
    "small tables": ("", "<table><tr><td>x<td>y</table>", ""),
    "wide rows": (f"<table><tr><td>{'x' * 4000}<td>y", "<tr><td>y<td>z", ""),
    "tall cells": (f"<table><tr><td>{'x' * 60}<td>", "y<br>", ""),
    "deep and tall": ("<table><tr><td>a<td>" * 16, "<br>y", ""),
    "deep and aligned": ("<table><tr><td>q<td>" * 15, "<tr><td>xxxx<td>y", ""),
    "cells": ("<table><tr>", "<td>x", ""),
    "columns": ("<table>", "<td colspan=9 rowspan=9>x", ""),
    "many columns": ("<table>", "<td colspan=99999 rowspan=99999>x", ""),
    "lists": ("", "<ul><li>x", ""),
    "numbers": (f"<ol><li value={'9' * 4000}>", "<li>x", ""),
    "quotes": ("", "<blockquote>x", ""),
    "rules": ("", "<hr>", ""),
    "lines of a list": ("<ul><li>" * 9, "<br>x", ""),
    "pre in a list": ("<ul><li>" * 9 + "<pre>", "\n", "x"),
    "pre": ("", "<pre>\n", "x"),
    "elements": ("", "<b>", "x"),
    "filled elements": ("", "<b>x</b>", ""),
    "paragraphs": ("", "<p>x", ""),
    "end tags": ("", "</b></p></td></ul></table>", "x"),
    "links": ("", "<a href=u>x", ""),
    "images in links": ("", "<a href=u><img>", ""),
    "links around tables": ("", "<a href=u>x<table><tr><td>y</table></a>", ""),
    "hidden": ("", "<div hidden>x", ""),
    "hidden paragraphs": ("", "<p hidden>x", ""),
    "attributes": ("<p ", "a ", ">x"),
    "attributes once each": ("<a ", "".join(f"a{n}=none " for n in range(3000)), ">x"),
    "quotes in tags": ("", "<a ='>'", ""),
    "open quotes": ("", "<a b='", ""),
    "open tags": ("", "<a ", ""),
    "less than": ("", "<", "x"),
    "references": ("", "&amp", ""),
    "unknown references": ("", "&" + "a" * 32, ""),
    "long numbers": ("", "&#" + "9" * 5000, ""),
    "doubled references": ("", "&amp;#" + "9" * 5000, ""),
    "comments": ("", "<!--", ""),
    "empty comments": ("", "<!-->", "x"),
    "declarations": ("", "<![CDATA[", ""),
    "bogus comments": ("", "</ ", ""),
    "scripts": ("", "<script>x</script", ""),
    "spaces": ("", " \n", "x"),
    "invisible": ("", "\u200b ", "x"),
}


def bomb(name: str, size: int) -> str:
    """A page of about `size` characters."""
    before, unit, after = BOMBS[name]
    return before + unit * max(1, (size - len(before)) // len(unit)) + after


class Counter:
    """Counts calls, of Python and of C functions."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: object, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")


def room_for(page: str) -> int:
    return TIMES * len(page) + MORE


@pytest.mark.parametrize("name", BOMBS)
def test_no_page_is_a_bomb(name: str) -> None:
    """Calls, memory and text in proportion to the page; no clock is asked."""
    page = bomb(name, 8192)
    counter: Any = Counter()
    tracemalloc.start()
    sys.setprofile(counter)
    try:
        text = plain_text(page)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert text is None or len(text) <= room_for(page)
    assert counter.calls < 12 * len(page)
    assert peak < 120 * len(page)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from tests.unit.shared.test_plain import BOMBS, bomb, room_for
from shared.render.plain import MAX_HTML, plain_text
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
for name in sys.argv[1:]:
    page = bomb(name, MAX_HTML)[:MAX_HTML]
    assert len(plain_text(page) or "") <= room_for(page), name
"""
SCANNED = [
    "padding", "wide rows", "tall cells", "deep and tall", "numbers", "attributes",
    "attributes once each", "quotes in tags", "open quotes", "open tags", "less than",
    "long numbers", "doubled references", "comments", "declarations", "bogus comments", "scripts",
    "spaces",
]  # fmt: skip
"""Where the work would be in expressions and searches, which no call shows."""


def test_the_largest_pages_fit_into_400_mb_and_a_minute_together() -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, *SCANNED], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_a_text_much_larger_than_its_page_is_none() -> None:
    page = "<ul>" * 3 + "<ol start=9999>" + "<li>x" * 20
    assert shown(page).startswith("      9999. x\n      10000. x\n")
    assert plain_text(page + "<li>x" * 2000) is None


def test_a_table_is_aligned_only_while_that_adds_little() -> None:
    row = f"<table><tr><td>{'x' * 60}<td>"
    assert shown(row + "y<br>" * 2) == f"{'x' * 60}  y\n{' ' * 62}y"
    assert shown(row + "y<br>" * 9) == "x" * 60 + "\n" + "\ny" * 9


def test_tables_very_deep_inside_others_lose_their_cells_and_not_their_text() -> None:
    outer, inner = "<table><tr><td>", "<table><tr><td>a<td>b<tr><td>c<td>d"
    assert shown(outer * (DEEPEST_TABLE - 1) + inner) == "a  b\nc  d"
    assert shown(outer * DEEPEST_TABLE + inner + "</table>") == "a b\nc d"
    assert shown(outer * 300 + inner) == "a b\nc d"


def test_a_page_too_large_has_no_text() -> None:
    assert plain_text("x" * MAX_HTML) is not None
    assert plain_text("x" * (MAX_HTML + 1)) is None


TAGS = [
    "p", "div", "br", "hr", "b", "a", "ul", "ol", "li", "dl", "dt", "dd", "table", "tr", "td",
    "th", "tbody", "pre", "q", "blockquote", "img", "span", "h1", "script", "style", "title",
    "option",
]  # fmt: skip
ATTRIBUTES = [" href=u", " hidden", " style='display:none'", " alt='x'", " colspan=3", " value=5"]
pieces = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]),
    st.builds("<{}{}>".format, st.sampled_from(TAGS), st.sampled_from(ATTRIBUTES)),
    st.sampled_from(["x", " ", "\n", "<", ">", "&", "&amp;", "&#", "<!--", "-->", "'", '"', "="]),
    st.text(max_size=8),
)  # fmt: skip


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.lists(pieces, max_size=60).map("".join))
def test_any_page_gives_a_small_text(page: str) -> None:
    text = plain_text(page)
    if text is not None:
        assert text.strip()
        assert len(text) <= room_for(page)
        assert not any(line.endswith(" ") for line in text.split("\n"))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), min_size=1),
    st.sampled_from(["p", "b", "div", "td", "li", "pre", "h1", "blockquote"]),
)
def test_no_word_is_lost(words: list[str], tag: str) -> None:
    page = "<table><tr>" + "".join(f"<{tag}>{html.escape(word)} </{tag}>" for word in words)
    found = shown(page)
    at = 0
    for word in words:
        at = found.index(word, at) + len(word)
