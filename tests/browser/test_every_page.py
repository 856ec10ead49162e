"""Every page that the console has, as axe, a phone and a keyboard meet it, and the inbox."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from shared.accounts.actor import CLI
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.accounts.user import User
from tests.support.browser import PHONE, Seat, System, in_an_hour
from tests.support.console_rules import RULES, filled, links, named, rule_of
from web.console.pages import Rule

PAGES = [rule for rule in RULES if rule.method == "GET"]
_DRAFT = re.compile('name="draft" value="([^"]+)"')
MORE: dict[str, tuple[str, ...]] = {
    "/messages/<identifier>": ("?view=preview", "?view=headers", "?view=source"),
    "/aside": ("?kind=uncertain",),
}
"""Other pages of the same address."""
ELSEWHERE = ("", "/account/recovery-codes")
"""These lead to another page; the second one where there is no app."""
NOWHERE = "/<path:rest>"
CONTROLS = """() => {
    window.missed = new Map();
    const shown = (each) => {
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
        return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
    };
    const wanted = "a[href], button, input:not([type=hidden]), select, textarea, summary,"
        + " [tabindex]";
    const all = [...document.querySelectorAll(wanted)].filter((each) => !each.disabled
        && each.tabIndex >= 0 && each.checkVisibility({ visibilityProperty: true })
        && !(each.type === "radio" && !each.checked));
    for (const each of all) window.missed.set(each, "is not reached");
    document.addEventListener("focusin", ({ target }) => {
        // The box around chips shows it for its field.
        const around = target.matches("[data-chips]") ? target.parentElement : target;
        if (shown(target) || shown(around)) window.missed.delete(target);
        else window.missed.set(target, "shows no focus");
    });
    // A date has a stop for each of its parts.
    return all.length + 7 * all.filter((each) => each.type === "datetime-local").length;
}"""
MISSED = "() => [...window.missed].map(([each, why]) => `${why}: ${each.outerHTML.slice(0, 200)}`)"


@pytest.fixture(scope="session")
def owner(world: System) -> User:
    """Who has a second factor, a draft and a decision, so that their pages are there."""
    return world.user("owner", name="Olive Owner", second_factor="email")


@pytest.fixture(scope="session")
def values(world: System, chromium: Browser, owner: User) -> dict[tuple[str, str], str]:
    """A real value of each name in an address, by the rule's first word: what links lead to."""
    found: dict[tuple[str, str], str] = {}
    with chromium.new_context() as context:
        place = Seat(context, world)
        place.sign_in(owner)
        _fill(place, found)
        invited = People(world.accounts).invite(CLI, "invited@people.test", "Ines", "reader")
        assert not isinstance(invited, Refused)
        found["<any(first,invitation,reset):purpose>", "purpose"] = "invitation"
        found["<any(first,invitation,reset):purpose>", "token"] = invited.token
        decided = place.post("/aside/decisions", act="requeue", kind="dead").headers["location"]
        todo = ["/", decided.removeprefix("/console")]
        seen = set()
        while todo:
            path = todo.pop(0)
            for method, address in [("GET", path), *links(place.get(path))]:
                match = rule_of(method, address)
                if match is None:
                    continue
                rule, names = match
                for name, value in names.items():
                    found.setdefault((rule.path.split("/")[1], name), value)
                if method == "GET" and rule not in seen and not rule.open:
                    seen.add(rule)
                    todo.append(address)
    return found


def _fill(place: Seat, found: dict[tuple[str, str], str]) -> None:
    """Something to see on every page: a message with all its content, and a draft."""
    world = place.world
    image = base64.b64encode(b"GIF89a").decode()
    found["messages", "identifier"] = world.api.send(
        to=["ann@people.test", "bob@refused.test"],
        html="<p>Hello <a href='https://elsewhere.test/'>you</a></p>",
        tags=["tag"],
        metadata={"order": "1"},
        attachments=[{"filename": "a.gif", "content_type": "image/gif", "content": image}],
        send_at=in_an_hour(),
    )
    found["people", "user_id"] = world.user("reader", password="none").id
    found["people", "act"] = "disable"
    found["compose", "draft_id"] = draft = _DRAFT.findall(place.get("/compose"))[0]
    fields = {"draft": draft, "subject": "A draft", "html": "<p>Hello</p>", "to": "a@people.test"}
    assert place.post("/compose/save", **fields).ok


def _paths(rule: Rule, values: dict[tuple[str, str], str]) -> list[str]:
    if rule.path == NOWHERE:
        return ["/no/such/page"]
    first = f"{rule.path}/".split("/")[1]
    path = filled(rule, {name: values[first, name] for name in named(rule)})
    return [path, *(path + each for each in MORE.get(rule.path, ()))]


def _is_page(place: Seat, path: str) -> bool:
    """Not a file, nor a part of a page."""
    answer = place.context.request.get(place.world.page(path))
    assert answer.status in (200, *place.expected), f"{path}: {answer.status}"
    if answer.url != place.world.page(path):
        assert path in ELSEWHERE, f"{path} leads to {answer.url}"
        return False
    kind, kept = (answer.headers.get(name, "") for name in ("content-type", "content-disposition"))
    return "text/html" in kind and "attachment" not in kept and '<html lang="en">' in answer.text()


def _walk(page: Page) -> None:
    """The Tab key reaches every control, and one sees where it is."""
    for _ in range(page.evaluate(CONTROLS) + 6):
        page.keyboard.press("Tab")
    missed = page.evaluate(MISSED)
    assert not missed, f"{page.url}: " + "\n".join(missed)


@pytest.mark.parametrize("rule", PAGES, ids=[rule.path for rule in PAGES])
def test_no_page_has_a_serious_fault(
    seat: Callable[..., Seat],
    world: System,
    owner: User,
    values: dict[tuple[str, str], str],
    rule: Rule,
) -> None:
    place = seat()
    place.expected = {404} if rule.path == NOWHERE else set()
    if not rule.open:
        place.sign_in(owner, rule.levels[0])
    for path in _paths(rule, values):
        if _is_page(place, path):
            page = place.open(path)
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            _walk(page)
            place.look()


def test_the_skip_link_leads_to_the_content(seat: Callable[..., Seat], world: System) -> None:
    place = seat()
    place.sign_in(world.user("reader"))
    page = place.open("/messages")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


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
    world.send(subject="A look")
    page = place.page
    page.goto(f"{world.inbox}/")
    expect(page.get_by_role("link", name="A look").first).to_be_visible()
    place.look()
    expect(page.get_by_role("link", name="Console", exact=True)).to_have_attribute(
        "href", f"{world.url}/console/"
    )
    page.get_by_text("Delete all", exact=True).click()
    expect(page.get_by_role("button", name="Delete all messages")).to_be_visible()
    page.get_by_role("link", name="A look").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A look")
    place.look()
