"""The form of a message: what is sent, what is refused and how that is told."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from shared.accounts.users import TooBusy
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.model.suppression import Suppression
from shared.settings import ApplicationSettings, Settings, WebSettings
from shared.store.figures import Health
from tests.support.console import ConsoleApi
from tests.unit.web.console.composing import (
    GOOD,
    accepted,
    draft_on,
    files_on,
    message_of,
    new_draft,
    submit,
    upload,
)
from web.console.drafts import Drafts


def test_a_message_is_sent_as_it_was_typed(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    answer = submit(
        browser, new_draft(browser), cc='"Doe, John" <john@people.test>; b@people.test',
        reply_to="help@example.test", html="<p>Words, <b>bold</b>.</p>", text="",
        **{"class": "bulk"}, on_uncertain="hold",
    )  # fmt: skip
    stored, content = accepted(console, answer)
    head = stored.head
    assert (head.sender.email, head.sender.name) == ("news@example.test", "Shop")
    assert [(each.kind, each.email, each.name) for each in head.recipients] == [
        ("to", "ann@people.test", ""),
        ("cc", "john@people.test", "Doe, John"),
        ("cc", "b@people.test", ""),
    ]
    assert (head.subject, head.message_class, head.on_uncertain) == ("Hello", "bulk", "hold")
    assert head.application == "console"
    assert content.html == "<p>Words, <b>bold</b>.</p>"
    assert content.text is None  # It is made of the page, as for the API.
    assert [each.email for each in content.reply_to] == ["help@example.test"]


def test_it_can_be_sent_at_a_time_in_utc(console: ConsoleApi) -> None:
    browser = console.signed_in()
    fields = {"when": "at", "send_at": "2027-02-01T12:30", "deliver_by": "2027-02-02T00:00"}
    stored, _ = accepted(console, submit(browser, new_draft(browser), **fields))
    assert stored.head.send_at_ms == 1_801_485_000_000
    assert stored.head.deliver_by_ms == 1_801_526_400_000


def test_every_mistake_stands_beside_its_field_and_nothing_is_lost(console: ConsoleApi) -> None:
    browser = console.signed_in()
    answer = submit(
        browser, new_draft(browser), from_local="", to="ann@people.test, bad@@x, “c”@d",
        subject="My subject", text="", html="", when="at", send_at="soon", cc="x",
        deliver_by="2001-01-01T00:00",
    )  # fmt: skip
    page = answer.text
    assert answer.status_code == 422
    assert console.accepted() == 0
    assert 'role="alert"' in page
    for field, words in (
        ("from_local", "Say who the message is from."),
        ("to", "“bad@@x” is not an e-mail address."),
        ("cc", "“x” is not an e-mail address."),
        ("html", "Write a message: there is no text yet."),
        ("send_at", "This is not a time, or there is none like it."),
        ("deliver_by", "It would give up before it is sent"),
    ):
        assert f'<a href="#{field}">{words}' in page, field
        assert f'id="{field}-error">' in page, field
        assert page.count(words) == 2, field
    assert 'value="My subject"' in page
    assert "bad@@x, “c”@d" in page
    assert 'value="soon"' in page


def test_a_domain_that_is_not_offered_is_forbidden(console: ConsoleApi) -> None:
    browser = console.signed_in()
    answer = submit(browser, new_draft(browser), from_domain="evil.test")
    assert answer.status_code == 403
    assert "Mail may be sent from example.test only." in answer.text
    assert console.accepted() == 0


def test_without_a_list_of_domains_any_address_may_be_typed() -> None:
    console = ConsoleApi(from_domains=())
    browser = console.signed_in()
    answer = submit(browser, new_draft(browser), from_email="me@anywhere.test", from_local="")
    stored, _ = accepted(console, answer)
    assert stored.head.sender.email == "me@anywhere.test"
    console.close()


def test_plain_text_only_leaves_the_page_out(console: ConsoleApi) -> None:
    browser = console.signed_in()
    answer = submit(browser, new_draft(browser), html="<p>Page</p>", plain="1")
    _, content = accepted(console, answer)
    assert (content.text, content.html) == ("Words.", None)


def test_b23_the_page_that_is_sent_can_do_nothing(console: ConsoleApi) -> None:
    browser = console.signed_in()
    page = (
        "<p onclick=alert(1) style='color:red;background:url(https://evil.test/)'>A"
        "<script>alert(2)</script><a href='javascript:alert(3)'>b</a><svg><style>"
        "<img src=x onerror=alert(4)></style></svg><iframe src=https://evil.test></iframe>"
        "<meta http-equiv=refresh content=0><form action=https://evil.test><input name=q></form>"
        "<a href='https://good.test/?a=1&amp;b=2'>good</a>"
    )
    _, content = accepted(console, submit(browser, new_draft(browser), html=page))
    html = content.html or ""
    for word in ("script", "onclick", "onerror", "url(", "iframe", "meta", "form", "input", "svg"):
        assert word not in html, word
    assert "color:red" in html.replace(" ", "")
    assert 'href="https://good.test/?a=1&amp;b=2"' in html


def test_b23_deep_pages_are_no_way_to_keep_the_server_busy(console: ConsoleApi) -> None:
    browser = console.signed_in()
    answer = submit(browser, new_draft(browser), "save", html="<div>" * 100_000)
    assert answer.status_code == 303
    answer = submit(browser, new_draft(browser), "save", html="x" * (512 * 1024 + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("act", ["again", "other_words"])
def test_a_draft_is_sent_once(console: ConsoleApi, act: str) -> None:
    browser = console.signed_in("operator")
    draft = new_draft(browser)
    first = submit(browser, draft)
    second = submit(browser, draft, subject="Hello" if act == "again" else "Other words")
    assert message_of(first) == message_of(second)
    assert "notice=message-sent-before" in second.headers["Location"]
    assert console.accepted() == 1
    assert message_of(browser.get(f"/compose?draft={draft}")) == message_of(first)
    entries = [each for each in console.desk.records.trail() if each.act == "message.sent"]
    assert [(each.what, each.details) for each in entries] == [
        (message_of(first), {"recipients": "1", "repeated": "no"})
    ]
    assert entries[0].who == browser.user.id


def test_a_draft_is_sent_once_also_where_nothing_is_known_of_it_any_more(
    console: ConsoleApi,
) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    first = submit(browser, draft)
    browser.post("/compose/delete", {"draft": draft})
    assert message_of(submit(browser, draft, subject="Other")) == message_of(first)
    assert console.accepted() == 1


def test_a_draft_is_sent_once_by_processes_that_know_nothing_of_each_other(
    console: ConsoleApi,
) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    answers: list[Any] = []
    ready = threading.Barrier(8)

    def send() -> None:
        client = console.browser()
        client.session = browser.session
        client.client._cookies = browser.client._cookies
        ready.wait(10)
        answers.append(submit(client, draft))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({message_of(answer) for answer in answers}) == 1
    assert len(answers) == 8
    assert console.accepted() == 1
    acts = [each.act for each in console.desk.records.trail()]
    assert acts.count("message.sent") == 1


def test_an_old_page_sends_nothing_and_keeps_what_was_typed(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    submit(browser, draft)
    console.clock.advance(25 * 3600)
    browser.sign_in(browser.user)
    answer = submit(browser, draft, subject="Typed yesterday")
    assert answer.status_code == 409
    assert "Typed yesterday" in answer.text
    assert draft_on(answer) != draft
    assert console.accepted() == 1


def test_b37_drafts_of_others_are_none(console: ConsoleApi) -> None:
    mine, other = console.signed_in("operator"), console.signed_in("owner")
    draft = new_draft(mine)
    submit(mine, draft, "save", html="<p>Secret</p>")
    file = upload(mine, draft, "a.txt", b"abc").get_json()["id"]
    for answer in (
        other.get(f"/compose?draft={draft}"),
        other.get(f"/compose/{draft}/page"),
        submit(other, draft, "save"),
        submit(other, draft),
        upload(other, draft, "b.txt", b"b"),
        other.post("/compose/files/remove", {"draft": draft, "file": file}),
        other.post("/compose/save", {"draft": draft, "subject": "x"}),
        other.post("/compose/preview", {"draft": draft, "subject": "x"}),
    ):
        assert answer.status_code == 404
        assert "Secret" not in answer.text
    other.post("/compose/delete", {"draft": draft})
    assert files_on(mine.get(f"/compose?draft={draft}")) == [file]
    assert console.accepted() == 0


def test_a_full_or_silent_store_loses_nothing(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    with monkeypatch.context() as patched:
        patched.setattr(console.context.admission, "health", lambda: Health(("store_full",)))
        answer, file = submit(browser, draft), upload(browser, draft, "a.txt", b"abc")
    assert answer.status_code == file.status_code == 503
    assert "No files are taken at the moment" in file.get_json()["wrong"]
    assert "nothing was sent" in answer.text
    assert 'value="Hello"' in answer.text

    def unknown(_: Any) -> list[Any]:
        return [OutcomeUnknown("late")]

    with monkeypatch.context() as patched:
        patched.setattr(console.store.spool, "accept", unknown)
        answer = submit(browser, draft)
    assert answer.status_code == 503
    assert "it goes once, whichever it was" in answer.text
    assert message_of(submit(browser, draft))


def test_a_draft_that_others_change_all_the_time_is_sent_all_the_same(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> bool:
        raise TooBusy("draft")

    browser = console.signed_in()
    draft = new_draft(browser)
    monkeypatch.setattr(Drafts, "sent", busy)
    assert message_of(submit(browser, draft))


def test_what_cannot_be_kept_is_on_the_page_still(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)

    def silent(*_: Any) -> bool:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(console.desk.records, "write", silent)
        answer = submit(browser, draft, "save", subject="Typed")
    assert answer.status_code == 503
    assert 'value="Typed"' in answer.text


def test_a_used_up_quota_is_told(console: ConsoleApi) -> None:
    settings = Settings(application={"console": ApplicationSettings(quota_per_day=1)})
    limited = ConsoleApi(settings)
    browser = limited.signed_in()
    assert message_of(submit(browser, new_draft(browser)))
    answer = submit(browser, new_draft(browser))
    assert answer.status_code == 429
    assert "1 recipients a day" in answer.text
    assert 'value="Hello"' in answer.text
    limited.close()


def test_suppressed_recipients_are_told(console: ConsoleApi) -> None:
    console.store.suppressions.add([Suppression("ann@people.test", reason="manual")])
    browser = console.signed_in()
    answer = submit(browser, new_draft(browser))
    assert answer.headers["Location"].endswith("?notice=message-sent-but")


def test_without_scripts_files_come_with_the_form(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    files = [(io.BytesIO(b"one"), "one.txt", "text/plain"), (io.BytesIO(b"two"), "two.bin")]
    answer = submit(browser, draft, "attach", files=files)
    assert answer.headers["Location"].endswith(f"?draft={draft}#files-list")
    first, _ = files_on(browser.get(f"/compose?draft={draft}"))
    submit(browser, draft, f"remove:{first}")
    _, content = accepted(console, submit(browser, draft, files=(io.BytesIO(b"3"), "three.txt")))
    assert [(each.filename, each.content) for each in content.attachments] == [
        ("two.bin", b"two"),
        ("three.txt", b"3"),
    ]


def test_without_scripts_a_wrong_file_is_told_beside_the_files() -> None:
    console = ConsoleApi(Settings(web=WebSettings(max_message_bytes=1000)))
    browser = console.signed_in()
    draft = new_draft(browser)
    files = [(io.BytesIO(b"x" * 1001), "big.bin"), (io.BytesIO(b"x"), "small.bin")]
    answer = submit(browser, draft, files=files)
    assert answer.status_code == 413
    assert "“big.bin”: It is too large: a message may have 1,000 bytes." in answer.text
    assert len(files_on(answer)) == 1
    assert console.accepted() == 0
    console.close()


def test_text_and_files_together_may_be_too_large() -> None:
    console = ConsoleApi(Settings(web=WebSettings(max_message_bytes=1000)))
    browser = console.signed_in()
    draft = new_draft(browser)
    upload(browser, draft, "a.bin", b"x" * 990)
    answer = submit(browser, draft, text="y" * 20)
    assert answer.status_code == 413
    assert "Text and attachments together are too large" in answer.text
    assert console.accepted() == 0
    console.close()


def test_the_readers_may_not_compose(console: ConsoleApi) -> None:
    reader = console.signed_in("reader")
    assert reader.get("/compose").status_code == 403
    assert reader.post("/compose", dict(GOOD)).status_code == 403


def test_the_preview_without_scripts(console: ConsoleApi) -> None:
    browser = console.signed_in()
    draft = new_draft(browser)
    answer = submit(browser, draft, "preview", html="<p>Seen</p>", text="", bcc="x@people.test")
    page = browser.get(answer.headers["Location"].removeprefix("/console").partition("#")[0]).text
    preview = page[page.index('id="preview"') :]
    assert 'sandbox=""' in preview
    assert "Shop &lt;news@example.test&gt;" in preview
    assert "x@people.test" not in preview
    assert "Seen" in preview
