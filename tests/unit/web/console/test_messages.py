"""The list of messages: order, pages, filters, steps of a search, and what hostile text becomes."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from shared.ids import new_message_id
from shared.model.status import Status
from shared.store import recent
from shared.times import shown
from tests.support.console import Browser, ConsoleApi
from tests.support.delivering import attempt_all, raw
from tests.support.system import message

HX = {"HX-Request": "true"}
EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def ids_of_the_clock(console: ConsoleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id begins with a time, by which a search knows where to begin and to end."""

    def made() -> bytes:
        return console.clock.now_ms().to_bytes(6, "big") + new_message_id()[6:]

    monkeypatch.setattr("web.views.messages.new_message_id", made)


def sent(console: ConsoleApi, subject: str = "Your order", key: str = "", **fields: Any) -> str:
    answer = console.send(message(subject=subject, **fields), key=key or console.key)
    assert answer.status_code == 202, answer.json
    found: str = answer.json["id"]
    return found


def listed(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="[^"]*"><bdi>([^<]*)</bdi>', page)


def found(browser: Browser, query: str, **options: Any) -> list[str]:
    return listed(browser.get(f"/messages?{query}", **options).text)


def test_the_newest_is_first(console: ConsoleApi) -> None:
    for subject in ("one", "two", "three"):
        sent(console, subject)
    browser = console.signed_in("reader")
    page = browser.get("/messages").text
    assert listed(page) == ["three", "two", "one"]
    assert "orders@shop.test" in page
    assert "Compose" not in page


def test_statuses_are_counted_and_recipients_shortened(console: ConsoleApi) -> None:
    sent(console, to=["a@b.test", "c@d.test"], cc=["e@f.test"])
    page = console.signed_in().get("/messages").text
    assert "a@b.test" in page
    assert "c@d.test" not in page
    assert "+2" in page
    assert re.search(r"badge-soft\">queued 3<", page)
    attempt_all(console.store, Status.DELIVERED)
    assert re.search(
        r"badge-ok\">delivered 3<", console.signed_in(login="x@y.test").get("/messages").text
    )


def test_an_empty_list_says_so(console: ConsoleApi) -> None:
    page = console.signed_in().get("/messages").text
    assert "No messages yet" in page
    assert "<table" not in page


def test_older_ones_are_on_further_pages(console: ConsoleApi) -> None:
    for number in range(120):
        sent(console, f"n{number}")
    browser = console.signed_in()
    seen: list[str] = []
    path = "/messages"
    for expected in (50, 50, 20):
        page = browser.get(path).text
        rows = listed(page)
        assert len(rows) == expected
        seen += rows
        following = re.search(r'href="/console(/messages\?before=\d+)">Older messages', page)
        path = following[1] if following else ""
    assert seen == [f"n{number}" for number in reversed(range(120))]
    assert path == ""
    assert "There is nothing older" in page
    assert "hx-get" not in page.partition("<tbody>")[2]


def test_a_page_stays_where_it_is_while_mail_comes(console: ConsoleApi) -> None:
    for number in range(60):
        sent(console, f"n{number}")
    browser = console.signed_in()
    first = browser.get("/messages").text
    following = re.search(r"/console(/messages\?before=\d+)", first)
    assert following is not None
    sent(console, "new")
    assert listed(browser.get(following[1]).text)[0] == "n9"


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("recipient=ANN@", ["to ann"]),
        ("recipient=nobody@", []),
        ("subject=ann+TO", ["to ann"]),
        ("status=delivered", ["first"]),
        ("status=queued", ["to ann", "bulk one"]),
        ("class=bulk", ["bulk one"]),
        ("application=billing", ["to ann"]),
        ("application=bill", []),
        ("since=2027-01-15T08:01", ["to ann"]),
        ("until=2027-01-15+08:00:30", ["first"]),
        ("since=2027-01-15T08:00:30&until=2027-01-15T08:01", ["bulk one"]),
        ("recipient=b.test&class=bulk&status=queued&subject=one", ["bulk one"]),
    ],
)
def test_filters(console: ConsoleApi, query: str, subjects: list[str]) -> None:
    assert shown(console.clock.now_ms()) == "2027-01-15T08:00:00.000Z"
    sent(console, "first", to="x@b.test")
    attempt_all(console.store, Status.DELIVERED)
    console.clock.advance(45)
    sent(console, "bulk one", to="y@b.test", **{"class": "bulk"})
    console.clock.advance(45)
    sent(console, "to ann", to="ann@c.test", key=console.new_key("billing"))
    page = console.signed_in().get(f"/messages?{query}").text
    assert listed(page) == subjects
    assert ("Nothing was found" in page) == (not subjects)


