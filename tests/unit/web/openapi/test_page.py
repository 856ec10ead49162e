"""The description as a page: all of it is there, and nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from shared.settings import WebSettings
from tests.support.api import Api
from web.openapi.document import document
from web.openapi.page import kind, page, told
from web.openapi.problems import CODES
from web.openapi.schema import Schema, many, maybe, ref, text

DOCUMENT = document(WebSettings())
VOID = {"meta", "br", "input", "link", "img"}


class Elements(HTMLParser):
    """Ids, links, tags and the text of a page; it must be nested as it should."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes.update(given)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def elements() -> Elements:
    return Elements(page(DOCUMENT))


def test_every_operation_schema_and_code_is_on_it(elements: Elements) -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    wanted = {each["operationId"] for each in operations}
    wanted |= {f"schema-{name}" for name in DOCUMENT["components"]["schemas"]}
    assert len(operations) > 30
    assert wanted <= set(elements.ids)
    assert len(elements.ids) == len(set(elements.ids))
    for words in (*DOCUMENT["paths"], *CODES):
        assert words in elements.text


def test_every_field_is_on_it(elements: Elements) -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        for name in schema.get("properties", {}):
            assert name in elements.text


def test_every_link_leads_somewhere_here(elements: Elements) -> None:
    targets = {f"#{each}" for each in elements.ids} | {"openapi.json"}
    assert elements.links
    assert set(elements.links) <= targets


def test_nothing_runs_and_nothing_comes_from_elsewhere(elements: Elements) -> None:
    assert not elements.tags & {"script", "img", "link", "iframe", "form", "object", "base"}
    assert not {each for each in elements.attributes if each.startswith("on")} | (
        elements.attributes & {"style", "src"}
    )
    css = re.findall(r"<style>(.*?)</style>", page(DOCUMENT), re.DOTALL)
    assert len(css) == 1
    assert "url(" not in css[0]
    assert "@import" not in css[0]


def test_the_policy_allows_its_own_style_and_nothing_else(api: Api) -> None:
    answer = api.client.get("/docs")
    assert answer.content_type == "text/html; charset=utf-8"
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    again = api.client.get("/docs", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_text_is_escaped_before_it_is_marked_up() -> None:
    assert told("**a** `<b>` & <script>") == (
        "<p><b>a</b> <code>&lt;b&gt;</code> &amp; &lt;script&gt;</p>"
    )
    assert told("One:\n\n- `a`\n- b") == "<p>One:</p><ul><li><code>a</code></li><li>b</li></ul>"


LINK = '<a href="#schema-A">A</a>'


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (text(), "string"),
        (maybe(text(format="date-time")), "time or null"),
        (many(ref("A")), f"list of {LINK}"),
        (maybe(ref("A")), f"{LINK} or null"),
        (text(enum=["<a>"]), "<code>&#34;&lt;a&gt;&#34;</code>"),
    ],
)
def test_what_a_schema_is_in_words(schema: Schema, words: str) -> None:
    assert kind(schema) == words
