"""Dead letters and uncertain mail in the console: seen by cause, decided about piece by piece."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from werkzeug.test import TestResponse

from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.store.records import Audited, Change
from tests.support.console import Browser, ConsoleApi
from tests.unit.web.test_operator_api import set_aside
from web.console import decisions
from web.console.views import aside

DECISIONS = "/aside/decisions"
HOSTILE = '<script>alert("x")</script>'


def begin(browser: Browser, act: str = "requeue", **fields: Any) -> str:
    """The address of a new decision, under /console."""
    answer = browser.post(DECISIONS, {"act": act, "kind": "dead", **fields})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("/console")


def seen(text: str) -> str:
    """A page's words, without markup and white space."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def asides(console: ConsoleApi) -> int:
    return console.store.spool.depth().dead_legs


def entries(console: ConsoleApi) -> list[tuple[str, str, str]]:
    return [(each.act, each.details["chosen"], each.details["done"]) for each in _done(console)]


def _done(console: ConsoleApi) -> list[Audited]:
    """What the trail has of pieces that are done, behind who has decided it."""
    trail = console.desk.records.trail()
    decided = {each.details["decision"] for each in trail if each.act == "aside.decided"}
    done = [each for each in trail if each.act != "aside.decided"]
    assert {each.details["decision"] for each in done} <= decided
    return done


def test_what_is_set_aside_is_told_by_cause(console: ConsoleApi) -> None:
    set_aside(console, 3)
    set_aside(console, 1, "no such relay")
    set_aside(console, 2, "connection lost; after the final dot")
    console.clock.advance(3600)
    text = seen(console.signed_in("reader").get("/aside").text)
    assert "Dead letters (4) Uncertain (2)" in text
    assert text.index("poison 3") < text.index("no such relay 1")
    assert "Workers ended while they delivered it" in text
    assert "(1 h ago)" in text
    assert "relay 3" in text
    assert "shop 3" in text
    assert "at least" not in text
    assert "Queue again" not in text
    text = seen(console.signed_in("operator").get("/aside?kind=uncertain").text)
    assert "connection lost 2" in text
    assert "may arrive twice" in text
    assert "Queue again" in text


def test_nothing_set_aside_is_told(console: ConsoleApi) -> None:
    text = console.signed_in("reader").get("/aside").text
    assert "Nothing has to be decided" in text


@pytest.mark.parametrize(
    "path", ["?kind=other", "?before=nothing", "/messages?before=1-x", "/messages?kind="]
)
def test_what_no_page_is_about_is_no_page(console: ConsoleApi, path: str) -> None:
    assert console.signed_in("reader").get(f"/aside{path}").status_code == 404


def test_a_page_looks_at_so_many_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.redrive.PAGE", 2)
    monkeypatch.setattr(aside, "WINDOW", 2)
    small = ConsoleApi()  # Built with that window.
    try:
        set_aside(small, 5)
        browser = small.signed_in("reader")
        text = browser.get("/aside").text
        assert "poison at least 2" in seen(text)
        assert "These are 2 of 5, the last ones" in seen(text)
        further = re.search(r'href="/console(/aside\?kind=dead&amp;before=[^"]+)"', text)
        assert further
        text = browser.get(further[1].replace("&amp;", "&")).text
        assert "further back" in text
        assert "poison at least 2" in seen(text)
        text = browser.get("/aside/messages?cause=other").text
        assert "None of the 2 that were looked at match" in text
    finally:
        small.close()


def test_messages_of_a_cause_come_in_pages(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "PAGE", 2)
    ids = set_aside(console, 3)
    set_aside(console, 1, "other")
    browser = console.signed_in("reader")
    text = browser.get("/aside/messages?kind=dead&cause=poison").text
    assert text.count("/console/messages/msg_") == 2
    assert "checkbox" not in text
    further = re.search(r'href="/console(/aside/messages\?[^"]*before=[^"]+)"', text)
    assert further
    text = browser.get(further[1].replace("&amp;", "&")).text
    assert text.count("/console/messages/msg_") == 1
    assert any(each in text for each in ids)


