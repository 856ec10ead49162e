"""Signing in by the pages: what is wrong is said alike, and no session is given away."""

from __future__ import annotations

import pytest
import structlog
from werkzeug.test import TestResponse

from shared.accounts.throttle import FREE
from shared.log_text import Cleaner
from tests.support.accounts import PASSWORD, cookie, enter, first_step, is_in, person
from tests.support.console import Browser, ConsoleApi
from tests.support.letters import letters
from web.console import cookies


def _told(answer: TestResponse) -> tuple[int, int, list[str]]:
    return answer.status_code, len(answer.data), sorted(name for name, _ in answer.headers)


def test_login_and_password_let_in(console: ConsoleApi) -> None:
    browser = console.browser()
    answer = first_step(browser, person(console), next="/console/account")
    assert answer.headers["Location"] == "/console/account"
    assert is_in(browser)
    assert PASSWORD not in str(console.store.records.trail())


def test_the_form_speaks_to_password_managers(console: ConsoleApi) -> None:
    page = console.browser().get("/sign-in").text
    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page


@pytest.mark.parametrize("where", ["https://evil.test/console/", "//evil.test", "/v1/messages"])
def test_signing_in_goes_on_to_no_other_place(console: ConsoleApi, where: str) -> None:
    assert first_step(console.browser(), person(console), next=where).location == "/console/"


def test_whoever_is_in_needs_no_form(console: ConsoleApi) -> None:
    browser = enter(console, person(console))
    assert browser.get("/sign-in?next=/console/account").location == "/console/account"


def test_what_was_typed_stays_but_for_the_password(console: ConsoleApi) -> None:
    answer = console.browser().post(
        "/sign-in",
        {"login": "<b>ann@people.test", "password": "wrong-one", "next": "/console/account"},
        page="/sign-in",
    )
    assert answer.status_code == 422
    assert 'value="&lt;b&gt;ann@people.test"' in answer.text
    assert 'value="/console/account"' in answer.text
    assert "wrong-one" not in answer.text
    assert 'role="alert"' in answer.text


def test_b28_an_unknown_login_is_answered_as_a_wrong_password(console: ConsoleApi) -> None:
    person(console, login="ann@people.test")
    person(console, login="off@people.test", disabled=True)
    console.user("reader", "new@people.test")  # Without a password yet.
    told = []
    for login in ("ann@people.test", "eve@people.test", "off@people.test", "new@people.test"):
        browser = console.browser()
        given = {"login": login, "password": "not the password at all"}
        told.append(_told(browser.post("/sign-in", given, page="/sign-in")))
    assert told[0][0] == 422
    assert told[1:] == told[:1] * 3


@pytest.mark.parametrize(("size", "status"), [(1025, 422), (10_000, 422), (900_000, 413)])
def test_b28_a_long_password_is_refused_early(console: ConsoleApi, size: int, status: int) -> None:
    browser = console.browser()
    given = {"login": person(console).user.login, "password": "x" * size}
    answer = browser.post("/sign-in", given, page="/sign-in")
    assert answer.status_code == status
    assert len(answer.data) < 20_000


def test_b28_after_five_wrong_ones_there_is_a_wait_told_in_words(console: ConsoleApi) -> None:
    who, browser = person(console), console.browser()
    for _ in range(FREE):
        answer = browser.post(
            "/sign-in", {"login": who.user.login, "password": "wrong"}, page="/sign-in"
        )
        assert answer.status_code == 422
    answer = first_step(browser, who)  # The right one has to wait, too.
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    assert f"Too many tries. Try again in {seconds} seconds." in answer.text
    console.clock.advance(seconds)
    assert first_step(browser, who).status_code == 303


def test_the_log_says_from_where_wrong_ones_came_and_nobody_s_login(console: ConsoleApi) -> None:
    browser = console.browser()
    with structlog.testing.capture_logs() as logs:
        given = {"login": "eve@people.test", "password": "not the password"}
        browser.post("/sign-in", given, page="/sign-in")
    (told,) = [each for each in logs if each["event"] == "sign_in_failed"]
    written = Cleaner("hash", b"k" * 16).fields(told)
    assert (written["act"], written["client"]) == ("sign_in.failed", "127.0.0.1")
    assert "eve@" not in str(logs)


def test_b28_others_tries_keep_a_known_browser_not_out(console: ConsoleApi) -> None:
    who = person(console)
    mine = enter(console, who)
    assert cookie(mine, cookies.DEVICE)
    mine.post("/sign-out", page="/account")
    stranger = console.browser()
    for _ in range(FREE + 1):
        answer = stranger.post(
            "/sign-in", {"login": who.user.login, "password": "wrong"}, page="/sign-in"
        )
    assert answer.status_code == 429
    assert first_step(mine, who).status_code == 303


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("ann@people.test", "  ANN@People.test "),
        ("ﬁona@people.test", "fiona@people.test"),
        ("kim@people.test", "\u212aim@people.test"),
    ],
)
def test_b10_a_login_is_who_it_looks_like(console: ConsoleApi, stored: str, typed: str) -> None:
    from_folded = person(console, login=stored.replace("ﬁ", "fi"))
    browser = console.browser()
    given = {"login": typed, "password": from_folded.password}
    assert browser.post("/sign-in", given, page="/sign-in").status_code == 303


