"""One message's page: what became of it, its content for who may see it, and hostile text."""

from __future__ import annotations

import base64
import re
from typing import Any, get_args

import msgspec
import pytest

from shared.api_keys import OWN_APPLICATION
from shared.classification.meaning import Category
from shared.model.message import pack_head, unpack_head
from shared.model.status import Status
from tests.support.console import ConsoleApi
from tests.support.delivering import attempt_all, claim, raw, settle
from tests.support.system import message
from web.console import became, written
from web.preview.page import FRAME_POLICY, REMOTE_POLICY

HX = {"HX-Request": "true"}
EVIL = "<script>alert(1)</script>"
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
VIEWS = ("headers", "source", "preview")


def sent(console: ConsoleApi, key: str = "", **fields: Any) -> str:
    answer = console.send(message(**fields), key=key or console.key)
    assert answer.status_code == 202, answer.json
    found: str = answer.json["id"]
    return found


def look(console: ConsoleApi, identifier: str, query: str = "", role: Any = "operator") -> str:
    login = f"{role}-{query or 'x'}@people.test"
    answer = console.signed_in(role, login=login).get(f"/messages/{identifier}{query}")
    assert answer.status_code == 200
    return answer.text


def rows(page: str) -> list[str]:
    return re.findall(r'<tr id="recipient-\d+".*?</tr>', page, re.DOTALL)


def test_everything_about_a_message_is_told(console: ConsoleApi) -> None:
    identifier = sent(
        console,
        to=["ann@example.test"],
        cc=["bob@example.test"],
        tags=["order", "eu"],
        metadata={"order": "1042"},
        deliver_by="2027-01-20T10:00:00Z",
        on_uncertain="hold",
    )
    page = look(console, identifier, role="reader")
    stored = console.store.spool.get(raw(identifier))
    assert stored is not None
    for text in (
        "<bdi>Your order</bdi>", "orders@shop.test",
        "ann@example.test", "bob@example.test", "transactional",
        "shop", ">order<", ">eu<", ">1042<", identifier, stored.head.request_id,
        f"&lt;{identifier[4:]}@shop.test&gt;", "2027-01-15 08:00:00 UTC", "2027-01-20 10:00:00 UTC",
        "it is held for somebody to decide",
    ):  # fmt: skip
        assert text in page, text
    ann, bob = rows(page)
    assert ">queued<" in ann
    assert "a_worker" in ann
    assert ">cc<" in bob


def test_each_recipient_has_a_status_and_a_timeline(console: ConsoleApi) -> None:
    identifier = sent(console, to=["ann@b.test", "bob@b.test", "carl@b.test"])
    (claimed,) = claim(console.store)
    settle(
        console.store,
        claimed,
        (Status.DELIVERED, Status.DEFERRED, Status.BOUNCED),
        (
            (250, "2.0.0", "Ok 4F2"),
            (451, "4.7.1", "Not now"),
            (550, "5.1.1", "User unknown"),
        ),
    )
    page = look(console, identifier)
    ann, bob, carl = rows(page)
    assert ">delivered<" in ann
    assert "none" in ann
    assert ">deferred<" in bob
    assert became.WAITS["retry"] in bob
    assert "2027-01-15 08:01:00 UTC" in bob
    assert ">bounced<" in carl
    ann, bob, carl = re.findall(r'<details id="attempts-\d.*?</details>', page, re.DOTALL)
    assert "<samp>250 2.0.0 Ok 4F2</samp>" in ann
    assert "It means" not in ann
    assert "451 4.7.1 Not now" in bob
    assert "It means: policy, said of the message. A rule of the server is against it." in bob
    assert "suppresses" not in bob
    assert "550 5.1.1 User unknown" in carl
    assert "It means: mailbox unknown, said of the recipient." in carl
    assert "suppresses" in carl


