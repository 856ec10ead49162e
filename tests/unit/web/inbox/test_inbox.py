"""The inbox: what it keeps, what it shows, and that hostile mail stays harmless (B23, B24)."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from web.inbox.app import create_app
from web.inbox.mailbox import Mailbox
from web.inbox.reading import read
from web.preview.page import FRAME_POLICY, preview

HTML = b"""\
From: =?utf-8?q?J=C3=B6rg?= <a@b.test>\r
To: c@d.test\r
Subject: =?utf-8?b?R3LDvMOfZQ==?= <script>alert(1)</script>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=x\r
\r
--x\r
Content-Type: text/html; charset=utf-8\r
\r
<h1 onclick="evil()">Hi</h1><script>alert(1)</script><img src="http://t.test/p.gif">\
<img src="cid:logo"><a href="javascript:evil()">x</a><iframe src="http://t.test"></iframe>\
<meta http-equiv="refresh" content="0"><base href="http://t.test"><form action="/"></form>\
<p style="background:url(http://t.test/x)">styled</p><svg onload=evil()></svg>\r
--x\r
Content-Type: image/png\r
Content-ID: <logo>\r
Content-Transfer-Encoding: base64\r
\r
aGVsbG8=\r
--x\r
Content-Type: application/pdf\r
Content-Disposition: attachment; filename="../../a\xe2\x80\xaefdp.exe"\r
\r
pdf\r
--x--\r
"""
DAMAGED = [
    b"",
    b"no headers at all",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 5000,
    b"Content-Type: text/plain; charset=no-such\r\n\r\n\xff\xfe",
    b"Subject: =?utf-8?b?////?=\r\nFrom: \xff\xfe\r\n\r\nx",
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
    b"Subject: " + b"x" * 500_000 + b"\r\n\r\nx",
    b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(2000)
    ),
    b"Content-Disposition: attachment; filename*=utf-8''%ff%fe\r\n\r\nx",
    b"Content-Type: message/rfc822\r\n\r\n\r\n",
    b"Content-ID: <" + b"a" * 10_000 + b"\r\n\r\n",
]


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path, 5)


@pytest.fixture
def client(mailbox: Mailbox) -> FlaskClient:
    return create_app(mailbox).test_client()


def add(mailbox: Mailbox, data: bytes = HTML, to: tuple[str, ...] = ("c@d.test",)) -> str:
    letter = read(data)
    return mailbox.add(data, "a@b.test", to, letter.header("subject"), letter.header("from")).id


def test_b23_the_frame_holds_nothing_active(mailbox: Mailbox, client: FlaskClient) -> None:
    answer = client.get(f"/messages/{add(mailbox)}/html")
    page = answer.get_data(as_text=True)
    for word in ("script", "onclick", "onload", "javascript:", "t.test", "iframe", "<form", "<base",
                 "http-equiv", "svg"):  # fmt: skip
        assert word not in page
    assert "<h1>Hi</h1>" in page
    assert "data:image/png;base64,aGVsbG8=" in page
    assert answer.headers["Content-Security-Policy"] == FRAME_POLICY
    assert "sandbox;" in FRAME_POLICY


def test_b23_pages_escape_everything(mailbox: Mailbox, client: FlaskClient) -> None:
    identifier = add(mailbox)
    for path in ("/", *(f"/messages/{identifier}?view={v}" for v in ("html", "headers", "source"))):
        answer = client.get(path)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 200
        assert "<script>alert" not in page
        assert "Grüße" in page
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    assert 'sandbox=""' in client.get(f"/messages/{identifier}").get_data(as_text=True)


def test_b7_attachments_are_downloads_with_plain_names(
    mailbox: Mailbox, client: FlaskClient
) -> None:
    identifier = add(mailbox)
    answer = client.get(f"/messages/{identifier}/parts/1")
    assert answer.data.strip() == b"pdf"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; filename*=UTF-8''")
    assert ".." not in disposition
    assert "%E2%80%AE" not in disposition
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get(f"/messages/{identifier}/parts/9").status_code == 404


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_b23_damaged_mail_is_shown_and_never_an_error(
    mailbox: Mailbox, client: FlaskClient, data: bytes
) -> None:
    identifier = add(mailbox, data)
    for path in ("", "/html", "/source", "?view=headers", "?view=source"):
        assert client.get(f"/messages/{identifier}{path}").status_code == 200
    assert client.get("/").status_code == 200
    assert client.get(f"/api/messages/{identifier}").status_code == 200
    assert client.get(f"/api/messages/{identifier}/source").data == data


def test_blind_copies_are_marked(mailbox: Mailbox, client: FlaskClient) -> None:
    identifier = add(mailbox, to=("c@d.test", "hidden@d.test"))
    page = client.get(f"/messages/{identifier}").get_data(as_text=True)
    assert page.count("Bcc") == 1


def test_the_oldest_go_and_the_rest_survive_a_restart(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, 3)
    ids = [add(mailbox) for _ in range(5)]
    assert [entry.id for entry in mailbox.list()] == ids[:1:-1]
    (tmp_path / "damaged.json").write_text("{")
    again = Mailbox(tmp_path, 3)
    assert [entry.id for entry in again.list()] == ids[:1:-1]
    assert again.get(ids[-1]) is not None
    assert again.get("../../etc/passwd") is None


def test_search_and_the_api(mailbox: Mailbox, client: FlaskClient) -> None:
    add(mailbox, to=("one@d.test",))
    second = add(mailbox, b"Subject: Other\r\n\r\nx", to=("two@d.test",))
    found = client.get("/api/messages?to=two@d.test").get_json()["messages"]
    assert [each["id"] for each in found] == [second]
    assert "Other" not in client.get("/?q=gr%C3%BC%C3%9Fe").get_data(as_text=True)
    assert client.get(f"/api/messages/{second}").get_json()["text"].strip() == "x"


def test_b25_changes_must_come_from_our_pages(mailbox: Mailbox, client: FlaskClient) -> None:
    identifier = add(mailbox)
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/clear", headers=headers).status_code == 403
    assert client.get(f"/messages/{identifier}/delete").status_code == 405
    assert mailbox.list()
    ours = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post(f"/messages/{identifier}/delete", headers=ours).status_code == 303
    assert client.post("/clear", headers=ours).status_code == 303
    assert not mailbox.list()


def test_it_has_the_look_of_the_console_and_leads_back_there(mailbox: Mailbox) -> None:
    page = create_app(mailbox).test_client().get("/").get_data(as_text=True)
    assert "/console/" not in page
    client = create_app(mailbox, "https://console.test").test_client()
    page = client.get("/").get_data(as_text=True)
    assert '<a class="button button-quiet" href="https://console.test/console/">' in page
    for address in re.findall(r'(?:href|src)="(/[^"]+\.[a-z]+)"', page):
        with client.get(address) as answer:
            assert answer.status_code == 200, address
    with client.get("/look/console.css") as answer:
        assert answer.mimetype == "text/css"


def test_the_list_is_told_when_it_changes(mailbox: Mailbox, client: FlaskClient) -> None:
    add(mailbox)
    answers: list[str] = []

    def wait() -> None:
        answers.append(client.get("/fragment?version=1").get_data(as_text=True))

    waiting = threading.Thread(target=wait)
    waiting.start()
    add(mailbox, b"Subject: Fresh\r\n\r\nx")
    waiting.join(10)
    assert "Fresh" in answers[0]


def test_what_is_not_there_is_told_on_a_page_with_a_way_back(client: FlaskClient) -> None:
    page = client.get("/messages/no-such-message")
    assert page.status_code == 404
    assert "There is no such page or message" in page.text
    assert '<a class="button" href="/">To all mail</a>' in page.text
    assert "console.css" in page.text
    assert "console.css" not in client.get("/api/messages/no-such-message").text


def test_html_without_anything_dangerous_is_kept() -> None:
    letter = read(b"Content-Type: text/html\r\n\r\n<table><tr><td style='color:red'>x</td></tr>")
    assert 'style="color:red"' in preview(letter.html or "", {}).html


def test_links_are_told_and_lead_nowhere(mailbox: Mailbox, client: FlaskClient) -> None:
    data = b"Content-Type: text/html\r\n\r\n<a href='https://shop.test/reset?a=1&b=2'>Reset</a>"
    identifier = add(mailbox, data)
    frame = client.get(f"/messages/{identifier}/html").get_data(as_text=True)
    assert "<a>Reset</a>" in frame
    page = client.get(f"/messages/{identifier}").get_data(as_text=True)
    assert "https://shop.test/reset?a=1&amp;b=2" in page
