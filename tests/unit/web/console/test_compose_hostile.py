"""Fields and files of somebody who means harm: what is accepted is what was validated."""

from __future__ import annotations

import io
import json
from email import message_from_bytes
from email.policy import SMTP

import pytest

from shared.render.message import render
from shared.settings import Settings, WebSettings
from tests.support.console import URL, ConsoleApi
from tests.unit.web.console.composing import (
    GOOD,
    accepted,
    files_on,
    new_draft,
    submit,
    upload,
)
from web.console.typed import split

_LINES = (
    "from_name", "from_local", "from_domain", "to", "cc", "bcc", "reply_to", "subject", "class",
    "on_uncertain",
)  # fmt: skip
_CONTROLS = (
    "a@people.test\r\nBcc: evil@evil.test",
    "a@people.test\nX-Evil: 1",
    "a@people.test\rX-Evil: 1",
    "a@people.test\x00X-Evil: 1",
    "a@people.test\u2028X-Evil: 1",
    "a@people.test\x85X-Evil: 1",
    "=?utf-8?q?a=0D=0AX-Evil:_1?= <a@people.test>",
    "=?utf-8?b?YQ0KWC1FdmlsOiAx?= <a@people.test>",
)
_HEADERS = {
    "from", "to", "subject", "date", "message-id", "mime-version", "auto-submitted",
    "content-type", "content-transfer-encoding",
}  # fmt: skip


@pytest.mark.parametrize("field", _LINES)
def test_b1_no_field_injects_a_header(console: ConsoleApi, field: str) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    for text in _CONTROLS:
        answer = submit(browser, draft, **{field: text})
        assert answer.status_code in (403, 422), text
        assert console.accepted() == 0, text
        assert 'id="summary"' in answer.text


@pytest.mark.parametrize(
    ("field", "text", "read"),
    [
        ("subject", "Bcc: evil@evil.test", None),
        ("from_name", 'Ann" <evil@evil.test>', None),
        ("from_name", "Ann <evil@evil.test>, b", None),
        ("from_name", "<script>alert(1)</script>", None),
        ("to", '"evil@evil.test, <x>" <a@people.test>', ["a@people.test"]),
        ("to", '"a\\"b, c" <a@people.test>', ["a@people.test"]),
        ("to", "Ann (b@evil.test) <a@people.test>", ["a@people.test"]),
        ("to", "<a@evil.test> <a@people.test>", ["a@people.test"]),
        ("to", "a@people.test;b@people.test,c@people.test", None),
    ],
)
def test_b1_what_is_accepted_reads_as_what_was_validated(
    console: ConsoleApi, field: str, text: str, read: list[str] | None
) -> None:
    browser = console.signed_in()
    stored, content = accepted(console, submit(browser, new_draft(browser), **{field: text}))
    emails = [each.email for each in stored.head.recipients]
    if read is not None:
        assert emails == read
    assert stored.head.sender.email == "news@example.test"
    message = message_from_bytes(render(stored.head, content), policy=SMTP)
    assert {name.lower() for name in message} <= _HEADERS
    assert [each.addr_spec for each in message["from"].addresses] == ["news@example.test"]
    assert [each.addr_spec for each in message["to"].addresses] == emails


_TRICKS = (
    '"a b"@people.test', '"a@evil.test, b"@people.test', "a@people.test <b@evil.test> c",
    "a@[127.0.0.1]", "a@people.test\tb@evil.test", '"open, a@people.test',
    "=?utf-8?q?a?=@people.test", "a@b@people.test", "@people.test", "<>", "a: b@people.test;",
    "undisclosed-recipients:;",
)  # fmt: skip


def test_b1_addresses_with_tricks_are_refused_by_name(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    for text in _TRICKS:
        answer = submit(browser, draft, to=f"ann@people.test, {text}")
        assert answer.status_code == 422, text
        assert 'href="#to"' in answer.text, text
    assert console.accepted() == 0


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a@b.test, c@d.test;e@f.test", ["a@b.test", "c@d.test", "e@f.test"]),
        ('"Doe, J" <a@b.test>, c', ['"Doe, J" <a@b.test>', "c"]),
        ('"a\\", b" <x>, c', ['"a\\", b" <x>', "c"]),
        ("<a,b>, c", ["<a,b>", "c"]),
        ('"open, c', ['"open, c']),
        (" , ;, ", []),
        ("a@b.test\r\nBcc: c", ["a@b.test\r\nBcc: c"]),
    ],
)
def test_several_addresses_part_at_commas_and_nowhere_else(text: str, items: list[str]) -> None:
    assert split(text) == items


def test_b23_what_is_typed_is_text_on_the_page(console: ConsoleApi) -> None:
    browser = console.signed_in()
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    draft = new_draft(browser)
    fields = dict.fromkeys((*_LINES, "text", "send_at", "deliver_by", "when"), evil)
    upload(browser, draft, "<img src=x onerror=alert(3)>.txt", b"x")
    for answer in (
        submit(browser, draft, **fields),
        browser.get(f"/compose?draft={draft}&preview=1"),
        browser.post("/compose/preview", {**GOOD, "draft": draft, **fields}),
    ):
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text