def test_the_evidence_of_an_uncertain_delivery_is_told(console: ConsoleApi) -> None:
    identifier = sent(console)
    attempt_all(
        console.store,
        Status.UNCERTAIN,
        (354, "", "Go ahead"),
        note="connection lost",
        bytes_sent=2048,
    )
    page = look(console, identifier)
    assert "nobody knows whether the server took it" in page
    assert "2.0 KB of the message were sent" in page
    assert "354 Go ahead" in page


def test_while_anything_is_open_the_page_asks_again(console: ConsoleApi) -> None:
    identifier = sent(console)
    assert '<div id="live" data-poll="2000">' in look(console, identifier)
    browser = console.signed_in()
    before = browser.get(f"/messages/{identifier}", headers=HX).text
    assert "<html" not in before
    assert "About this message" not in before
    attempt_all(console.store, Status.DELIVERED)
    after = browser.get(f"/messages/{identifier}", headers=HX).text
    versions = re.compile(r'id="recipient-0" data-part data-version="(\w+)" data-says="([^"]+)"')
    (first,), (second,) = versions.findall(before), versions.findall(after)
    assert first[0] != second[0]
    assert second[1] == "customer@example.test: delivered"
    assert "data-poll" not in after


def test_what_did_not_change_keeps_its_version(console: ConsoleApi) -> None:
    identifier = sent(console, to=["a@b.test", "c@d.test"])
    browser = console.signed_in()
    versions = re.compile(r'data-version="(\w+)"')
    first = versions.findall(browser.get(f"/messages/{identifier}", headers=HX).text)
    assert first == versions.findall(browser.get(f"/messages/{identifier}", headers=HX).text)
    assert len(first) == 5


def test_of_many_recipients_attempts_are_shown_one_by_one(console: ConsoleApi) -> None:
    identifier = sent(console, to=[f"r{number}@b.test" for number in range(12)])
    attempt_all(console.store, Status.DEFERRED, (451, "4.2.0", "Later"))
    page = look(console, identifier)
    assert len(rows(page)) == 12
    assert "<details id=" not in page
    assert 'href="?recipient=11#attempts"' in page
    one = look(console, identifier, "?recipient=11")
    assert one.count("<details id=") == 1
    assert "451 4.2.0 Later" in one
    for wrong in ("12", "x", "-1", "9" * 40):
        assert "<details id=" not in look(console, identifier, f"?recipient={wrong}")


def test_attempts_of_nobody_are_those_of_all(console: ConsoleApi) -> None:
    identifier = sent(console, to=["ann@b.test", "bob@b.test"])
    assert look(console, identifier, "?recipient=7").count("<details id=") == 2
    assert look(console, identifier, "?recipient=1").count("<details id=") == 1


@pytest.mark.parametrize("name", ["msg_" + "0" * 32, "nonsense", "msg_", "..", "msg_" + "A" * 32])
def test_b37_nobodys_message_is_not_found(console: ConsoleApi, name: str) -> None:
    browser = console.signed_in()
    for path in (
        "",
        "?view=source",
        "/source",
        "/frame",
        "/cancel",
        "/reschedule",
        "/requeue",
        "/drop",
    ):
        assert browser.get(f"/messages/{name}{path}").status_code == 404
    assert browser.post(f"/messages/{name}/cancel").status_code == 404


# -- content -----------------------------------------------------------------------------------


def test_b37_a_reader_sees_no_content(console: ConsoleApi) -> None:
    identifier = sent(console, text="the secret", html="<p>the secret</p>")
    browser = console.signed_in("reader")
    for view in VIEWS:
        page = browser.get(f"/messages/{identifier}?view={view}").text
        assert "secret" not in page
        assert "?view=" not in page
    for path in ("source", "frame"):
        answer = browser.get(f"/messages/{identifier}/{path}")
        assert answer.status_code == 403
        assert "secret" not in answer.text