def test_b10_a_password_is_taken_as_typed(console: ConsoleApi) -> None:
    who = person(console, password="  Größe ﬁnden ist schön  ")
    for typed, status in (
        ("  Gro\u0308ße ﬁnden ist scho\u0308n  ".replace("Gro\u0308", "Gr\u006f\u0308"), 303),
        ("Größe ﬁnden ist schön", 422),
        ("  Größe finden ist schön  ", 422),
    ):
        browser = console.browser()
        given = {"login": who.user.login, "password": typed}
        assert browser.post("/sign-in", given, page="/sign-in").status_code == status


def test_b25_a_login_needs_a_form_of_this_browser(console: ConsoleApi) -> None:
    who = person(console)
    given = {"login": who.user.login, "password": who.password}
    assert console.browser().post("/sign-in", given, csrf=False).status_code == 403
    other = console.browser().token("/sign-in")
    for browser in (console.browser(), _with_a_form(console)):
        answer = browser.post("/sign-in", {**given, "csrf": other}, csrf=False)
        assert answer.status_code == 403
        assert not cookie(browser, cookies.SESSION)


def test_b25_a_login_from_another_page_is_none(console: ConsoleApi) -> None:
    who, browser = person(console), _with_a_form(console)
    given = {"login": who.user.login, "password": who.password}
    for headers in (
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = browser.post("/sign-in", given, page="/sign-in", headers=headers)
        assert answer.status_code == 403, headers
        assert not cookie(browser, cookies.SESSION)


def test_b25_signing_out_takes_a_form_of_ours(console: ConsoleApi) -> None:
    browser = enter(console, person(console))
    assert browser.post("/sign-out", csrf=False).status_code == 403
    assert is_in(browser)


def test_b26_a_planted_session_is_none(console: ConsoleApi) -> None:
    browser = console.browser()
    browser.set_cookie(cookies.SESSION, "chosen-by-somebody-else-and-long-enough-000")
    first_step(browser, person(console))
    assert is_in(browser)
    assert cookie(browser, cookies.SESSION) != "chosen-by-somebody-else-and-long-enough-000"
    stranger = console.browser()
    stranger.set_cookie(cookies.SESSION, "chosen-by-somebody-else-and-long-enough-000")
    assert not is_in(stranger)


def test_b26_signing_in_ends_the_session_before(console: ConsoleApi) -> None:
    mine, theirs = person(console, login="a@people.test"), person(console, login="b@people.test")
    browser = enter(console, theirs)
    planted = cookie(browser, cookies.SESSION)
    given = {"login": mine.user.login, "password": mine.password}
    assert browser.post("/sign-in", given, page="/account").status_code == 303
    assert cookie(browser, cookies.SESSION) != planted
    assert not is_in(_with_session(console, planted))


def test_b26_the_cookie_is_for_this_host_and_no_script(console: ConsoleApi) -> None:
    answer = first_step(console.browser(), person(console))
    (line,) = [
        each
        for each in answer.headers.getlist("Set-Cookie")
        if each.startswith("__Host-posthaste-s")
    ]
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in line
    assert "Domain" not in line
    assert "Max-Age" not in line


def test_b26_signing_out_ends_it(console: ConsoleApi) -> None:
    browser = enter(console, person(console))
    token = cookie(browser, cookies.SESSION)
    answer = browser.post("/sign-out", page="/account")
    assert answer.location == "/console/sign-in?notice=signed-out"
    assert not cookie(browser, cookies.SESSION)
    assert "You are signed out." in browser.get("/sign-in?notice=signed-out").text
    assert not is_in(_with_session(console, token))


def test_signing_out_works_when_the_session_has_ended(console: ConsoleApi) -> None:
    browser = enter(console, person(console))
    token = browser.token("/account")
    console.clock.advance(console.desk.console.session_seconds + 1)
    answer = browser.post("/sign-out", {"csrf": token}, csrf=False)
    assert answer.status_code == 303
    assert answer.location.startswith("/console/sign-in")


def test_a_new_browser_is_told_by_mail_and_a_known_one_is_not(console: ConsoleApi) -> None:
    who = person(console)
    browser = enter(console, who)
    browser.post("/sign-out", page="/account")
    assert first_step(browser, who).status_code == 303
    console.desk.afterwards.wait()
    assert [head.subject for head, _ in letters(console, who.user.login)] == [
        "New sign-in to Posthaste"
    ]


def _with_a_form(console: ConsoleApi) -> Browser:
    browser = console.browser()
    browser.get("/sign-in")
    return browser


def _with_session(console: ConsoleApi, token: str) -> Browser:
    browser = console.browser()
    browser.set_cookie(cookies.SESSION, token)
    return browser


def test_b21_what_anybody_may_send_is_small(console: ConsoleApi) -> None:
    browser = console.browser()
    fields = {"login": "ann@people.test", "password": "\N{GRINNING FACE}" * 256}
    for page in ("/sign-in", "/reset"):
        assert browser.post(page, fields, page=page).status_code in (200, 422)
        many = {**fields, **{f"f{number}": "x" for number in range(2000)}}
        assert browser.post(page, many, page=page).status_code == 413
