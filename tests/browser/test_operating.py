"""What operators and owners do in the browser, and that the audit trail has it: a dead letter, a
destination, a key, a person."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from urllib.parse import unquote

from playwright.sync_api import Page, expect

from shared.accounts.user import User
from tests.support.browser import Seat, System, in_an_hour
from tests.support.console_rules import links, rule_of
from tests.support.smtp_server import Captured
from tests.support.system import message, poll

POISON = "<b>poison</b>"


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def _kill(world: System, captured: Captured) -> None:
    if POISON in captured.data.decode():
        for pid in world.api.pids("worker"):
            os.kill(pid, signal.SIGKILL)


def test_a_dead_letter_is_seen_grouped_counted_queued_again_and_delivered(
    seat: Callable[..., Seat], world: System
) -> None:
    place, user = seat(), world.user("operator")
    place.sign_in(user)
    page = place.open("/")
    world.strict.on_message = lambda captured: _kill(world, captured)
    identifier = world.api.send(to="dead@refused.test", text=POISON, subject=POISON)
    need = page.locator(".need", has_text="1 dead letter")
    expect(need).to_be_visible(timeout=30_000)
    world.strict.on_message = None
    need.get_by_role("link").click()
    group = page.locator(".cause")
    expect(group.locator(".facts")).to_contain_text("strict")
    group.get_by_role("link", name="Show messages").click()
    expect(page.get_by_role("link", name=POISON)).to_be_visible()
    page.get_by_role("checkbox", name=f"Choose {identifier}").check()
    _press(page, "Queue the ticked ones again…")
    expect(page.get_by_role("heading", name="1 dead letter")).to_be_visible()
    assert {each["status"] for each in world.api.recipients(identifier)} == {"dead"}
    _press(page, "Queue again 1")
    expect(page.locator("#progress")).to_contain_text("1 queued again")
    place.open(f"/messages/{identifier}")
    expect(page.locator("#sum")).to_contain_text("delivered")
    place.audited(user.login, "aside.requeued")


def test_a_suspended_destination_keeps_its_mail_until_it_is_resumed(
    seat: Callable[..., Seat], world: System
) -> None:
    place, user = seat(), world.user("operator")
    place.sign_in(user)
    world.api.wait_status(world.api.send(to="known@refused.test"), "delivered")
    page = place.open("/destinations/strict")
    page.get_by_role("link", name="Suspend", exact=True).press("Enter")
    page.get_by_label("Reason").fill("the <i>cellar</i> is full")
    page.keyboard.press("Enter")
    expect(page.locator(".facts").first).to_contain_text("the <i>cellar</i> is full")
    message_path = f"/messages/{world.api.send(to='waits@refused.test')}"
    place.open(message_path)
    expect(page.locator("#recipient-0")).to_contain_text("suspended")
    expect(page.locator("#recipient-0")).to_contain_text("the <i>cellar</i> is full")
    place.open("/")
    expect(page.locator(".need", has_text="1 destination is suspended")).to_be_visible()
    page.get_by_role("link", name="strict").first.click()
    place.look()
    page.get_by_role("link", name="Resume", exact=True).click()
    _press(page, "Resume")
    expect(page.get_by_role("status").first).to_be_visible()
    place.open(message_path)
    expect(page.locator("#sum")).to_contain_text("delivered")
    place.audited(user.login, "destination.suspended", "destination.resumed")


def test_what_is_deferred_is_tried_at_once_by_a_flush(
    seat: Callable[..., Seat], world: System
) -> None:
    place, user = seat(), world.user("operator")
    place.sign_in(user)
    world.strict.answers["RCPT full@refused.test"] = ["451 4.2.2 come back later"]
    page = place.open(f"/messages/{world.api.send(to='full@refused.test')}")
    expect(page.locator("#sum")).to_contain_text("deferred")
    expect(page.locator("samp").first).to_contain_text("come back later")
    place.open("/destinations/strict/flush")
    _press(page, "Flush")
    page.wait_for_url("**/destinations/strict*")
    page.go_back()
    page.go_back()
    expect(page.locator("#sum")).to_contain_text("delivered")
    place.audited(user.login, "destination.flushed")


def test_a_key_is_shown_once_used_and_revoked(seat: Callable[..., Seat], world: System) -> None:
    place, user = seat(), world.user("owner")
    place.sign_in(user)
    page = place.open("/keys")
    page.get_by_role("link", name="Create a key").click()
    page.locator("#application").fill("shop")
    page.locator("#domains").fill("shop.test")
    page.get_by_role("checkbox", name=re.compile("^send")).check()
    _press(page, "Create the key")
    key = page.locator("#key").inner_text()
    place.look()

    def status() -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return world.api.ask(
            "POST", "/v1/messages", message(to="ann@people.test"), headers=headers
        )[0]

    assert status() == 202
    page.get_by_role("link", name="I have it").click()
    page.go_back()
    expect(page.locator("main")).not_to_contain_text(key)
    place.open("/keys")
    row = page.locator("tbody tr").filter(has=page.get_by_text("shop", exact=True))
    poll(lambda: page.reload() and "ago" in row.inner_text())
    row.get_by_role("link", name="Revoke").click()
    _press(page, "Revoke it")
    expect(row).to_contain_text("revoked")
    poll(lambda: status() == 401)
    assert key not in place.get("/keys") + place.get("/audit")
    place.audited(user.login, "key.created", "key.revoked")


def test_who_is_invited_sees_nothing_that_the_role_may_not(
    seat: Callable[..., Seat], world: System
) -> None:
    place, owner = seat(), world.user("owner")
    place.sign_in(owner)
    page = place.open("/people")
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("rita@people.test")
    page.get_by_label("Role").select_option("reader")
    _press(page, "Invite")
    expect(page.get_by_role("status").first).to_contain_text("The invitation was sent.")
    place.audited(owner.login, "invitation.made")
    guest = seat()
    guest.expected = {403}
    link = _link(guest, "rita@people.test")
    page = guest.page
    page.goto(link)
    page.get_by_label("Name").fill("Rita")
    page.get_by_label("Password", exact=True).fill("seven grey herons at dusk")
    _press(page, "Make my account")
    expect(page.get_by_role("status").first).to_contain_text("Welcome")
    rita = world.users.find("rita@people.test")
    assert rita is not None
    later = f"/messages/{world.send(send_at=in_an_hour())}"
    for path in (
        "/",
        "/messages",
        later,
        "/destinations",
        "/destinations/inbox",
        "/aside",
        "/account",
    ):
        guest.open(path)
        _only_what_is_allowed(page, rita)
    for path in (
        "/keys",
        "/people",
        "/audit",
        "/compose",
        f"{later}/cancel",
        "/destinations/inbox/suspend",
    ):
        guest.open(path)
        expect(page.get_by_role("alert")).to_contain_text("Your role does not allow this.")


def test_a_message_is_found_and_cancelled_without_a_script(
    seat: Callable[..., Seat], world: System
) -> None:
    place, user = seat(java_script_enabled=False), world.user("developer")
    place.sign_in(user)
    identifier = world.send(subject="To be found", send_at=in_an_hour())
    page = place.open("/messages")
    page.get_by_label("Words of the subject").fill("found")
    _press(page, "Search")
    page.get_by_role("link", name="To be found").click()
    page.get_by_role("link", name="Cancel", exact=True).click()
    expect(page.locator(".whom")).to_have_text("ann@people.test")
    _press(page, "Cancel the message")
    expect(page.locator("#sum")).to_contain_text("cancelled")
    assert {each["status"] for each in world.api.recipients(identifier)} == {"cancelled"}
    place.sign_in(world.user("owner"))
    place.audited(user.login, "message.cancelled")


def _link(place: Seat, login: str) -> str:
    """Out of the invitation, which the inbox has."""
    found: list[str] = []

    def look() -> bool:
        answer = place.context.request.get(f"{place.world.inbox}/api/messages?to={login}")
        for each in answer.json()["messages"]:
            text = place.context.request.get(
                f"{place.world.inbox}/api/messages/{each['id']}"
            ).json()["text"]
            found.extend(re.findall(r"http://\S+/console/invitation/\S+", text))
        return bool(found)

    poll(look)
    return found[0]


def _only_what_is_allowed(page: Page, user: User) -> None:
    """Everything on this page leads somewhere that the role may go."""
    for method, address in links(page.content()):
        match = rule_of(method, unquote(address))
        needs = match[0].needs if match else None
        assert needs is None or user.may(needs), f"{page.url} leads to {method} {address}"