def test_b23_the_frame_of_the_preview_can_load_and_run_nothing(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    submit(browser, draft, "save", html="<p>Hi<img src=https://evil.test/x><a href=https://e.test>")
    answer = browser.get(f"/compose/{draft}/page")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "<p>Hi" in answer.text
    assert "evil.test" not in answer.text
    assert "href" not in answer.text


_NAMES = (
    ("a/b.txt", "Its name holds a path"),
    ("..", "Its name holds a path"),
    ("a\x00.txt", "Its name holds a path"),
    ("a\u2028.txt", "Its name holds a path"),
    ("=?utf-8?q?a=0D=0AX:_1?=.txt", "Its name holds a path"),
    ("invoice\u202efdp.exe", "turn text around"),
    ("x" * 10_000, "Its name is too long"),
)


def test_b1_hostile_names_of_files_are_refused(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    for name, words in _NAMES:
        answer = upload(browser, draft, name, b"x")
        assert answer.status_code == 422, name[:100]
        assert words in answer.get_json()["wrong"], name[:100]
    assert not console.desk.records.all("draft-files")


def test_b1_a_name_with_line_breaks_in_the_form_itself(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    for disposition in (
        "filename*=utf-8''a%0D%0AX-Evil:%201.txt",
        'filename="a\r\nX-Evil: 1.txt"',
        'filename="a%0D%0AX.txt"',
    ):
        body = (
            f'--b\r\nContent-Disposition: form-data; name="draft"\r\n\r\n{draft}\r\n'
            f'--b\r\nContent-Disposition: form-data; name="file"; {disposition}\r\n'
            "Content-Type: text/plain\r\n\r\nabc\r\n--b--\r\n"
        )
        _raw(console, browser, body.encode(), len(body))
    for packed in console.desk.records.all("draft-lists").values():
        assert b"\r" not in packed
        assert b"\n" not in packed


_KINDS = {
    "text/html": "text/html",
    "text/plain; charset=utf-8": "text/plain",
    "TEXT/Plain": "text/plain",
    "multipart/mixed": "application/octet-stream",
    "message/partial": "application/octet-stream",
    "no type at all": "application/octet-stream",
    "x" * 500: "application/octet-stream",
}


def test_a_type_is_one_or_none(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    for kind in _KINDS:
        assert upload(browser, draft, "a.bin", b"MZ", kind).status_code == 201
    _, content = accepted(console, submit(browser, draft))
    assert [each.content_type for each in content.attachments] == list(_KINDS.values())


def test_files_have_limits_that_are_told() -> None:
    console = ConsoleApi(
        Settings(web=WebSettings(max_message_bytes=200_000, max_attachments=2)),
        drafts_bytes=250_000,
    )
    browser = console.signed_in()
    draft, other = new_draft(browser), new_draft(browser)
    assert (
        "At most 2 files; all of them and the text together 195.3 KB."
        in browser.get("/compose").text
    )
    assert upload(browser, draft, "empty.txt", b"").get_json()["wrong"].startswith("It is empty")
    assert upload(browser, draft, "a", b"x" * 200_001).status_code == 413
    assert upload(browser, draft, "a", b"x" * 150_000).status_code == 201
    answer = upload(browser, draft, "b", b"x" * 50_001)
    assert (answer.status_code, "larger than a message" in answer.text) == (413, True)
    assert upload(browser, draft, "b", b"x" * 1000).status_code == 201
    answer = upload(browser, draft, "c", b"x")
    assert (answer.status_code, "2 attachments" in answer.text) == (413, True)
    answer = upload(browser, other, "d", b"x" * 150_000)
    assert (answer.status_code, "no room left" in answer.text) == (413, True)
    # What is far beyond is not read into memory at all.
    assert upload(browser, other, "e", b"x" * 300_000).status_code == 413
    assert len(console.desk.records.all("draft-files")) == 2
    console.close()


# The parser's own file is closed by the garbage collector then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_upload_that_breaks_off_leaves_nothing(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    body = (
        f'--b\r\nContent-Disposition: form-data; name="draft"\r\n\r\n{draft}\r\n'
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc'
    ).encode()
    for sent, length in ((body, len(body) + 1000), (body, len(body)), (b"", 0), (b"--x--", 5)):
        assert 400 <= _raw(console, browser, sent, length) < 500
    assert not console.desk.records.all("draft-files")
    assert not console.desk.records.all("draft-lists")


def test_too_many_parts_are_refused(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    part = '--b\r\nContent-Disposition: form-data; name="to"\r\n\r\na@people.test\r\n'
    body = (part * 1100 + "--b--\r\n").encode()
    assert _raw(console, browser, body, len(body), "/console/compose") == 413
    answer = browser.post("/compose/check-addresses", {"address": ["a@people.test"] * 101})
    assert answer.status_code == 422
    assert files_on(browser.get(f"/compose?draft={draft}")) == []


def _raw(
    console: ConsoleApi,
    browser: object,
    body: bytes,
    length: int,
    path: str = "/console/compose/files",
) -> int:
    client, session = browser.client, browser.session  # type: ignore[attr-defined]
    answer = client.post(
        path,
        base_url=URL,
        input_stream=io.BytesIO(body),
        content_length=length,
        content_type="multipart/form-data; boundary=b",
        headers={"Origin": URL, "Sec-Fetch-Site": "same-origin", "X-CSRF": session.csrf},
    )
    assert not console.accepted()
    status: int = answer.status_code
    return status


def test_addresses_are_checked_by_the_rules_of_the_api(console: ConsoleApi) -> None:
    browser = console.signed_in()
    given = ["Ann <ann@people.test>", "bad@@x", "a@people.test\r\nBcc: b"]
    answer = browser.post("/compose/check-addresses", {"address": given})
    first, second, third = json.loads(answer.text)
    assert (first["shown"], first["warning"]) == ("Ann <ann@people.test>", "")
    assert second["wrong"].startswith("“bad@@x” is not an e-mail address.")
    assert "line break" in third["wrong"]
