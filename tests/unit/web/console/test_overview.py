"""The overview: what needs a person, the figures, and what it costs to keep them fresh."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from shared.model.message import CLASSES
from shared.model.status import Status
from shared.store.figures import Depth, Health
from shared.store.operations import Outline, Vitals
from shared.store.ports import Pause
from shared.store.samples import MINUTE_MS, Figures, Sample
from tests.support.console import ConsoleApi
from tests.support.console_mail import HOSTILE, new_console, pump, send, settle, trouble
from web.console.attention import REASONS, needs
from web.console.charts import MINUTES, charts
from web.console.views.overview import WORDS

DAY_MS = 86_400_000
_WELL = Health(())
_ALIVE = Vitals()


@pytest.fixture
def console() -> Iterator[ConsoleApi]:
    """One with relays, a pool and sites."""
    found = new_console()
    pump(found)
    yield found
    found.close()


def depth(**fields: Any) -> Depth:
    nothing = dict.fromkeys(CLASSES, 0)
    values: dict[str, Any] = {
        "accepted": nothing, "by_status": {name: {} for name in CLASSES}, "ready_legs": nothing,
        "counters": {}, "attempts": {}, "oldest_ready_ms": {}, "deferred_legs": nothing,
        "leased_legs": nothing, "live_workers": 1, "events_length": 0, "dead_legs": 0,
        "held_legs": 0, "suspended_hops": 0, "troubled_hops": 0, "finished_messages": 0,
    }  # fmt: skip
    return Depth(**(values | fields))


def codes(health: Health = _WELL, found: Depth | None = None, vitals: Vitals = _ALIVE) -> list[str]:
    return [each.code for each in needs(health, found or depth(), vitals, [], 0.8)]


def test_nothing_needs_anybody_while_all_is_well() -> None:
    assert codes(Health((), 100, 1000), vitals=Vitals(durable=True)) == []
    assert codes(vitals=Vitals(durable=None)) == []


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("refusing", {"health": Health(("store_disk",))}),
        ("no_workers", {"found": depth(live_workers=0)}),
        ("not_durable", {"vitals": Vitals(durable=False)}),
        ("evicted", {"vitals": Vitals(evicted_keys=3)}),
        ("unaccounted", {"found": depth(accepted=dict.fromkeys(CLASSES, 1))}),
        ("memory", {"health": Health((), 700, 1000)}),
        ("dead", {"found": depth(dead_legs=1)}),
        ("uncertain", {"found": depth(held_legs=1)}),
    ],
)
def test_each_thing_that_needs_a_person_is_told(code: str, given: dict[str, Any]) -> None:
    assert codes(**given) == [code]


def test_destinations_that_stand_still_are_told_by_name() -> None:
    still = Pause("suspended", None)
    rows = [
        Outline(hop=name, message_class=each, deferred=2, pause=still)
        for name in ("a", "b", "c", "d", "e")
        for each in CLASSES
    ]
    away = Outline(hop="mx:away.test", message_class="bulk", pause=Pause("trouble", 1))
    relay = Outline(hop="relay", message_class="bulk", ready=1, pause=Pause("trouble", 1))
    suspended, troubled = needs(Health(()), depth(), Vitals(), [*rows, away, relay], 0.8)
    assert (suspended.title, suspended.names, suspended.more) == (
        "5 destinations are suspended", ("a", "b", "c"), 2,
    )  # fmt: skip
    assert suspended.text.startswith("30 messages wait")
    assert (troubled.title, troubled.names) == ("1 destination cannot be used", ("relay",))
    assert troubled.text.startswith("1 message waits")


def test_what_stops_mail_comes_first() -> None:
    found = needs(Health(()), depth(dead_legs=2, live_workers=0), Vitals(), [], 0.8)
    assert [each.code for each in found] == ["no_workers", "dead"]


def test_why_mail_is_refused_is_told_in_words() -> None:
    (need,) = needs(Health(("store_replicas", "new_reason")), depth(), Vitals(), [], 0.8)
    assert need.text == f"{REASONS['store_replicas']} new_reason."


def sample(minute: int, **fields: int) -> Sample:
    return Sample(minute * MINUTE_MS + 300, (Figures(**fields), Figures(), Figures()))


def test_a_chart_has_an_hour_and_a_gap_where_nothing_is_known() -> None:
    now = 1_000_000 * MINUTE_MS + 20_000
    samples = [
        sample(999_990, delivered=10, ready=5), sample(999_991, delivered=17, ready=6),
        sample(999_995, delivered=30), sample(999_996, delivered=31, ready=2),
    ]  # fmt: skip
    found = charts(samples, now)
    assert len(found.rates) == MINUTES
    by_minute = {row.at_ms // MINUTE_MS: row.numbers for row in found.rates}
    assert by_minute[999_990] == (0, 7, 0, 0)
    assert by_minute[999_992] == (None,) * 4
    assert by_minute[999_995] == (0, 1, 0, 0)
    assert found.sums()["delivered"] == 8
    assert {row.at_ms // MINUTE_MS: row.numbers[0] for row in found.depths if row.numbers[0]} == {
        999_990: 5, 999_991: 6, 999_996: 2,
    }  # fmt: skip
    points = found.points()
    assert {len(column) for column in points["outcomes"]} == {12}
    assert points["since"] == (1_000_000 - MINUTES) * 60


def test_a_chart_of_nothing_is_an_hour_of_gaps() -> None:
    found = charts([], DAY_MS)
    assert {row.numbers for row in found.rates} == {(None,) * 4}
    assert set(found.sums().values()) == {0}


def test_every_series_has_a_word() -> None:
    names = {name for name in Figures.__struct_fields__ if name != "oldest_ready_ms"}
    assert set(WORDS) <= names


def test_the_overview_tells_what_there_is(console: ConsoleApi) -> None:
    send(console, 2)
    settle(console, Status.DEAD, "poison")
    send(console, 7)
    console.clock.advance(60)
    pump(console)
    settle(console, Status.DEFERRED)
    send(console, 4)
    page = console.signed_in("reader").get("/").text
    assert "2 dead letters" in page
    assert 'href="/console/aside?kind=dead"' in page
    assert '<a href="/console/destinations/relay">relay</a>' in page
    assert re.search(r"<dt>accepted in the last minute</dt><dd>9</dd>", page)
    assert re.search(r"<dt>messages ready</dt><dd>4</dd>", page)
    assert re.search(r"<dt>deferred or scheduled</dt><dd>7</dd>", page)
    assert re.search(r"<dt>worker running</dt><dd>1</dd>", page)
    found = re.search(r'data-points="([^"]+)"', page)
    assert found
    points = json.loads(unescape(found[1]))
    assert points["rates"][1][-1] == 9


def test_nothing_needs_you_is_said(console: ConsoleApi) -> None:
    assert "Nothing needs you." in console.signed_in("reader").get("/").text
    console.clock.advance(30)
    assert "No worker is running" in console.signed_in("developer").get("/").text


def test_what_is_fresh_is_small_and_what_is_not_new_is_not_sent(console: ConsoleApi) -> None:
    browser = console.signed_in("reader")
    page = browser.get("/").text
    found = re.search(r'data-digest="(\w+)"', page)
    assert found
    whole = browser.get("/overview/live")
    part = browser.get(f"/overview/live?drawn={found[1]}")
    assert "data-points" in whole.text
    assert "data-points" not in part.text
    assert len(part.data) < len(whole.data) / 3
    again = browser.get(
        f"/overview/live?drawn={found[1]}", headers={"If-None-Match": part.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
    send(console)
    console.clock.advance(3)
    new = browser.get(
        f"/overview/live?drawn={found[1]}", headers={"If-None-Match": part.headers["ETag"]}
    )
    assert new.status_code == 200


def test_many_who_look_ask_the_store_once(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    outlines = console.store.operations.outlines

    def counted() -> list[Outline]:
        asked.append(1)
        return outlines()

    monkeypatch.setattr(console.store.operations, "outlines", counted)
    browsers = [console.signed_in("reader", login=f"r{n}@people.test") for n in range(3)]
    for browser in browsers:
        browser.get("/overview/live")
    assert len(asked) == 1
    console.clock.advance(2)
    browsers[0].get("/overview/live")
    assert len(asked) == 2


def test_b23_what_others_have_written_is_shown_as_text(console: ConsoleApi) -> None:
    console.store.operations.suspend(f"mx:{HOSTILE}", None, f"<b>{HOSTILE}")
    trouble(console, "relay", f"<script>{HOSTILE}")
    send(console)
    for path in ("/", "/overview/live"):
        page = console.signed_in("owner", login=f"o{len(path)}@people.test").get(path).text
        assert "onerror" in page
        for bad in ("<img", "<b>", "<script>"):
            assert bad not in page, path


def test_the_page_has_no_script_or_style_of_its_own(console: ConsoleApi) -> None:
    page = console.signed_in().get("/").text
    assert " style=" not in page
    assert not re.search(r"<script(?![^>]* src=\"/console/static/)", page)
