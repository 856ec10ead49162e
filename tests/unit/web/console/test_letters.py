"""The console's own mail: the same way as the API's, private, nothing breaks out of it."""

from __future__ import annotations

import structlog

from shared.model.message import Content, Head
from tests.support.console import ConsoleApi
from tests.support.letters import letters
from web.console import letter_texts
from web.console.afterwards import Afterwards
from web.console.agents import browser_of
from web.console.letters import Letter, Letters

LINK = "https://console.example.test/console/reset/abc"


def _sent(console: ConsoleApi) -> tuple[Head, Content]:
    (sent,) = letters(console)
    return sent


def test_a_letter_goes_the_way_of_all_mail_and_is_marked_private(console: ConsoleApi) -> None:
    ends = console.clock.now_ms() + 600_000
    with console.app.app_context():
        letter = letter_texts.reset("console.example.test", LINK, ends)
        assert Letters(console.desk).send("ann@people.test", letter)
    head, content = _sent(console)
    assert head.message_class == "critical"
    assert head.sender.email == "posthaste@example.test"
    assert [each.email for each in head.recipients] == ["ann@people.test"]
    assert head.tags == ("console",)
    assert head.metadata == {"console": "private"}
    assert head.deliver_by_ms == ends
    assert head.give_up_ms == ends
    assert content.text is not None
    assert LINK in content.text
    assert f'<a href="{LINK}">' in (content.html or "")
    assert "abc" not in head.subject


def test_b23_names_and_browsers_are_text_in_a_letter(console: ConsoleApi) -> None:
    name = "<img src=x>\r\nBcc: eve@evil.test\n\nhttps://evil.test/login www.evil.test"
    with console.app.app_context():
        letter = letter_texts.invitation("console.example.test", name, LINK, 10**12 * 2)
        assert Letters(console.desk).send("ann@people.test", letter)
    _, content = _sent(console)
    for body in (content.text or "", content.html or ""):
        assert "<img" not in body
        assert "://evil" not in body
        assert "evil.test" not in body
        assert "\nBcc" not in body


def test_a_letter_is_html_whatever_it_says(console: ConsoleApi) -> None:
    with console.app.app_context():
        assert Letters(console.desk).send("a@b.test", Letter("Hello", ("<script>1</script>",)))
    assert "<script>" not in (_sent(console)[1].html or "")


def test_without_an_address_to_send_from_nothing_is_sent() -> None:
    console = ConsoleApi(mail_from="")
    try:
        with console.app.app_context():
            ours = Letters(console.desk)
            assert not ours.can_send
            assert not ours.send("a@b.test", Letter("Hello", ("x",)))
    finally:
        console.close()
    assert letters(console) == []


def test_a_letter_that_the_store_refuses_is_logged_without_what_it_says(
    console: ConsoleApi,
) -> None:
    with structlog.testing.capture_logs() as logs, console.app.app_context():
        letter = letter_texts.code("h", "314159", console.clock.now_ms() - 1)
        assert not Letters(console.desk).send("ann@people.test", letter)
    assert [each["event"] for each in logs] == ["letter_refused"]
    assert "314159" not in str(logs)
    assert "ann@" not in str(logs)


def test_what_is_done_afterwards_is_done_and_its_faults_are_told(console: ConsoleApi) -> None:
    afterwards, done = Afterwards(), []

    def fail() -> None:
        raise RuntimeError

    with structlog.testing.capture_logs() as logs, console.app.app_context():
        afterwards.do(fail)
        afterwards.do(lambda: done.append(1))
        afterwards.wait()
    assert done == [1]
    assert [each["event"] for each in logs] == ["unexpected_error"]


def test_browsers_have_names_that_people_know() -> None:
    chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    assert browser_of(f"Mozilla/5.0 (X11; Linux x86_64) {chrome}") == "Chrome on Linux"
    assert browser_of(f"Mozilla/5.0 (Windows NT 10.0) {chrome} Edg/140") == "Edge on Windows"
    assert browser_of("Mozilla/5.0 (X11; Linux) Gecko/2 Firefox/140.0") == "Firefox on Linux"
    assert browser_of("<b>https://evil.test</b>") == "Unknown browser"
