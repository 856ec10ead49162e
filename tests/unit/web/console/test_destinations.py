"""Destinations in the console: who sees what, what can be done, and that it is said before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from shared.errors import OutcomeUnknown, StoreError, StoreFull, StoreUnavailable
from shared.model.status import Status
from shared.store.limits import Override
from shared.store.operations import Outline
from shared.store.ports import Pause
from tests.support.console import ConsoleApi
from tests.support.console_mail import HOSTILE, acts, new_console, pump, send, settle, trouble
from web.console.destination_list import PAGE, page_of, wanted
from web.views import destinations as api_views


@pytest.fixture
def console() -> Iterator[ConsoleApi]:
    """One with relays, a pool and sites."""
    found = new_console()
    pump(found)
    yield found
    found.close()


def row(console: ConsoleApi, hop: str) -> Any:
    (found,) = [each for each in console.store.operations.destinations() if each.hop == hop]
    return found


def text(page: str) -> str:
    """Without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


OUTLINES = [
    Outline(hop="relay", message_class="transactional", ready=9, deferred=1),
    Outline(hop="mx:b.test", message_class="bulk", deferred=30, per_minute=2.0),
    Outline(hop="mx:a.test", message_class="bulk", in_flight=4, pause=Pause("trouble", 10)),
    Outline(hop="mx:c.test", message_class="critical", pause=Pause("suspended", None)),
]


@pytest.mark.parametrize(
    ("query", "hops"),
    [
        ({}, ["mx:b.test", "relay", "mx:a.test", "mx:c.test"]),
        ({"q": "RELAY"}, ["relay"]),
        ({"state": "troubled"}, ["mx:a.test"]),
        ({"state": "suspended"}, ["mx:c.test"]),
        ({"state": "nonsense", "class": "x", "order": "y", "page": "-1"},
         ["mx:b.test", "relay", "mx:a.test", "mx:c.test"]),
        ({"class": "bulk"}, ["mx:b.test", "mx:a.test"]),
        ({"order": "name"}, ["mx:a.test", "mx:b.test", "mx:c.test", "relay"]),
        ({"order": "ready"}, ["relay", "mx:b.test", "mx:a.test", "mx:c.test"]),
        ({"order": "in_flight"}, ["mx:a.test", "relay", "mx:b.test", "mx:c.test"]),
        ({"order": "per_minute"}, ["mx:b.test", "relay", "mx:a.test", "mx:c.test"]),
    ],
)  # fmt: skip
def test_the_list_is_filtered_and_in_order(query: dict[str, str], hops: list[str]) -> None:
    page = page_of(OUTLINES, wanted(query), 5)
    assert [each.hop for each in page.rows] == hops
    assert page.found == len(hops)


def test_a_page_has_a_hundred_and_the_last_one_stands_for_those_behind_it() -> None:
    rows = [Outline(hop=f"h{n:03}", message_class="bulk") for n in range(2 * PAGE + 1)]
    asked = wanted({"page": "9", "order": "name", "q": "h"})
    page = page_of(rows, asked, 0)
    assert (page.number, page.last, [each.hop for each in page.rows]) == (3, 3, ["h200"])
    assert asked.query(2) == "q=h&order=name&page=2"
    assert len(page_of(rows, wanted({}), 0).rows) == PAGE


def test_the_list_tells_all_of_a_destination(console: ConsoleApi) -> None:
    send(console, 3)
    settle(console, Status.DEFERRED, refusal="451 4.7.1 come back later")
    send(console, 2)
    console.store.operations.set_limit("relay", Override(per_second=5.0))
    trouble(console, "spare", "connection refused")
    page = text(console.signed_in("reader").get("/destinations").text)
    assert "relay transactional active Last refusal: 451 4.7.1 come back later 2 3" in page
    assert "5/s" in page
    assert "451 4.7.1 come back later" in page
    assert "connection refused" in page
    assert "pool:pair" in page