def test_filters_stay_in_the_form_and_in_the_links(console: ConsoleApi) -> None:
    for number in range(60):
        sent(console, f"n{number}")
    page = console.signed_in().get("/messages?recipient=customer&class=transactional").text
    assert 'value="customer"' in page
    assert '<option value="transactional" selected>' in page
    assert re.search(r"\?recipient=customer&amp;class=transactional&amp;before=\d+", page)


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("since=yesterday", "since", "A date and a time in UTC"),
        ("until=2027-02-30", "until", "A date and a time in UTC"),
        ("since=2027-02-02&until=2027-02-01", "until", "Must lie after"),
        ("status=lost", "status", "One of queued"),
        ("class=urgent", "class", "One of critical"),
        (f"recipient={'x' * 400}", "recipient", "At most 320 characters"),
        ("id=nonsense", "id", "An id such as"),
        (f"id=msg_{'0' * 32}", "id", "There is no such message"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    console: ConsoleApi, query: str, field: str, words: str
) -> None:
    sent(console)
    page = console.signed_in().get(f"/messages?{query}").text
    wrong = re.search(rf'<p class="wrong" id="{field}-error">([^<]*)', page)
    assert wrong is not None
    assert wrong[1].startswith(words)
    assert f'aria-describedby="{field}-error ' in page
    assert listed(page) == []


def test_an_id_goes_straight_to_its_message(console: ConsoleApi) -> None:
    identifier = sent(console)
    browser = console.signed_in("reader")
    header = f"<{identifier[4:]}@shop.test>"
    for text in (identifier, f" {identifier.upper()} ", header, header[1:-1], identifier[4:]):
        answer = browser.get(f"/messages?id={quote(text)}")
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/console/messages/{identifier}"


def test_a_search_goes_back_step_by_step(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.console.views.messages.SCANNED", 10)
    for number in range(35):
        sent(console, "wanted" if number % 10 == 3 else f"n{number}")
        console.clock.advance(60)
    browser = console.signed_in()
    page = browser.get("/messages?subject=wanted").text
    assert listed(page) == ["wanted"]
    assert "Looked back to <time" in page
    assert "2027-01-15 08:25:00 UTC" in page
    without_script = re.search(r'<a href="/console([^"]*)">Look further back', page)
    assert without_script is not None
    assert found(browser, without_script[1].partition("?")[2].replace("&amp;", "&")) == ["wanted"]
    total, steps = listed(page), 0
    while step := re.search(r'hx-get="/console([^"]*)" hx-trigger="load"', page):
        page = browser.get(step[1].replace("&amp;", "&"), headers=HX).text
        assert "<html" not in page
        total += listed(page)
        steps += 1
    assert len(total) == 4
    assert steps == 3
    assert "There is nothing older" in page


def test_a_search_stops_by_itself_when_a_page_is_full(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.console.views.messages.SCANNED", 40)
    for number in range(100):
        sent(console, f"n{number}")
    browser = console.signed_in()
    page = browser.get("/messages?subject=n").text
    assert len(listed(page)) == 40
    step = re.search(r'hx-get="/console([^"]*)"', page.partition("<tbody>")[2])
    assert step is not None
    page = browser.get(step[1].replace("&amp;", "&"), headers=HX).text
    assert len(listed(page)) == 10
    assert "hx-get" not in page
    assert "Older messages" in page


def test_a_step_looks_at_a_bounded_number_of_messages(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    search = console.store.recent.search

    def noted(sought: Any, before: int | None, most: int, scan: int) -> recent.RecentPage:
        asked.append(scan)
        return search(sought, before, most, scan)

    monkeypatch.setattr(console.store.recent, "search", noted)
    console.signed_in().get("/messages?subject=x")
    assert asked == [recent.MOST_SCANNED]


@pytest.mark.parametrize("query", ["before=x", "before=-1", f"before={'9' * 30}", "found=x"])
def test_there_is_no_such_page(console: ConsoleApi, query: str) -> None:
    assert console.signed_in().get(f"/messages?{query}").status_code == 404


def test_how_many_are_newer(console: ConsoleApi) -> None:
    sent(console)
    browser = console.signed_in("reader")
    address = re.search(
        r'hx-get="/console(/messages/newer\?than=\d+)"', browser.get("/messages").text
    )
    assert address is not None
    assert browser.get(address[1], headers=HX).text.strip() == ""
    sent(console)
    sent(console)
    assert ">2 newer</a>" in browser.get(address[1], headers=HX).text
    assert "than=" not in browser.get("/messages?subject=order").text


def test_b23_hostile_text_in_the_list_is_text(console: ConsoleApi) -> None:
    key = console.new_key(f"app{EVIL}")
    sent(console, f'{EVIL}"><img src=x onerror=alert(1)>', to="a&b'c@b.test", key=key)
    browser = console.signed_in()
    page = browser.get("/messages").text
    assert EVIL not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;") == 2
    assert "a&amp;b&#39;c@b.test" in page
    query = quote(f'"><script>{EVIL}')
    for name in ("recipient", "subject", "status", "class", "application", "since", "id"):
        assert EVIL not in browser.get(f"/messages?{name}={query}").text


def test_a_damaged_message_does_not_stop_the_list(console: ConsoleApi) -> None:
    sent(console, "whole")
    console.store.state.heads[raw(sent(console, "damaged"))] = b"\x01\xff"
    assert listed(console.signed_in().get("/messages").text) == ["whole"]