def test_a_wrong_filter_is_told_beside_its_field(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    text = browser.get("/aside/messages?cause=" + "x" * 300).text
    assert re.search(r'id="cause-error">At most 255', text)
    answer = browser.post(DECISIONS, {"act": "drop", "kind": "dead", "application": "a\x07"})
    assert answer.status_code == 400


def test_b23_what_others_have_written_is_shown_as_text(console: ConsoleApi) -> None:
    set_aside(console, 1, HOSTILE, subject=HOSTILE)
    browser = console.signed_in("operator")
    pages = [browser.get("/aside").text, browser.get("/aside/messages").text]
    pages.append(browser.get(f"/aside/messages?cause={HOSTILE}&destination={HOSTILE}").text)
    pages.append(browser.get(begin(browser, cause=HOSTILE)).text)
    for text in pages:
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text


def test_a_decision_first_says_what_it_would_touch(console: ConsoleApi) -> None:
    ids = set_aside(console, 3)
    set_aside(console, 2, "other")
    browser = console.signed_in("operator")
    text = seen(browser.get(begin(browser, cause="poison")).text)
    assert "3 dead letters" in text
    assert "Messages 3 Recipients 3 Destinations relay 3 Applications shop 3" in text
    assert all(each in text for each in ids)
    assert "Queue again 3" in text
    assert asides(console) == 5
    assert entries(console) == []


def test_a_decision_is_done_and_audited(console: ConsoleApi) -> None:
    set_aside(console, 3)
    set_aside(console, 2, "other")
    browser = console.signed_in("operator")
    address = begin(browser, cause="poison")
    console.clock.advance(1)
    set_aside(console, 1)  # Nobody has seen it counted.
    answer = browser.post(f"{address}/go")
    assert answer.headers["Location"] == f"/console{address}"
    text = seen(browser.get(address).text)
    assert "Done 3 queued again" in text
    assert "not set aside any more" not in text
    assert asides(console) == 3
    (entry,) = _done(console)
    assert (entry.act, entry.what, entry.login) == (
        "aside.requeued", "dead", "operator@people.test",
    )  # fmt: skip
    assert entry.details["cause"] == "poison"
    assert (entry.details["chosen"], entry.details["done"]) == ("3", "3")
    browser.post(f"{address}/go")  # Sent twice: it is over.
    assert asides(console) == 3
    assert len(entries(console)) == 1


def test_ticked_messages_are_dropped(console: ConsoleApi) -> None:
    first, second, _ = set_aside(console, 3)
    browser = console.signed_in("operator")
    fields = {"which": "ticked", "id": [first, second, "nothing"], "cause": "poison"}
    address = begin(browser, "drop", **fields)
    text = seen(browser.get(address).text)
    assert "2 dead letters" in text
    assert "cannot be undone" in text
    browser.post(f"{address}/go")
    assert "Done 2 dropped" in seen(browser.get(address).text)
    assert asides(console) == 1
    (entry,) = _done(console)
    assert (entry.act, entry.details["ticked"]) == ("aside.dropped", "2")


def test_ticking_nothing_touches_nothing(console: ConsoleApi) -> None:
    set_aside(console, 1)
    browser = console.signed_in("operator")
    address = begin(browser, "drop", which="ticked", cause="poison")
    assert address == "/aside/messages?kind=dead&cause=poison&notice=nothing_ticked"
    assert "Tick the messages first" in browser.get(address).text


def test_what_others_have_decided_meanwhile_is_told(console: ConsoleApi) -> None:
    ids = set_aside(console, 3)
    browser = console.signed_in("operator")
    addresses = [begin(browser, cause="poison"), begin(browser, "drop", which="ticked", id=ids)]
    browser.post(f"{addresses[0]}/go")
    browser.post(f"{addresses[1]}/go")
    text = seen(browser.get(addresses[1]).text)
    assert "Done 0 dropped" in text
    assert "3 were not set aside any more" in text


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> ConsoleApi:
    """A console that does two at a time, with five to do."""
    monkeypatch.setattr("shared.redrive.PAGE", 2)
    monkeypatch.setattr("shared.redrive.BATCH", 1)
    monkeypatch.setattr(decisions, "PIECE", 2)
    monkeypatch.setattr("web.console.views.deciding.PIECE", 2)
    console = ConsoleApi()
    set_aside(console, 5)
    return console


def part(answer: TestResponse) -> str:
    """A part of a page, as htmx gets it."""
    assert answer.status_code == 200, answer.text
    assert "<html" not in answer.text
    return answer.text


def test_many_are_counted_and_done_in_pieces(pieces: ConsoleApi) -> None:
    browser = pieces.signed_in("operator")
    address = begin(browser, cause="poison")
    text = browser.get(address).text
    assert "At least 2 dead letters" in seen(text)
    assert f'hx-post="/console{address}/count"' in text
    htmx = {"HX-Request": "true"}
    text = part(browser.post(f"{address}/count", headers=htmx))
    assert "At least 4 dead letters" in seen(text)
    text = part(browser.post(f"{address}/count", headers=htmx))
    assert "5 dead letters" in seen(text)
    assert "At least" not in text
    assert "hx-post" not in text
    text = part(browser.post(f"{address}/go", headers=htmx))
    assert "2 queued again so far, of 5" in seen(text)
    assert f'hx-post="/console{address}/go"' in text
    assert browser.post(f"{address}/go").status_code == 303  # Without scripts, a button.
    text = part(browser.post(f"{address}/go", headers=htmx))
    assert "Done 5 queued again" in seen(text)
    assert "hx-post" not in text
    assert asides(pieces) == 0
    assert entries(pieces) == [
        ("aside.requeued", "1", "1"), ("aside.requeued", "2", "2"), ("aside.requeued", "2", "2"),
    ]  # fmt: skip
    pieces.close()


@pytest.mark.parametrize("htmx", [True, False])
def test_an_interruption_says_how_many_were_done(
    pieces: ConsoleApi, monkeypatch: pytest.MonkeyPatch, htmx: bool
) -> None:
    browser = pieces.signed_in("operator")
    address = begin(browser, cause="poison")
    browser.post(f"{address}/go")
    operations = pieces.store.operations
    real, calls = operations.requeue, 0

    def goes_away(legs: Any) -> list[bool]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OutcomeUnknown("gone")
        return real(legs)

    monkeypatch.setattr(operations, "requeue", goes_away)
    answer = browser.post(f"{address}/go", headers={"HX-Request": "true"} if htmx else {})
    assert answer.status_code == (200 if htmx else 503)
    text = seen(answer.text)
    assert "Interrupted 3 queued again so far" in text
    assert "At most 1 more may have been done" in text
    assert "hx-post" not in answer.text
    assert entries(pieces)[0] == ("aside.requeued", "2", "1")
    for _ in range(3):
        browser.post(f"{address}/go")
    assert "Done 5 queued again" in seen(browser.get(address).text)
    assert asides(pieces) == 0
    pieces.close()


def test_a_store_that_stays_away_is_told_with_what_was_done(
    pieces: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = pieces.signed_in("operator")
    address = begin(browser, cause="poison")
    records = pieces.store.records
    real = records.write
    monkeypatch.setattr(records, "write", _away)
    answer = browser.post(f"{address}/go")
    assert (answer.status_code, "Nothing was done" in answer.text) == (503, True)
    assert len(pieces.store.operations.aside("dead", 10)) == 5

    def then_away(changes: Any, audited: Any = ()) -> bool:
        monkeypatch.setattr(records, "write", _away)
        return real(changes, audited)

    monkeypatch.setattr(records, "write", then_away)
    answer = browser.post(f"{address}/go")
    assert answer.status_code == 503
    assert "Interrupted 2 queued again so far" in seen(answer.text)
    monkeypatch.setattr(pieces.store.operations, "requeue", _away)
    answer = browser.post(f"{address}/go")
    assert answer.status_code == 503
    assert "Nothing was done" in answer.text
    pieces.close()


def _away(*_: Any) -> Any:
    raise StoreUnavailable("gone")


@pytest.mark.parametrize("first", [True, False])
def test_two_requests_for_one_piece_count_what_each_has_done(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    set_aside(console, 2)
    browser = console.signed_in("operator")
    address = begin(browser, cause="poison")
    operations = console.store.operations
    real = operations.requeue

    def meanwhile(legs: Any) -> list[bool]:
        monkeypatch.setattr(operations, "requeue", real)
        answers = real(legs) if first else []
        browser.post(f"{address}/go")  # Of the same browser, sent twice; it ends before this one.
        return answers or real(legs)

    monkeypatch.setattr(operations, "requeue", meanwhile)
    browser.post(f"{address}/go")
    text = seen(browser.get(address).text)
    assert "Done 2 queued again" in text
    assert "not set aside any more" not in text
    assert sorted(done for _, _, done in entries(console)) == ["0", "2"]


def test_a_decision_that_another_release_has_packed_goes_on(pieces: ConsoleApi) -> None:
    browser = pieces.signed_in("operator")
    address = begin(browser, cause="poison")
    key, records = address.rpartition("/")[2].encode(), pieces.store.records
    packed = records.get(decisions.KIND, key)
    assert packed is not None
    fields = {**msgspec.msgpack.decode(packed[1:]), "new": 1}
    other = packed[:1] + msgspec.msgpack.encode(fields)
    assert records.write([Change(decisions.KIND, key, other, packed)])
    browser.post(f"{address}/count")
    assert "At least 4 dead letters" in seen(browser.get(address).text)
    pieces.close()


def test_b37_a_decision_is_its_persons_alone(console: ConsoleApi) -> None:
    set_aside(console, 1)
    address = begin(console.signed_in("operator"), cause="poison")
    other = console.signed_in("owner")
    assert other.get(address).status_code == 404
    assert other.post(f"{address}/go").status_code == 404
    assert other.post(f"{address}/count").status_code == 404
    assert asides(console) == 1
    assert other.get(f"{DECISIONS}/nothing").status_code == 404


def test_an_act_that_there_is_not_is_refused(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    assert browser.post(DECISIONS, {"act": "burn", "kind": "dead"}).status_code == 400
    assert browser.post(DECISIONS, {"act": "drop", "kind": "all"}).status_code == 404


def test_what_nobody_has_seen_counted_is_not_touched(console: ConsoleApi) -> None:
    browser = console.signed_in("operator")
    address = begin(browser, "drop")
    assert "Nothing is touched" in browser.get(address).text
    set_aside(console, 2)
    browser.post(f"{address}/go")
    assert asides(console) == 2
    assert entries(console) == []