def test_one_destination_is_told_whole(console: ConsoleApi) -> None:
    send(console, 2, tags=["pair"])
    console.store.operations.suspend("spare", None, "repair")
    page = text(console.signed_in("reader").get("/destinations/pool:pair").text)
    assert "Class transactional active" in page
    assert "shop 2 100 %" in page
    assert "Members of the pool" in page
    assert "suspended repair" in page
    assert console.signed_in("developer").get("/destinations/nowhere").status_code == 404


@pytest.mark.parametrize("hop", ["spare@own", "mx:?", "pool:pair", "mx:shop.test"])
def test_every_kind_of_hop_has_its_pages(console: ConsoleApi, hop: str) -> None:
    browser, path = console.signed_in("operator"), f"/destinations/{quote(hop, safe='')}"
    for act in ("", "/suspend", "/resume", "/flush", "/move"):
        assert browser.get(path + act).status_code == 200, act
    answer = browser.post(f"{path}/suspend", {"seconds": "60", "reason": "why"})
    assert answer.headers["Location"].startswith(f"/console{path}?notice=")
    assert row(console, hop).pause.reason == "why"


def test_a_reader_sees_and_cannot_act(console: ConsoleApi) -> None:
    send(console)
    settle(console, Status.DEFERRED)
    for role in ("reader", "developer"):
        browser = console.signed_in(role)
        page = browser.get("/destinations/relay").text
        assert "Suspend" not in page
        assert "/limits/" not in page + browser.get("/destinations").text
        for act in ("suspend", "resume", "flush", "move"):
            assert browser.get(f"/destinations/relay/{act}").status_code == 403
            assert browser.post(f"/destinations/relay/{act}").status_code == 403
        assert browser.post("/limits/relay", {"per_second": "1"}).status_code == 403
    assert row(console, "relay").pause is None
    assert acts(console) == []


def test_suspending_says_what_it_touches_then_does_it(console: ConsoleApi) -> None:
    send(console, 3)
    settle(console, Status.DEFERRED)
    send(console, 2)
    browser = console.signed_in("operator")
    asked = text(browser.get("/destinations/relay/suspend").text)
    assert "Suspending keeps 5 messages queued, and what comes; 0 in flight will end." in asked
    assert row(console, "relay").pause is None
    answer = browser.post("/destinations/relay/suspend", {"seconds": "900", "reason": "repair"})
    assert answer.status_code == 303
    assert row(console, "relay").pause == Pause(
        "suspended", console.clock.now_ms() + 900_000, "repair"
    )
    assert acts(console) == [
        ("destination.suspended", "relay", {"waiting": "5", "in_flight": "0", "seconds": "900"})
    ]
    assert "Suspended." in browser.get(answer.headers["Location"].removeprefix("/console")).text


