"""A message from typing to both ends: accepted, refused for one, corrected and sent again."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import FilePayload, Page, Route, expect

from tests.support.browser import REFUSAL, REFUSED, Seat, System


def _chips(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#compose .chip", "all => all.map(e => e.dataset.text)"
    )
    return found


def _file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


def test_a_message_is_written_by_keyboard_refused_corrected_and_sent_again(
    seat: Callable[[], Seat], world: System
) -> None:
    place = seat()
    place.expected = {422}
    place.sign_in(world.user("operator"))
    page = place.open("/compose")
    page.focus("#from_local")
    page.keyboard.type("news")
    page.focus("#to")
    page.keyboard.type(f"ann@people.test,{REFUSED};bad@@x")
    page.keyboard.press("Tab")
    wrong = page.locator(".chip-wrong")
    expect(wrong).to_contain_text("“bad@@x” is not an e-mail address.")
    page.focus("#subject")
    page.keyboard.type("Hello <b>you</b>")
    page.focus("#html-editor")
    page.keyboard.type("Dear reader,")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+b")
    page.keyboard.type("bold words")
    page.set_input_files(
        "#files",
        [_file("report.txt", b"figures"), _file("empty.txt", b"")],
    )
    expect(page.locator("#attached")).to_contain_text("Remove")
    expect(page.locator("#attached")).to_contain_text("It is empty")
    page.locator("#preview").evaluate("each => { each.open = true; }")
    expect(page.locator("#preview")).to_contain_text("report.txt (7 B)")
    frame = page.frame_locator("iframe.page")
    expect(frame.locator("b")).to_have_text("bold words")
    page.get_by_role("button", name="Send", exact=True).press("Enter")
    expect(page.locator(".error-summary")).to_be_focused()
    place.look()
    assert _chips(page) == ["ann@people.test", REFUSED, "bad@@x"]
    page.focus("#to")
    page.keyboard.press("Backspace")
    assert _chips(page) == ["ann@people.test", REFUSED]
    page.get_by_role("button", name="Send", exact=True).press("Enter")
    page.wait_for_url("**/console/messages/msg_*")
    first = page.url
    expect(page.get_by_role("link", name="Correct and send again")).to_be_visible()
    expect(page.locator("samp").filter(has_text="550")).to_contain_text(REFUSAL[10:])
    place.look()
    page.go_back()
    page.wait_for_url(first + "*")  # The draft was sent: it leads to its message.
    page.get_by_role("link", name="Correct and send again").press("Enter")
    page.wait_for_url("**/console/compose?draft=*")
    assert _chips(page) == [REFUSED]
    expect(page.get_by_role("button", name=f"Change {REFUSED}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#to")).to_have_value(REFUSED)
    page.keyboard.press("Control+a")
    page.keyboard.type("right@people.test,")
    expect(page.locator("#attached")).to_contain_text("report.txt")
    expect(page.locator("#html-editor b")).to_have_text("bold words")
    page.get_by_role("button", name="Send", exact=True).press("Enter")
    page.wait_for_url("**/console/messages/msg_*")
    assert page.url != first
    expect(page.locator("#sum")).to_contain_text("delivered")


def test_a_message_is_written_without_scripts(seat: Callable[[], Seat], world: System) -> None:
    place = seat()
    place.sign_in(world.user("developer"))
    browser = place.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(place.context.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{world.url}/console/compose")
    page.fill("#from_local", "news")
    page.fill("#to", "a@people.test, bad@x")
    page.fill("#html", "<p>Hello <b>you</b></p>")
    page.set_input_files("#files", [_file("a.txt", b"a")])
    page.click("button[value=send]")
    expect(page.locator(".error-summary")).to_contain_text("“bad@x” is not an e-mail address.")
    page.fill("#to", "a@people.test, b@people.test")
    page.click("button[value=preview]")
    expect(page.locator("#preview")).to_contain_text("a@people.test, b@people.test")
    expect(page.frame_locator("iframe.page").locator("b")).to_have_text("you")
    expect(page.locator("#attached")).to_contain_text("a.txt")
    page.click("button[value=send]")
    page.wait_for_url("**/console/messages/msg_*")
    context.close()


DROP = """() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["<b>dropped</b>"], "dropped.html", { type: "text/html" }));
    return transfer;
}"""


def _begin(place: Seat, to: str, subject: str) -> Page:
    """A message that could be sent."""
    page = place.open("/compose")
    page.fill("#from_local", "news")
    page.fill("#to", f"{to},")
    page.fill("#subject", subject)
    page.locator("#html-editor").fill("Hello.")
    return page


def _accepted(place: Seat, subject: str) -> int:
    """How many messages with this subject there are."""
    rows = place.get(f"/messages?subject={quote(subject)}")
    return len(set(re.findall(r"/console/messages/(msg_\w+)", rows)))


def _wait(event: threading.Event) -> None:
    assert event.wait(30)


def test_two_files_are_sent_once_and_the_page_tells_by_itself_what_becomes_of_them(
    seat: Callable[[], Seat], world: System
) -> None:
    place = seat()
    place.sign_in(world.user("operator"))
    go_on = threading.Event()
    world.strict.on_message = lambda _: _wait(go_on)
    page = _begin(place, "ann@people.test, slow@refused.test", "With two files")
    page.set_input_files("#files", [_file("chosen.txt", b"chosen")])
    page.dispatch_event("#drop", "drop", {"dataTransfer": page.evaluate_handle(DROP)})
    expect(page.locator("#attached")).to_contain_text("dropped.html")
    expect(page.locator("#attached button")).to_have_text(["Remove", "Remove"])
    for name in ("chosen.txt (6 B)", "dropped.html (14 B)"):
        expect(page.locator("#preview")).to_contain_text(name)
    page.get_by_role("button", name="Send", exact=True).dblclick()
    page.wait_for_url("**/console/messages/msg_*")
    page.evaluate("() => { window.same = true; }")
    expect(page.locator("#sum")).to_contain_text("delivered 1")
    go_on.set()
    expect(page.locator("#sum")).to_contain_text("delivered 2")
    assert page.evaluate("() => window.same"), "the page was loaded again"
    world.strict.on_message = None
    page.reload()
    assert _accepted(place, "With two files") == 1
    page.goto(world.inbox)
    page.get_by_role("link", name="With two files").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("With two files")
    for name in ("chosen.txt", "dropped.html"):
        expect(page.get_by_role("link", name=name)).to_be_visible()


def test_a_draft_in_two_tabs_is_sent_once(seat: Callable[[], Seat], world: System) -> None:
    place = seat()
    place.sign_in(world.user("developer"))
    page = _begin(place, "ann@people.test", "In two tabs")
    page.get_by_role("button", name="Keep the draft").click()
    page.wait_for_url("**/console/compose?draft=*")
    other = place.context.new_page()
    other.goto(page.url)
    for each in (page, other):
        each.get_by_role("button", name="Send", exact=True).click()
        each.wait_for_url("**/console/messages/msg_*")
    assert page.url.partition("?")[0] == other.url.partition("?")[0]
    expect(other.get_by_role("status").first).to_contain_text("sent before")
    assert _accepted(place, "In two tabs") == 1


def _raised(route: Route) -> None:
    """The page, with a limit that the server does not have."""
    answer = route.fetch()
    route.fulfill(
        response=answer, body=re.sub(r'most-bytes="\d+"', 'most-bytes="99999999"', answer.text())
    )


def test_a_file_that_is_too_large_is_told_beside_it(
    seat: Callable[[], Seat], world: System
) -> None:
    place = seat()
    place.expected = {413}
    place.sign_in(world.user("operator"))
    page = place.open("/compose")
    most = world.settings.web.max_message_bytes
    page.set_input_files("#files", [_file("huge.bin", bytes(most + 1))])
    row = page.locator("#attached li")
    expect(row).to_contain_text("Too large: all attachments together may have 195.3 KB.")
    page.get_by_role("button", name="Close: huge.bin").click()
    # A page that does not know is told by the server.
    page.route("**/console/compose", _raised)
    page.reload()
    page.set_input_files("#files", [_file("huge.bin", bytes(most + 1))])
    expect(row).to_contain_text("too large: a message may have 200,000 bytes.")


def test_what_is_typed_after_the_session_has_ended_is_kept_once_one_is_back(
    seat: Callable[[], Seat], world: System
) -> None:
    place = seat()
    place.expected = {403}
    user = world.user("operator")
    place.sign_in(user)
    page = _begin(place, "ann@people.test", "Ended")
    kept = page.locator("#kept")
    expect(kept).to_contain_text("Draft kept")
    other = place.context.new_page()
    other.goto(world.page("/"))
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.fill("#subject", "Ended once")
    expect(kept).to_contain_text("Not kept: sign in again in another window, then go on here.")
    place.sign_in(user)
    page.fill("#subject", "Ended twice")
    expect(kept).to_contain_text("Draft kept")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url("**/console/messages/msg_*")
    assert _accepted(place, "Ended twice") == 1
