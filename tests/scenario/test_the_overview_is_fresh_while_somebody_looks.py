"""The overview in a browser: new figures while its tab is seen, no request while it is not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from tests.support import console as support
from tests.support.console import ConsoleApi
from tests.support.console_mail import new_console, pump, send
from web.console import cookies

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
_HIDE = """document.hidden_now = true;
Object.defineProperty(document, "hidden", {configurable: true, get: () => document.hidden_now});
document.dispatchEvent(new Event("visibilitychange"));"""
_SHOW = """document.hidden_now = false; document.dispatchEvent(new Event("visibilitychange"));"""


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConsoleApi]:
    """A console that a browser reaches."""
    from_app: list[Any] = []
    server = make_server("127.0.0.1", 0, lambda *call: from_app[0](*call), threaded=True)
    url = f"http://127.0.0.1:{server.port}"
    monkeypatch.setattr(support, "URL", url)
    found = new_console(url=url)
    from_app.append(found.app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    pump(found)
    yield found
    server.shutdown()
    thread.join(10)
    server.server_close()
    found.close()


@pytest.fixture
def page(console: ConsoleApi) -> Iterator[Page]:
    """The overview as an operator has it open; its clock is the test's."""
    user = console.user("operator")
    token, _ = console.desk.sessions.begin(user.id, "full", "127.0.0.1", "test")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        name = cookies.name_of(cookies.SESSION, secure=False)
        context.add_cookies([{"name": name, "value": token, "url": support.URL}])
        found = context.new_page()
        found.clock.install()
        found.goto(f"{support.URL}/console/")
        yield found
        browser.close()


def test_figures_are_fresh_and_a_hidden_tab_asks_for_nothing(
    console: ConsoleApi, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url))
    assert page.locator(".chart canvas").count() == 3
    send(console, 3)
    console.clock.advance(3)
    page.clock.run_for(5500)
    page.locator("dd", has_text="3").first.wait_for()
    page.locator("#refreshed:not([hidden])").wait_for()
    assert len(asked) == 1
    page.evaluate(_HIDE)
    page.clock.run_for(60_000)
    assert len(asked) == 1
    page.evaluate(_SHOW)
    with page.expect_response(lambda each: "/live" in each.url) as answer:
        page.clock.run_for(5500)
    assert answer.value.status == 304


def test_charts_take_the_colours_of_the_scheme_and_the_width_of_the_page(page: Page) -> None:
    canvas = page.locator("#chart-rates canvas")
    page.emulate_media(color_scheme="light")
    page.clock.run_for(100)
    light = canvas.evaluate("each => each.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.clock.run_for(100)
    assert canvas.evaluate("each => each.toDataURL()") != light
    page.set_viewport_size({"width": 375, "height": 800})
    page.wait_for_function("document.querySelector('#chart-rates canvas').clientWidth < 360")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