def test_what_is_wrong_with_a_suspension_stands_beside_its_field(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    for fields, field in (
        ({"seconds": "0"}, "seconds"), ({"seconds": "soon"}, "seconds"),
        ({"seconds": "9" * 20}, "seconds"), ({"reason": "x" * 201}, "reason"),
        ({"reason": "a\nb"}, "reason"),
    ):  # fmt: skip
        answer = browser.post("/destinations/relay/suspend", fields)
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text, fields
    assert acts(console) == []
    assert browser.post("/destinations/nowhere/suspend", {"reason": "x"}).status_code == 404


def test_resuming_lifts_what_there_is(console: ConsoleApi) -> None:
    send(console, 2)
    console.store.operations.suspend("relay", None, "")
    browser = console.signed_in("operator")
    assert "2 messages wait there" in text(browser.get("/destinations/relay/resume").text)
    answer = browser.post("/destinations/relay/resume", {"x": ""})
    assert "notice=destination-resumed" in answer.headers["Location"]
    again = browser.post("/destinations/relay/resume", {"x": ""})
    assert "notice=destination-not-still" in again.headers["Location"]
    assert acts(console) == [("destination.resumed", "relay", {"waiting": "2", "in_flight": "0"})]


def test_flushing_says_how_much_then_makes_it_due(console: ConsoleApi) -> None:
    send(console, 3)
    settle(console, Status.DEFERRED)
    browser = console.signed_in("operator")
    page = text(browser.get("/destinations/relay/flush").text)
    assert "3 messages are deferred or scheduled there; they will be tried now." in page
    assert row(console, "relay").deferred == 3
    none = browser.post("/destinations/relay/flush", {"class": "bulk"})
    assert "notice=destination-nothing-deferred" in none.headers["Location"]
    assert browser.post("/destinations/relay/flush", {"class": "none"}).status_code == 422
    answer = browser.post("/destinations/relay/flush", {"class": ""})
    assert "notice=destination-flushed" in answer.headers["Location"]
    assert (row(console, "relay").ready, row(console, "relay").deferred) == (3, 0)
    details = {"class": "all", "deferred": "3", "flushed": "3"}
    assert acts(console) == [("destination.flushed", "relay", details)]


def test_a_flush_that_is_interrupted_says_how_far_it_came(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(console, 3)
    settle(console, Status.DEFERRED)

    def fails(*_: object) -> int:
        raise OutcomeUnknown("gone")

    monkeypatch.setattr(console.store.operations, "flush", fails)
    answer = console.signed_in("operator").post("/destinations/relay/flush", {"class": ""})
    assert answer.status_code == 503
    assert "0 of 3 messages and at most 3 more are due now" in answer.text
    assert [each[0] for each in acts(console)] == ["destination.flushed"]


@pytest.mark.parametrize("error", [StoreFull("full"), StoreUnavailable("gone")])
def test_what_was_done_and_not_put_into_the_trail_is_not_told_as_undone(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    browser = console.signed_in("operator")

    def fails(*_: object) -> bool:
        raise error

    monkeypatch.setattr(console.store.records, "write", fails)
    answer = browser.post("/destinations/relay/suspend", {"seconds": "900", "reason": "repair"})
    assert answer.status_code == 503
    assert row(console, "relay").pause
    assert "Nothing was done" not in answer.text
    assert "look whether it was done" in answer.text


def test_moving_is_shown_before_it_is_done(console: ConsoleApi) -> None:
    send(console, 3)
    browser = console.signed_in("operator")
    assert "Where to" in browser.get("/destinations/relay/move").text
    page = text(browser.get("/destinations/relay/move?to=spare&now=1").text)
    assert "Move it to spare?" in page
    assert "Would be moved 3" in page
    assert "are tried at once" in page
    assert row(console, "relay").ready == 3
    assert browser.get("/destinations/relay/move?to=nowhere").status_code == 422
    assert browser.post("/destinations/relay/move", {"to": "relay"}).status_code == 422
    assert (
        browser.post("/destinations/relay/move", {"to": "spare", "class": "x"}).status_code == 422
    )
    answer = browser.post("/destinations/relay/move", {"to": "spare"})
    assert answer.headers["Location"] == "/console/destinations/relay?notice=destination-moved"
    assert row(console, "spare").ready == 3
    details = {"class": "all", "to": "spare", "chosen": "3", "moved": "3", "uncertain": "no"}
    assert acts(console) == [("destination.moved", "relay", details)]


def test_what_is_moved_is_bounded(console: ConsoleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.console.views.moves.MOVE_MOST", 2)
    monkeypatch.setattr("web.console.views.moves.TRIED", 1)
    send(console, 3)
    browser = console.signed_in("operator")
    page = text(browser.get("/destinations/relay/move?to=spare").text)
    assert "3 messages wait at relay. At most 2 are moved at once." in page
    assert "Looked at 1 of them, the first" in page
    answer = browser.post("/destinations/relay/move", {"to": "spare"})
    assert "destination-moved-part" in answer.headers["Location"]
    assert api_views.MOVE_MOST == 10_000
    assert row(console, "spare").ready == 2


def test_a_limit_is_set_and_cleared(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    fields = {"per_second": "2.5", "connections": "3", "seconds": "3600", "reason": "asked to"}
    assert browser.post("/limits/relay", fields).status_code == 303
    (limited,) = console.store.operations.limits(["relay"])
    assert limited.effective.override == Override(
        per_second=2.5, connections=3, until_ms=console.clock.now_ms() + 3_600_000,
        reason="asked to",
    )  # fmt: skip
    page = browser.get("/limits/relay").text
    assert 'name="per_second" type="text" value="2.5"' in page
    assert "an operator: asked to" in text(page)
    assert "without a limit" in text(browser.get("/limits/relay/clear").text)
    assert browser.post("/limits/relay/clear", {"x": ""}).status_code == 303
    assert "limit-none" in browser.post("/limits/relay/clear", {"x": ""}).headers["Location"]
    (limited,) = console.store.operations.limits(["relay"])
    assert limited.effective.override is None
    told = {"per_second": "2.5", "connections": "3", "seconds": "3600"}
    assert acts(console) == [("limit.set", "relay", told), ("limit.cleared", "relay", {})]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"per_second": "fast"}, "per_second"), ({"per_second": "nan"}, "per_second"),
        ({"per_second": "-1"}, "per_second"), ({"connections": "1.5"}, "connections"),
        ({"per_minute": "٣"}, "per_minute"), ({"per_second": "1", "seconds": "x"}, "seconds"),
        ({"per_second": "1", "reason": "x" * 201}, "reason"), ({}, "per_second"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_limit_stands_beside_its_field(
    console: ConsoleApi, fields: dict[str, str], field: str
) -> None:
    answer = console.signed_in("operator").post("/limits/relay", {"x": "", **fields})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert acts(console) == []


def test_only_what_can_have_a_limit_has_a_page_for_it(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    for name, status in (
        ("mx:*", 200),
        ("mx:a.test", 200),
        ("@own", 200),
        ("@pair", 404),
        ("nobody", 404),
    ):
        assert browser.get(f"/limits/{quote(name)}").status_code == status, name


def test_b23_words_of_servers_and_operators_are_shown_as_text(console: ConsoleApi) -> None:
    send(console, 2)
    settle(console, Status.DEFERRED, refusal=f"550 {HOSTILE}")
    console.store.operations.suspend("relay", None, f"reason {HOSTILE}")
    trouble(console, f"mx:{HOSTILE}", f"220 {HOSTILE} ESMTP")
    console.store.operations.set_limit("relay", Override(per_second=1.0, reason=HOSTILE))
    browser, odd = console.signed_in("owner"), quote(f"mx:{HOSTILE}", safe="")
    for path in (
        "/destinations", f"/destinations?q={quote(HOSTILE)}", "/destinations/relay",
        f"/destinations/{odd}", f"/destinations/{odd}/suspend", f"/destinations/{odd}/resume",
        f"/destinations/{odd}/flush", f"/destinations/{odd}/move",
        "/destinations/relay/move?to=spare", "/limits/relay", "/limits/relay/clear",
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "<img" not in answer.text, path
        assert "=\"'" not in answer.text, path
    wrong = browser.post("/destinations/relay/suspend", {"reason": f"{HOSTILE}\nx\x00"})
    assert wrong.status_code == 422
    assert "<img" not in wrong.text
    refused = browser.get("/destinations/relay/move?to=" + quote(HOSTILE))
    assert refused.status_code == 422
    assert "<img" not in refused.text


def test_b23_a_notice_is_one_of_ours(console: ConsoleApi) -> None:
    page = console.signed_in().get("/destinations?notice=<b>You+are+rich</b>").text
    assert "rich" not in page


def test_a_form_that_was_sent_twice_does_no_harm(console: ConsoleApi) -> None:
    send(console)
    settle(console, Status.DEFERRED)
    browser = console.signed_in("operator")
    for notice in ("destination-flushed", "destination-nothing-deferred"):
        answer = browser.post("/destinations/relay/flush", {"class": ""})
        assert answer.headers["Location"].endswith(notice)
