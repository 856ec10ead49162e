"""Correct and send again: whom it goes to, what it has, and what may not be seen."""

from __future__ import annotations

import base64

from shared.ids import parse_external
from shared.model.suppression import Suppression
from tests.support.console import Browser, ConsoleApi
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


def _again(browser: Browser, message: str, more: str = "") -> str:
    answer = browser.get(f"/compose?again={message}{more}")
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("/console")


def test_a_new_draft_has_everything_and_only_those_who_did_not_get_it(console: ConsoleApi) -> None:
    console.store.suppressions.add([Suppression("gone@people.test", reason="bounce")])
    browser = console.signed_in("operator")
    draft = new_draft(browser)
    upload(browser, draft, "a.txt", b"abc", "text/plain")
    first = submit(
        browser, draft, to="ann@people.test", cc="Gone <gone@people.test>", html="<p>Page</p>",
        reply_to="help@example.test", **{"class": "bulk"},
    )  # fmt: skip
    where = _again(browser, message_of(first))
    page = browser.get(where)
    assert "Correct and send again" in page.text
    assert 'name="cc" type="text" value="Gone &lt;gone@people.test&gt;"' in page.text
    assert 'name="to" type="text" value=""' in page.text
    assert draft_on(page) != draft
    assert len(files_on(page)) == 1
    answer = submit(
        browser, draft_on(page), to="", cc="gone2@people.test", html="<p>Page</p>",
        reply_to="help@example.test",
    )  # fmt: skip
    stored, content = accepted(console, answer)
    assert message_of(answer) != message_of(first)
    assert [each.email for each in stored.head.recipients] == ["gone2@people.test"]
    assert [(each.filename, each.content) for each in content.attachments] == [("a.txt", b"abc")]


def test_asked_again_it_is_the_same_draft_and_everybody_can_be_chosen(console: ConsoleApi) -> None:
    console.store.suppressions.add([Suppression("gone@people.test", reason="bounce")])
    browser = console.signed_in()
    first = submit(browser, new_draft(browser), to="ann@people.test, gone@people.test")
    where = _again(browser, message_of(first))
    assert _again(browser, message_of(first)) == where
    page = browser.get(_again(browser, message_of(first), "&all=1"))
    assert 'value="ann@people.test, gone@people.test"' in page.text
    assert len(console.desk.records.all("draft-lists")) == 1


def test_another_page_cannot_fill_the_drafts(console: ConsoleApi) -> None:
    browser = console.signed_in()
    message = message_of(submit(browser, new_draft(browser)))
    answer = browser.get(f"/compose?again={message}", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.headers["Location"] == "/console/compose"


def _of_the_api(console: ConsoleApi, key: str = "") -> str:
    fields = {
        "from": "shop@example.test", "to": ["Ann B. <ann@people.test>"], "subject": "Order",
        "text": "Thanks", "attachments": [
            {"filename": "a.txt", "content": base64.b64encode(b"abc").decode()}],
    }  # fmt: skip
    answer = console.send(fields, **({"key": key} if key else {}))
    message: str = answer.get_json()["id"]
    return message


def test_a_message_of_the_api_has_what_the_store_still_has(console: ConsoleApi) -> None:
    browser = console.signed_in()
    page = browser.get(_again(browser, _of_the_api(console)))
    assert 'value="&#34;Ann B.&#34; &lt;ann@people.test&gt;"' in page.text
    assert "Thanks</textarea>" in page.text
    assert len(files_on(page)) == 1
    assert 'value="shop"' in page.text


def test_where_the_content_is_gone_that_is_told(console: ConsoleApi) -> None:
    browser = console.signed_in()
    message = _of_the_api(console)
    message_id = parse_external(message)
    assert message_id is not None
    console.store.spool.cancel(message_id)
    where = _again(browser, message)
    if console.store.spool.content(message_id) is None:
        assert "again-empty" in where
    page = browser.get(where)
    assert 'value="Order"' in page.text
    assert "ann@people.test" in page.text


def test_our_own_mail_is_not_read_this_way(console: ConsoleApi) -> None:
    browser = console.signed_in()
    message = _of_the_api(console, console.new_key("posthaste"))
    where = _again(browser, message)
    assert "notice=again-empty" in where
    page = browser.get(where)
    assert "Thanks" not in page.text
    assert files_on(page) == []


def test_an_unknown_message_is_none(console: ConsoleApi) -> None:
    browser = console.signed_in()
    for message in ("msg_" + "0" * 32, "nonsense", "", GOOD["to"]):
        assert browser.get(f"/compose?again={message}").status_code == 404
