"""Nobody asks for what nobody sees: a page that polls stops in a tab behind another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Seat, System, in_an_hour
from tests.support.system import poll
from tests.support.tabs import Tab, tabs

ASKED = "performance.getEntriesByType('resource').filter((e) => e.initiatorType === 'fetch').length"
"""How often a page has asked for its own news."""
PREPARED = """(() => {
    const now = Date.now.bind(Date), began = now();
    Date.now = () => began + 20 * (now() - began);
    window.turns = 0;
    setInterval(() => { window.turns += 1; }, 250);
})()"""
"""Its clock is twenty times as fast, and it counts how often its script could have asked."""


def _turns(tab: Tab, count: int) -> None:
    """Wait until it could have asked so often."""
    until = tab.ask("window.turns") + count
    poll(lambda: tab.ask("window.turns") >= until)


@pytest.mark.parametrize("what", ["overview", "message"])
def test_asking_again_stops_in_a_hidden_tab_and_goes_on_in_a_shown_one(
    seat: Callable[..., Seat], world: System, chromium: Browser, what: str
) -> None:
    place = seat()
    place.sign_in(world.user("reader"))
    path = "/"
    if what == "message":
        path = f"/messages/{world.send(send_at=in_an_hour())}"
    kept = place.context.cookies()[0]
    cookie = {"name": kept["name"], "value": kept["value"], "url": world.url}
    with tabs(chromium, cookie, world.page(path), world.page("/account")) as (asks, other):
        asks.show()
        poll(lambda: asks.ask("document.querySelectorAll('[data-poll]').length") == 1)
        poll(lambda: asks.ask("document.readyState") == "complete")
        asks.ask(PREPARED)
        poll(lambda: asks.ask(ASKED) >= 2)
        other.show()
        poll(lambda: asks.ask("document.hidden"))
        _turns(asks, 2)  # What was asked before is answered.
        asked = asks.ask(ASKED)
        _turns(asks, 6)
        assert asks.ask(ASKED) == asked
        asks.show()
        poll(lambda: asks.ask(ASKED) > asked)
