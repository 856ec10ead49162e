"""What a person is told when something goes wrong: an old form, no such page, the store away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import expect

from tests.support.browser import Seat, System


def test_b25_a_form_of_another_session_is_refused_in_words(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat()
    place.expected = {403}
    user = world.user("reader")
    place.sign_in(user)
    page = place.open("/account")
    place.sign_in(user)  # In another window.
    page.get_by_label("Name").fill("Other")
    page.get_by_role("button", name="Save the name").click()
    expect(page.get_by_role("alert")).to_contain_text("go back, reload the page, and try again")
    page.go_back()
    page.reload()
    page.get_by_label("Name").fill("Another")
    page.get_by_role("button", name="Save the name").click()
    expect(page.get_by_role("status").first).to_contain_text("Your name was changed.")


def test_a_page_that_is_not_there_says_so(seat: Callable[..., Seat], world: System) -> None:
    place = seat()
    place.expected = {404}
    place.sign_in(world.user("owner"))
    for path in (
        "/none",
        "/messages/msg_none",
        "/keys/none/revoke",
        "/people/none",
        "/destinations/none",
    ):
        page = place.open(path)
        expect(page.get_by_role("alert").locator("[data-detail]")).to_be_visible()
        page.get_by_role("link", name="To the overview").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_the_store_is_away_and_comes_back(seat: Callable[..., Seat], world: System) -> None:
    place = seat()
    place.expected = {503}
    place.sign_in(world.user("reader"))
    page, other = place.page, place.context.new_page()
    page.clock.install()
    place.open("/")
    note = page.locator("#refreshed")
    with _stopped(world.api.pids("redis")):
        page.clock.fast_forward("00:05")
        expect(note).to_contain_text("Not updated: the server does not answer.")
        other.goto(world.page("/messages"))
        expect(other.get_by_role("alert")).to_contain_text("The store does not answer.")
    page.clock.fast_forward("00:10")
    expect(note).to_contain_text("Updated")
    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text("Messages")
