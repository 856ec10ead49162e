"""The overview in a browser: fresh while its tab is seen, silent while it is not; its charts."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from tests.support.browser import PHONE, Seat, System

_HIDE = """Object.defineProperty(document, "hidden", {configurable: true, get: () => true});
document.dispatchEvent(new Event("visibilitychange"));"""
_SHOW = """delete document.hidden; document.dispatchEvent(new Event("visibilitychange"));"""


def _open(place: Seat, world: System) -> Page:
    """The overview; its clock is the test's."""
    place.sign_in(world.user("reader"))
    place.page.clock.install()
    return place.open("/")


def test_a_tab_that_nobody_sees_asks_for_nothing(seat: Callable[..., Seat], world: System) -> None:
    page = _open(seat(), world)
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "/live" in each.url else None)
    with page.expect_response(lambda each: "/live" in each.url):
        page.clock.run_for(5500)
    page.locator("#refreshed:not([hidden])").wait_for()
    assert len(asked) == 1
    page.evaluate(_HIDE)
    page.clock.run_for(60_000)
    assert len(asked) == 1
    page.evaluate(_SHOW)
    with page.expect_response(lambda each: "/live" in each.url) as answer:
        page.clock.run_for(5500)
    assert answer.value.status in (200, 304)


def test_charts_have_the_colours_of_the_scheme_and_the_width_of_the_page(
    seat: Callable[..., Seat], world: System
) -> None:
    page = _open(seat(color_scheme="light"), world)
    canvas = page.locator("#chart-rates canvas")
    assert page.locator(".chart canvas").count() == 3
    light = canvas.evaluate("each => each.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.clock.run_for(100)
    assert canvas.evaluate("each => each.toDataURL()") != light
    page.set_viewport_size(PHONE)
    page.wait_for_function("document.querySelector('#chart-rates canvas').clientWidth < 360")


def test_without_a_script_the_tables_tell_what_the_charts_show(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat(java_script_enabled=False)
    place.sign_in(world.user("reader"))
    page = place.open("/")
    assert page.locator(".chart:visible").count() == 0
    page.get_by_text("Throughput as a table").click()
    assert page.locator("tbody[data-part=rates-rows] tr:visible").count() == 60


def test_a_destination_is_suspended_and_resumed_by_keyboard(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat()
    place.sign_in(world.user("operator"))
    page = place.open("/destinations/strict")
    page.get_by_role("link", name="Suspend").press("Enter")
    place.look()
    page.get_by_label("Reason").fill("a test")
    page.get_by_role("button", name="Suspend").press("Enter")
    page.get_by_text("Suspended. Its mail stays queued").wait_for()
    place.look()
    page.get_by_role("link", name="Resume").press("Enter")
    page.get_by_role("button", name="Resume").press("Enter")
    page.get_by_text("Resumed. Its mail goes again.").wait_for()
    for path in ("/destinations/strict/flush", "/destinations/strict/move", "/limits/strict"):
        place.open(path)
        place.look()
