"""Coming in, in a real browser: the first owner, an app, signing in and out, a reset by mail."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pyotp
from playwright.sync_api import Page, expect

from shared.accounts.actor import CLI
from shared.accounts.first import link_url
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.accounts.throttle import by_account, by_network
from tests.support.browser import Seat, System

PASSWORD, NEW = "seven grey herons at dusk", "eight brown owls at noon"


def _code(app: pyotp.TOTP, later: int = 0) -> str:
    return app.at(int(time.time()) + 30 * later)


def _sign_in(page: Page, login: str, password: str) -> None:
    page.get_by_label("E-mail address").fill(login)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def test_the_first_owner_comes_in_with_an_app_and_again(
    seat: Callable[..., Seat], world: System
) -> None:
    link = re.search(r"http://\S+/console/first/\S+", world.facts["said"])
    assert link is not None, world.facts["said"]
    place = seat()
    page = place.page
    page.goto(link[0])
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
    code = _code(app, later=1)
    page.get_by_label("Code of your authenticator app").fill(code)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{world.url}/console/")
    place.open("/account")
    expect(page.get_by_text("An authenticator app.")).to_be_visible()
    place.open("/account/recovery-codes")
    expect(page.get_by_role("heading", level=1)).to_contain_text("recovery codes")
    place.look()
    page.get_by_role("button", name="Sign out").click()
    _sign_in(page, "first@people.test", PASSWORD)
    page.get_by_label("Code of your authenticator app").fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    place.sign_in(world.user("operator"))
    place.audited("first@people.test", "first.accepted", "sign_in.done", "second_step.failed")


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
        r"http://\S+/console/reset/\S+", place.captured("A new password for Posthaste")["text"]
    )
    assert link is not None
    page.goto(link[0])
    place.look()
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("status").first).to_contain_text("Your password was changed")
    assert "was changed" in place.captured("Your password was changed")["text"]
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


def test_five_wrong_passwords_are_followed_by_a_wait(
    seat: Callable[..., Seat], world: System
) -> None:
    login, throttle = "somebody@people.test", world.accounts.throttle
    subjects = (by_account(login), by_network("127.0.0.1"))
    world.records.write(throttle.forgets("sign_in", *subjects))
    place = seat()
    place.expected = {422, 429}
    page = place.open("/sign-in")
    for _ in range(5):
        with page.expect_event("load"):
            _sign_in(page, login, "not this one")
        expect(page.get_by_role("alert")).to_contain_text("not right")
    _sign_in(page, login, "not this one")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Try again in \d+ seconds"))
    # The others of this process come from the same address.
    world.records.write(throttle.forgets("sign_in", *subjects))
