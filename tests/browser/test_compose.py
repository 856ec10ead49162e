"""A message from typing to both ends: accepted, refused for one, corrected and sent again."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import FilePayload, Page, expect

from tests.support.browser import REFUSED, Seat, System


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
    place.look()
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
