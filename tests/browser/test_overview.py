"""The overview's charts, and the same numbers without a script."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from tests.support.browser import PHONE, Seat, System


def _open(place: Seat, world: System) -> Page:
    """The overview; its clock is the test's."""
    place.sign_in(world.user("reader"))
    place.page.clock.install()
    return place.open("/")


def test_charts_have_the_colours_of_the_scheme_and_the_width_of_the_page(
    seat: Callable[..., Seat], world: System
) -> None:
    page = _open(seat(color_scheme="light"), world)
    canvas = page.locator("#chart-rates canvas")
    assert page.locator(".chart canvas").count() == 3
    light = canvas.evaluate("each => each.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.clock.run_for(100)
    drawn = "(light) => document.querySelector('#chart-rates canvas').toDataURL() !== light"
    page.wait_for_function(drawn, arg=light)
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
