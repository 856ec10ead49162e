"""A stranger's HTML: nothing that is left of it can run, load, tell or lead anywhere (B23, B24)."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.web.preview.hostile import LOADS, PIXEL, RUNS
from web.preview.order import ATTRIBUTES, DEEPEST, MAX_HTML, TAGS, in_order
from web.preview.page import (
    FRAME_POLICY,
    MAX_INLINE_CHARACTERS,
    REMOTE_POLICY,
    Image,
    frame,
    preview,
)
from web.preview.styles import harmless

HOSTILE = {**RUNS, **LOADS}
IMAGES = {
    "logo": Image("image/png", b"hello"),
    "page": Image("text/html", b"<script>alert(1)</script>"),
}
VOID = {"br", "hr", "img", "wbr", "col"}


class _Elements(HTMLParser):
    """Every element and attribute that is left, and how deep it goes; comments are a failure."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.depth = self.deepest = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.depth += tag not in VOID
        self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def check(html: str, *, remote: bool = False) -> None:
    """Only what is known is left, and nothing that has an address but images inside the page."""
    for tag, attributes in _Elements(html).found:
        assert tag in TAGS, html
        for name, value in attributes.items():
            assert name in ATTRIBUTES["*"] | ATTRIBUTES.get(tag, frozenset()), html
            if name == "src":
                kinds = ("data:image/", "https://") if remote else ("data:image/",)
                assert (value or "").startswith(kinds), html
                assert "svg" not in (value or ""), html
            if name == "style":
                for word in ("url", "(h", "//", "\\", "@", "expression", "/*", "image-set", "--"):
                    assert word not in (value or "").lower(), html


@pytest.mark.parametrize("what", HOSTILE)
def test_b23_b24_nothing_hostile_is_left(what: str) -> None:
    shown = preview(HOSTILE[what], IMAGES)
    check(shown.html)
    check(preview(HOSTILE[what], IMAGES, remote=True).html, remote=True)
    assert preview(shown.html, IMAGES).html == shown.html, "it changes when it is read again"


@given(st.lists(st.sampled_from([*HOSTILE.values(), "<p>", "</p>", "<b>", "</b>", "'", '"', ">"])))
def test_b23_nothing_hostile_is_left_of_mixtures(pieces: list[str]) -> None:
    page = "".join(pieces)
    check(preview(page, IMAGES).html)
    halves = "".join(piece[: len(piece) // 2] for piece in pieces)
    check(preview(halves, IMAGES).html)


@given(st.text(alphabet="<>/!-='\"& \nabipstyle:;(){}\\\x00"))
def test_b23_nothing_hostile_is_left_of_noise(page: str) -> None:
    check(preview(page, {}).html)


def test_b24_the_frame_has_a_policy_of_its_own() -> None:
    response = frame(preview("<p>x</p>", {}))
    policy = response.headers["Content-Security-Policy"]
    assert policy == FRAME_POLICY
    assert "default-src 'none'; img-src data:;" in policy
    assert "sandbox;" in policy
    assert "allow-" not in policy
    assert "script-src" not in policy
    assert frame(preview("", {}), remote=True).headers["Content-Security-Policy"] == REMOTE_POLICY
    assert "img-src data: https:;" in REMOTE_POLICY


def test_b24_remote_images_are_shown_when_somebody_asks() -> None:
    page = f"<img src=https://shop.test/a.png><img src=http://shop.test/b.png><img src='{PIXEL}'>"
    shown = preview(page, {})
    assert shown.remote_images == 1
    assert "shop.test" not in shown.html
    assert PIXEL in shown.html
    asked = preview(page, {}, remote=True).html
    assert 'src="https://shop.test/a.png"' in asked
    assert "b.png" not in asked


def test_inline_images_stand_in_the_page() -> None:
    page = "<img src=cid:logo alt=Logo><img src=CID:logo><img src=cid:page>"
    shown = preview(page, IMAGES).html
    assert shown.count("data:image/png;base64,aGVsbG8=") == 2
    assert 'alt="Logo"' in shown
    assert "text/html" not in shown


def test_b23_one_image_many_times_is_no_bomb() -> None:
    shown = preview("<img src=cid:a>" * 40, {"a": Image("image/png", b"x" * 1024 * 1024)})
    assert len(shown.html) < MAX_INLINE_CHARACTERS + 500_000
    assert shown.html.count("base64") == 5


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000,
        "<div><table><tr><td></div></td></tr></table>" * 10_000,
        "".join(f"<b title={at}>" for at in range(20_000)) + "<p>x" * 50_000,
        "<div><b>" * 60 + "</b><b>" * 50_000,
        "<ul>" + "<li><p>" * 60_000,
        "<a><div>" * 50_000,
        "<table>" * 50_000,
        "<svg><b>" * 50_000,
        "</div><div>" * 40_000,
    ],
    ids=lambda page: page[:12],
)
def test_b23_depth_is_bounded_whatever_a_page_holds(page: str) -> None:
    ordered, _ = in_order(page)
    assert _Elements(ordered).deepest <= DEEPEST
    # The parser behind it adds what a table lacks, and no more.
    assert _Elements(preview(page, {}).html).deepest <= 2 * DEEPEST


