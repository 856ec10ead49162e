"""The script of the console: asking again, sending once, dialogs, copying, and telling trouble."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.support.browser import Seat, System

ADD = """html => {
    const place = document.querySelector("main");
    place.insertAdjacentHTML("beforeend", html);
    window.htmx.process(place);
}"""
COUNT = """() => {
    window.asked = 0;
    document.addEventListener("poll", (event) => {
        if (event.target.id === "asked") window.asked += 1;
    }, true);
}"""


def _page(place: Seat, world: System) -> Page:
    place.expected = {503}
    place.sign_in(world.user("reader"))
    return place.open("/")


def _refuse(route: Route) -> None:
    text = '<p role="alert"><span data-detail>The store does not answer.</span> 503</p>'
    route.fulfill(status=503, content_type="text/html", body=text)


def test_what_asks_again_waits_for_its_answer_and_tells_what_went_wrong(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat()
    place.page.clock.install()
    page = _page(place, world)
    held: list[Route] = []
    page.route("**/console/asked", lambda route: held.append(route))
    page.evaluate(COUNT)
    page.evaluate(
        ADD,
        '<p id="asked" data-poll="250" hx-get="/console/asked" hx-trigger="poll">none</p>',
    )
    _until(page, lambda: len(held) == 1)
    page.clock.run_for(5000)
    assert page.evaluate("() => window.asked") == 1, "it asks before it has an answer"
    _refuse(held[0])
    trouble = page.locator("#trouble")
    expect(trouble).to_have_text("The store does not answer.")
    _until(page, lambda: len(held) == 2)
    held[1].fulfill(status=200, content_type="text/html", body="here")
    expect(page.locator("#asked")).to_have_text("here")
    expect(trouble).to_be_hidden()


def _until(page: Page, condition: Any) -> None:
    """The browser's events are heard while it waits."""
    for _ in range(100):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come in 10 s")


def test_a_form_is_sent_once(seat: Callable[..., Seat], world: System) -> None:
    page = _page(seat(), world)
    sent: list[str] = []
    answered = threading.Event()

    def keep(route: Route) -> None:
        sent.append(route.request.url)
        route.fulfill(status=204)
        answered.set()

    page.route("**/console/sent", keep)
    page.evaluate(
        ADD, '<form method="post" action="/console/sent"><button id="go">Go</button></form>'
    )
    page.evaluate("() => { const go = document.getElementById('go'); go.click(); go.click(); }")
    _until(page, answered.is_set)
    page.evaluate("() => document.getElementById('go').click()")
    page.wait_for_timeout(300)
    assert len(sent) == 1
    assert page.locator("#go").get_attribute("aria-disabled") == "true"


def test_a_dialog_opens_and_gives_the_focus_back(seat: Callable[..., Seat], world: System) -> None:
    page = _page(seat(), world)
    page.evaluate(
        ADD,
        '<a id="open" href="/console/none" data-dialog="ask">Delete</a>'
        '<dialog id="ask"><button data-close>Keep it</button></dialog>',
    )
    page.locator("#open").click()
    expect(page.locator("#ask")).to_be_visible()
    page.get_by_text("Keep it").click()
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#open")).to_be_focused()


def test_text_is_copied_and_said(seat: Callable[..., Seat], world: System) -> None:
    page = _page(seat(permissions=["clipboard-read", "clipboard-write"]), world)
    page.evaluate(
        ADD, '<code id="words">a b</code><button id="copy" data-copy="words">Copy</button>'
    )
    page.locator("#copy").click()
    expect(page.locator("#told")).to_have_text("Copied.")
    assert page.evaluate("() => navigator.clipboard.readText()") == "a b"
