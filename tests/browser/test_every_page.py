"""Every page that an address without a name leads to, as axe and a phone see it, and the inbox."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from shared.accounts.user import Role
from tests.support.browser import PHONE, Seat, System
from tests.support.console import ConsoleApi


def _paths(*, is_open: bool) -> list[str]:
    console = ConsoleApi()
    rules = console.pages.rules.values()
    console.close()
    found = {rule.path for rule in rules if rule.method == "GET" and rule.open == is_open}
    return sorted(path for path in found if "<" not in path)


def _is_page(place: Seat, world: System, path: str) -> bool:
    """Not a file, nor a part of a page."""
    answer = place.context.request.get(f"{world.url}/console{path}")
    assert answer.status < 500, path
    kind, kept = (answer.headers.get(name, "") for name in ("content-type", "content-disposition"))
    return "text/html" in kind and "attachment" not in kept and "<html" in answer.text()


@pytest.mark.parametrize(("role", "is_open"), [("owner", False), (None, True)])
def test_no_page_has_a_serious_fault(
    seat: Callable[..., Seat], world: System, role: Role | None, is_open: bool
) -> None:
    place = seat()
    if role is not None:
        place.sign_in(world.user(role))
    for path in _paths(is_open=is_open):
        if _is_page(place, world, path):
            place.open(path)
            place.look()


def test_one_gets_everywhere_on_a_phone_without_a_script(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat(java_script_enabled=False, viewport=PHONE)
    place.sign_in(world.user("owner"))
    page = place.open("/")
    audit = page.get_by_role("link", name="Audit", exact=True)
    expect(audit).to_have_count(0)
    page.get_by_text("Menu", exact=True).click()
    expect(audit).to_be_visible()
    box = audit.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    page.keyboard.press("Enter")
    expect(audit).to_have_count(0)


def test_the_inbox_looks_like_the_console(seat: Callable[..., Seat], world: System) -> None:
    place = seat()
    message = {
        "from": {"email": "a@shop.test"},
        "to": [{"email": "b@people.test"}],
        "subject": "A look",
        "text": "Hello.",
    }
    key = {"Authorization": f"Bearer {world.facts['key']}"}
    answer = place.context.request.post(
        f"{world.facts['http']}/v1/messages", data=message, headers=key
    )
    assert answer.status == 202, answer.text()
    page = place.page
    page.goto(f"{world.inbox}/")
    expect(page.get_by_role("link", name="A look").first).to_be_visible(timeout=15_000)
    place.look()
    expect(page.get_by_role("link", name="Console", exact=True)).to_have_attribute(
        "href", f"{world.url}/console/"
    )
    page.get_by_text("Delete all", exact=True).click()
    expect(page.get_by_role("button", name="Delete all messages")).to_be_visible()
    page.get_by_role("link", name="A look").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A look")
    place.look()