def test_a_long_page_is_cut() -> None:
    shown = preview("<p>x</p>" + "y" * MAX_HTML, {})
    assert shown.cut
    assert len(shown.html) <= MAX_HTML
    assert not preview("<p>x</p>", {}).cut


def test_what_mail_is_made_of_stays() -> None:
    page = (
        "<center><table width=600 cellpadding=8 bgcolor=#ffffff style='border:1px solid #ddd'>"
        "<tr><td align=center style=\"font-family:'Helvetica Neue',Arial; color: rgb(1, 2, 3)\">"
        "<h1>Hi &amp; welcome</h1><p>One<p>Two<ul><li>a<li>b</ul><font color=red>x</font>"
        "</table></center>"
    )
    shown = preview(page, {}).html
    for kept in (
        'width="600"', 'bgcolor="#ffffff"', "border:1px solid #ddd", "color: rgb(1, 2, 3)",
        "'Helvetica Neue',Arial", "<h1>Hi &amp; welcome</h1>", "<p>One</p><p>Two</p>",
        "<li>a</li><li>b</li>", '<font color="red">x</font>',
    ):  # fmt: skip
        assert kept in shown


def test_an_end_tag_reaches_no_further_than_its_table() -> None:
    page = "<div><table><tr><td>a</div>b</td></tr></table>c</div>"
    assert "<td>ab</td>" in preview(page, {}).html
    assert preview(page, {}).html.endswith("c</div>")


def test_links_are_listed_and_lead_nowhere() -> None:
    page = (
        "<a href='https://shop.test/?a=1&amp;b=2'>x</a><a href=mailto:a@b.test>y</a>"
        "<a href=javascript:alert(1)>z</a><a href='https://shop.test/?a=1&amp;b=2'>again</a>"
    )
    shown = preview(page, {})
    assert shown.links == ("https://shop.test/?a=1&b=2", "mailto:a@b.test")
    assert "href" not in shown.html
    assert (
        len(preview("".join(f"<a href=https://a.test/{at}>" for at in range(999)), {}).links) == 100
    )


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        ("color:red;background:url(x);margin:0 auto", "color:red;margin:0 auto"),
        ("width:calc(100% - 2px)", "width:calc(100% - 2px)"),
        ("position:fixed;top:0", ""),
        ("color:red;" * 1000, ""),
        ("font-family:'a", ""),
        ("color:\\72 ed", ""),
        ("color:red/*x*/;margin:0", "margin:0"),
    ],
)
def test_b24_of_styles_plain_declarations_stay(style: str, kept: str) -> None:
    assert harmless(style) == kept
