"""Coming in, in a real browser: the first owner, an app, signing in and out, a reset by mail."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pyotp
from playwright.sync_api import Page, expect

from shared.accounts.actor import CLI
from shared.accounts.first import first_link, link_url
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.clock import SystemClock
from tests.support.browser import Seat, System
from tests.support.system import poll

PASSWORD, NEW = "seven grey herons at dusk", "eight brown owls at noon"


def _code(app: pyotp.TOTP, later: int = 0) -> str:
    return app.at(int(time.time()) + 30 * later)


def _mailed(place: Seat, subject: str) -> str:
    """The text of the newest message with this subject in the inbox."""
    found: list[Any] = []

    def look() -> bool:
        answer = place.context.request.get(f"{place.world.inbox}/api/messages")
        found[:] = [each for each in answer.json()["messages"] if each["subject"] == subject]
        return bool(found)

    poll(look)
    answer = place.context.request.get(f"{place.world.inbox}/api/messages/{found[0]['id']}")
    return str(answer.json()["text"])


def _sign_in(page: Page, login: str, password: str) -> None:
    page.get_by_label("E-mail address").fill(login)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def test_the_first_owner_comes_in_with_an_app_and_again(
    seat: Callable[..., Seat], world: System
) -> None:
    link = first_link(world.records, SystemClock(), world.settings.console)
    assert link is not None
    place = seat()
    page = place.page
    page.goto(link)
    page.get_by_label("E-mail address").fill("First@people.test")
    page.get_by_label("Name").fill("First")
    page.get_by_label("Password", exact=True).fill("short")
    expect(page.get_by_text("5 of at least 15 characters.")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    expect(page.get_by_text("Long enough.", exact=True)).to_be_visible()
    page.get_by_text("Set up an authenticator app at once").click()
    place.look()
    uri = page.get_by_role("link", name="Open it in an app").get_attribute("href")
    app = pyotp.parse_uri(uri or "")
    assert isinstance(app, pyotp.TOTP)
    page.get_by_label("Code that the app shows now").fill(_code(app))
    page.get_by_role("button", name="Make the first account").click()
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    place.look()
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Sign out").click()
    place.expected = {422}
    _sign_in(page, "first@people.test", "not this one")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    _sign_in(page, "first@people.test", PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    expect(page.get_by_label("Code of your authenticator app")).to_be_focused()
    place.open("/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    place.look()
    page.get_by_label("Code of your authenticator app").fill(_code(app, later=1))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{world.url}/console/")
    place.open("/account")
    expect(page.get_by_text("An authenticator app.")).to_be_visible()
    page.get_by_role("link", name="Move to another app").click()
    place.look()


def test_whoever_is_invited_comes_in_and_gets_a_new_password_by_mail(
    seat: Callable[..., Seat], world: System
) -> None:
    invited = People(world.accounts).invite(CLI, "second@people.test", "Second", "reader")
    assert not isinstance(invited, Refused)
    place = seat()
    page = place.page
    page.goto(link_url(world.settings.console, "invitation", invited.token))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Make my account").click()
    expect(page.get_by_role("status").first).to_contain_text("Welcome")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Forgotten your password?").click()
    page.get_by_label("E-mail address").fill("second@people.test")
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_text("a link is on its way")).to_be_visible()
    link = re.search(
        r"http://\S+/console/reset/\S+", _mailed(place, "A new password for Posthaste")
    )
    assert link is not None
    page.goto(link[0])
    place.look()
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("status").first).to_contain_text("Your password was changed")
    assert "was changed" in _mailed(place, "Your password was changed")
    place.expected = {404}
    page.goto(link[0])
    expect(page.get_by_role("heading", level=1)).to_contain_text("does not work")


def test_signing_in_needs_no_script(seat: Callable[..., Seat], world: System) -> None:
    hashed = world.accounts.passwords.hash(PASSWORD)
    user = world.user("reader", password=hashed, password_alone=True)
    place = seat(java_script_enabled=False)
    page = place.open("/account")
    _sign_in(page, user.login, PASSWORD)
    expect(page).to_have_url(f"{world.url}/console/account")
    page.get_by_label("Name").fill("Other")
    page.get_by_role("button", name="Save the name").click()
    expect(page.get_by_text("Your name was changed.")).to_be_visible()