@pytest.mark.parametrize("role", ["owner", "operator", "developer"])
def test_the_source_is_what_goes_on_the_wire(console: ConsoleApi, role: Any) -> None:
    identifier = sent(console, subject="Grüße", text="Hello <b>\n", bcc=["hidden@b.test"])
    page = look(console, identifier, "?view=source", role)
    assert "Subject: =?utf-8?b?" in page
    assert "Hello &lt;b&gt;" in page
    assert "hidden@b.test" not in page.partition("<pre")[2]
    answer = console.signed_in(role).get(f"/messages/{identifier}/source")
    assert answer.data.startswith(b"From: Shop <orders@shop.test>\r\nTo: customer@example.test\r\n")
    assert answer.data.endswith(b"\r\n\r\nHello <b>\r\n")
    assert answer.mimetype == "message/rfc822"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{identifier}.eml"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_long_source_is_cut_on_the_page_only(console: ConsoleApi) -> None:
    data = base64.b64encode(bytes(range(256)) * 6000).decode()
    identifier = sent(
        console,
        attachments=[
            {"filename": "a.bin", "content": data},
            {"filename": "b.bin", "content": data},
        ],
    )
    page = look(console, identifier, "?view=source")
    assert "It is cut off here" in page
    assert len(page) < written.MOST_SHOWN_BYTES * 1.2
    whole = console.signed_in("owner").get(f"/messages/{identifier}/source").data
    assert whole.count(b"Content-Transfer-Encoding: base64") == 2
    shown = re.sub(r"=_\w+", "", page.partition('<pre class="source">')[2])[:900_000]
    rendered = re.sub(r"=_\w+", "", whole.decode().replace("\r\n", "\n"))
    assert rendered.startswith(
        shown.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("\r\n", "\n")
    )


def test_headers_are_decoded(console: ConsoleApi) -> None:
    identifier = sent(console, subject="Grüße an alle", headers={"X-Order": "1042"})
    page = look(console, identifier, "?view=headers")
    names = re.findall(r'<tr><th scope="row">([^<]+)</th><td>([^<]*)', page)
    assert ("Subject", "Grüße an alle") in names
    assert ("X-Order", "1042") in names
    assert ("Message-ID", f"&lt;{identifier[4:]}@shop.test&gt;") in names


def test_b23_b24_the_preview_is_a_frame_of_its_own(console: ConsoleApi) -> None:
    identifier = sent(
        console,
        html=f"<p onclick=alert(1)>Hi</p>{EVIL}<img src=cid:logo><img src=https://evil.test/1.gif>"
        "<a href=https://shop.test/x>go</a><form action=https://evil.test></form>",
        attachments=[
            {
                "filename": "logo.png",
                "content_type": "image/png",
                "content": PIXEL,
                "content_id": "logo",
            },
            {"filename": "a\u202efdp.exe", "content": PIXEL},
        ],
    )
    page = look(console, identifier, "?view=preview")
    frame = re.search(r"<iframe[^>]*>", page)
    assert frame is not None
    assert 'sandbox=""' in frame[0]
    assert f'src="/console/messages/{identifier}/frame"' in frame[0]
    assert "evil.test" not in page
    assert "<code>https://shop.test/x</code>" in page
    assert "Show remote images" in page
    assert "\u202e" not in page
    answer = console.signed_in().get(f"/messages/{identifier}/frame")
    assert answer.headers["Content-Security-Policy"] == FRAME_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert "X-Frame-Options" not in answer.headers
    for word in ("script", "onclick", "evil.test", "<form", "href"):
        assert word not in answer.text
    assert f"data:image/png;base64,{PIXEL}" in answer.text


def test_b24_remote_images_are_loaded_when_somebody_asks(console: ConsoleApi) -> None:
    identifier = sent(console, html="<img src=https://shop.test/1.gif>")
    page = look(console, identifier, "?view=preview&images=remote")
    assert f'src="/console/messages/{identifier}/frame?images=remote"' in page
    assert "Hide them" in page
    answer = console.signed_in().get(f"/messages/{identifier}/frame?images=remote")
    assert answer.headers["Content-Security-Policy"] == REMOTE_POLICY
    assert 'src="https://shop.test/1.gif"' in answer.text


def test_a_text_is_shown_as_text(console: ConsoleApi) -> None:
    page = look(console, sent(console, text=f"Hello {EVIL}"), "?view=preview")
    assert "Hello &lt;script&gt;" in page
    assert "<iframe" not in page


def test_content_that_is_gone_is_no_error(console: ConsoleApi) -> None:
    identifier = sent(console, html="<p>x</p>")
    attempt_all(console.store, Status.DELIVERED)
    for view in VIEWS:
        assert written.WORDS["gone"] in look(console, identifier, f"?view={view}")
    browser = console.signed_in()
    for path in ("source", "frame"):
        answer = browser.get(f"/messages/{identifier}/{path}")
        assert answer.status_code == 404
        assert "no longer kept" in answer.text


@pytest.mark.parametrize(
    ("packed", "missing"),
    [(b"\x02damaged", "damaged"), (b"\x01\xff", "damaged"), (b"\x09x", "newer")],
)
def test_damaged_content_is_told(console: ConsoleApi, packed: bytes, missing: Any) -> None:
    identifier = sent(console, html="<p>x</p>")
    console.store.state.contents[raw(identifier)] = packed
    for view in VIEWS:
        assert written.WORDS[missing] in look(console, identifier, f"?view={view}")
    assert console.signed_in().get(f"/messages/{identifier}/frame").status_code == 404


def test_a_damaged_message_is_told(console: ConsoleApi) -> None:
    identifier = sent(console, subject="secret")
    console.store.state.heads[raw(identifier)] = b"\x01\xff"
    page = look(console, identifier)
    assert "What is stored of this message is damaged" in page
    assert "unreadable" in page
    for view in VIEWS:
        assert written.WORDS["damaged"] in look(console, identifier, f"?view={view}")


@pytest.mark.parametrize("role", ["owner", "operator", "developer"])
def test_mail_of_the_console_itself_is_shown_to_nobody(console: ConsoleApi, role: Any) -> None:
    key = console.new_key(OWN_APPLICATION)
    identifier = sent(console, key=key, text="code 123456", html="<p>code 123456</p>")
    browser = console.signed_in(role)
    for view in ("", *VIEWS):
        page = browser.get(f"/messages/{identifier}?view={view}").text
        assert "123456" not in page
        assert not view or written.WORDS["private"] in page
    for path in ("source", "frame"):
        answer = browser.get(f"/messages/{identifier}/{path}")
        assert answer.status_code == 404
        assert "123456" not in answer.text


def test_b23_hostile_text_is_text(console: ConsoleApi) -> None:
    attack = f'"><img src=x onerror=alert(1)>{EVIL}'
    identifier = sent(
        console,
        subject=attack,
        to={"email": "a&b'c@b.test", "name": attack},
        metadata={"key": attack},
        text=attack,
        headers={"X-Attack": attack},
        attachments=[{"filename": attack.replace("/", ""), "content": PIXEL}],
        key=console.new_key(f"app{EVIL}"),
    )
    store = console.store
    head = unpack_head(store.state.heads[raw(identifier)])
    store.state.heads[raw(identifier)] = pack_head(
        msgspec.structs.replace(head, tags=(attack,), list=attack, request_id=attack)
    )
    hostile = (550, "5.1.1", f"250 EHLO {attack}")
    attempt_all(store, Status.DEAD, hostile, note=f"poison; {attack}")
    pages = [
        look(console, identifier, query) for query in ("", *(f"?view={view}" for view in VIEWS))
    ]
    pages += [
        look(console, identifier, path) for path in ("/requeue", "/drop", "/cancel", "/reschedule")
    ]
    for page in pages:
        assert EVIL not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page
    assert pages[0].count("EHLO") == 1


def test_every_category_of_a_reply_is_said_in_plain_words() -> None:
    assert set(get_args(Category)) - set(became.PLAINLY) == {"other"}
