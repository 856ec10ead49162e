"""One's own account: name, password, second factor, sessions; each change confirmed and told."""

from __future__ import annotations

import re

import pytest
from pyotp import TOTP

from tests.support.accounts import (
    PASSWORD,
    Person,
    code_of,
    cookie,
    enter,
    first_step,
    is_in,
    person,
    second_step,
)
from tests.support.console import Browser, ConsoleApi
from tests.support.letters import code_in, letters
from web.console import cookies

NEW = "eight brown owls at noon"
_SEALED = re.compile(r'name="sealed" value="([^"]+)"')
_SECRET = re.compile(r"secret=([A-Z2-7]+)")
_END = re.compile(r"/console(/account/sessions/[0-9a-f]+/end)")


def _subjects(console: ConsoleApi) -> list[str]:
    console.desk.afterwards.wait()
    return [head.subject for head, _ in letters(console)]


def _app(console: ConsoleApi, browser: Browser, path: str, **fields: str) -> tuple[str, str]:
    """Set an app up on this page: the answer's text, and the app's secret."""
    page = browser.get(path).text
    sealed, secret = _SEALED.search(page), _SECRET.search(page)
    assert sealed is not None
    assert secret is not None
    code = TOTP(secret[1]).at(console.clock.now_ms() // 1000)
    to = path if path != "/setup" else "/setup/second-factor"
    answer = browser.post(to, {"sealed": sealed[1], "code": code, **fields}, page=path)
    return answer.text, secret[1]


def _lapse(console: ConsoleApi) -> None:
    console.clock.advance(console.desk.console.confirm_seconds + 1)


def test_the_page_shows_what_there_is(console: ConsoleApi) -> None:
    browser = enter(console, person(console))
    page = browser.get("/account").text
    assert "operator@people.test" in page
    assert "this one" in page
    assert "You are signed in nowhere else." in page


def test_b23_what_a_browser_calls_itself_is_not_shown(console: ConsoleApi) -> None:
    who, browser = person(console), console.browser()
    agent = {"User-Agent": "<script>alert(1)</script> Firefox/1 Windows"}
    given = {"login": who.user.login, "password": who.password}
    browser.post("/sign-in", given, page="/sign-in", headers=agent)
    page = browser.get("/account").text
    assert "Firefox on Windows" in page
    assert "alert(1)" not in page


def test_b23_a_name_is_text(console: ConsoleApi) -> None:
    browser = enter(console, person(console))
    answer = browser.post("/account/name", {"name": "<b>Ann</b>\r\nX"}, page="/account")
    assert answer.location == "/console/account?notice=name-changed"
    page = browser.get("/account").text
    assert "&lt;b&gt;Ann&lt;/b&gt; X" in page
    assert "<b>Ann" not in page
    answer = browser.post("/account/name", {"name": " \u200b"}, page="/account")
    assert answer.status_code == 422
    assert 'id="name-error"' in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/account/password", "/account/second-factor", "/account/second-factor/remove",
        "/account/second-factor/mail", "/account/recovery-codes",
    ],
)  # fmt: skip
def test_b25_what_is_sensitive_asks_for_the_password_again(console: ConsoleApi, path: str) -> None:
    who = person(console, app=True)
    browser = enter(console, who)
    token = browser.token("/account")
    _lapse(console)
    where = f"/console/confirm?next=/console{path}"
    assert browser.get(path).location == where
    answer = browser.post(path, {"csrf": token, "password": NEW}, csrf=False)
    assert answer.location == "/console/confirm?next=/console/"
    page = where.removeprefix("/console")
    given = {"password": "wrong", "next": f"/console{path}"}
    assert browser.post("/confirm", given, page=page).status_code == 422
    before = cookie(browser, cookies.SESSION)
    given["password"] = who.password
    assert browser.post("/confirm", given, page=page).location == f"/console{path}"
    assert cookie(browser, cookies.SESSION) != before
    assert browser.get(path).location != where


def test_b28_confirming_has_to_wait_after_wrong_ones(console: ConsoleApi) -> None:
    who = person(console)
    browser = enter(console, who)
    for _ in range(5):
        browser.post("/confirm", {"password": "wrong"}, page="/confirm")
    answer = browser.post("/confirm", {"password": who.password}, page="/confirm")
    assert answer.status_code == 429
    assert "Too many tries" in answer.text


def test_b26_a_new_password_ends_all_other_sessions(console: ConsoleApi) -> None:
    who = person(console)
    mine, others = enter(console, who), [enter(console, who) for _ in range(2)]
    assert "Your 2 other sessions end with it." in mine.get("/account/password").text
    token = cookie(mine, cookies.SESSION)
    answer = mine.post("/account/password", {"password": NEW}, page="/account/password")
    assert answer.location == "/console/account?notice=password-changed"
    assert is_in(mine)
    assert not any(map(is_in, others))
    old = console.browser()
    old.set_cookie(cookies.SESSION, token)
    assert not is_in(old)
    assert first_step(console.browser(), Person(who.user, NEW)).status_code == 303
    assert "Your password was changed" in _subjects(console)


@pytest.mark.parametrize("weak", ["short", "a" * 20, "x" * 1025, PASSWORD, "operator@people.test"])
def test_b28_a_weak_password_is_refused_with_words(console: ConsoleApi, weak: str) -> None:
    browser = enter(console, person(console))
    answer = browser.post("/account/password", {"password": weak}, page="/account/password")
    assert answer.status_code == 422
    assert 'id="password-error"' in answer.text
    assert "value=" not in answer.text.partition('type="password"')[2].partition(">")[0]


def test_b27_an_app_counts_from_its_first_code(console: ConsoleApi) -> None:
    who = person(console)
    browser, other = enter(console, who), enter(console, who)
    page = browser.get("/account/second-factor").text
    sealed = _SEALED.findall(page)[0]
    answer = browser.post(
        "/account/second-factor", {"sealed": sealed, "code": "000000"}, page="/account"
    )
    assert answer.status_code == 422
    assert _SEALED.findall(answer.text)
    assert _SECRET.findall(answer.text) == _SECRET.findall(page)
    text, secret = _app(console, browser, "/account/second-factor")
    codes = re.findall(r"<li>([0-9a-z-]{19})</li>", text)
    assert len(codes) == 10
    assert is_in(browser)
    assert not is_in(other)
    assert secret not in str(console.store.records.trail())
    assert secret not in browser.get("/account").text
    again = console.browser()
    assert "second-step" in first_step(again, who).location
    assert second_step(again, codes[0], "recovery").status_code == 303
    assert "A second factor was set up" in _subjects(console)


def test_the_picture_is_drawn_without_style_or_script(console: ConsoleApi) -> None:
    page = enter(console, person(console)).get("/account/second-factor").text
    svg = page.partition('<svg class="qr"')[2].partition("</svg>")[0]
    assert 'role="img"' in svg
    assert "style" not in page.partition("<main")[2]
    assert "otpauth://totp/" in page


def test_b27_a_seed_is_for_the_session_that_it_was_shown_to(console: ConsoleApi) -> None:
    mine = enter(console, person(console, login="a@people.test"))
    theirs = enter(console, person(console, login="b@people.test"))
    page = mine.get("/account/second-factor").text
    code = TOTP(_SECRET.findall(page)[0]).at(console.clock.now_ms() // 1000)
    given = {"sealed": _SEALED.findall(page)[0], "code": code}
    answer = theirs.post("/account/second-factor", given, page="/account/second-factor")
    assert answer.status_code == 422


def test_b27_another_app_takes_a_code_of_the_one_before(console: ConsoleApi) -> None:
    who = person(console, app=True)
    browser = enter(console, who)
    assert "One of the two codes" in _app(console, browser, "/account/second-factor")[0]
    old = who.recovery[3]
    text, _ = _app(console, browser, "/account/second-factor", old_code=old)
    assert "Recovery codes" in text


def test_b27_removing_takes_a_code_and_is_told(console: ConsoleApi) -> None:
    who = person(console, app=True)
    browser, path = enter(console, who), "/account/second-factor/remove"
    assert browser.post(path, {"code": "000000"}, page=path).status_code == 422
    used = code_of(console, who.seed)
    assert browser.post(path, {"code": used}, page=path).status_code == 422
    console.clock.advance(30)
    answer = browser.post(path, {"code": code_of(console, who.seed)}, page=path)
    assert answer.location == "/console/account?notice=second-factor-removed"
    assert first_step(console.browser(), who).location == "/console/"
    assert "Your second factor was removed" in _subjects(console)


def test_a_short_password_keeps_its_app(console: ConsoleApi) -> None:
    browser = enter(console, person(console, app=True, password="kv8#mPz2q"))
    page = browser.get("/account/second-factor/remove").text
    assert "too short to stand without the app" in page
    assert 'name="code"' not in page


def test_new_recovery_codes_end_those_before(console: ConsoleApi) -> None:
    who = person(console, app=True)
    browser = enter(console, who)
    assert "The 10 codes that are left" in browser.get("/account/recovery-codes").text
    page = browser.post("/account/recovery-codes", page="/account/recovery-codes").text
    codes = re.findall(r"<li>([0-9a-z-]{19})</li>", page)
    assert len(codes) == 10
    again = console.browser()
    first_step(again, who)
    assert second_step(again, who.recovery[0], "recovery").status_code == 422
    assert second_step(again, codes[0], "recovery").status_code == 303
    assert codes[1] not in browser.get("/account").text
    assert "Your recovery codes were replaced" in _subjects(console)


def test_codes_by_mail_are_turned_on_by_a_first_one_and_off_by_another(console: ConsoleApi) -> None:
    who = person(console)
    browser, path = enter(console, who), "/account/second-factor/mail"
    console.desk.afterwards.wait()
    assert "an authenticator app is stronger" in browser.get(path).text
    assert browser.post(f"{path}/code", page=path).status_code == 200
    assert browser.post(path, {"code": "00000000"}, page=path).status_code == 422
    code = code_in(letters(console)[-1][1])
    assert browser.post(path, {"code": code}, page=path).status_code == 303
    assert "A code by mail" in browser.get("/account").text
    assert "second-step" in first_step(console.browser(), who).location
    console.desk.afterwards.wait()
    assert browser.post(f"{path}/code", page="/account").status_code == 200
    given = {"code": code_in(letters(console)[-1][1])}
    answer = browser.post("/account/second-factor/remove", given, page="/account")
    assert answer.location == "/console/account?notice=second-factor-removed"


def test_codes_by_mail_need_mail_and_the_setting() -> None:
    for settings in ({"mail_from": ""}, {"email_codes": False}):
        console = ConsoleApi(**settings)
        try:
            browser = enter(console, person(console))
            assert "second-factor/mail" not in browser.get("/account").text
            path = "/account/second-factor/mail"
            assert browser.post(f"{path}/code", page=path).status_code == 422
            assert "Your code for Posthaste" not in _subjects(console)
        finally:
            console.close()


def test_sessions_are_listed_and_ended(console: ConsoleApi) -> None:
    who = person(console)
    mine, other, third = (enter(console, who) for _ in range(3))
    ends = _END.findall(mine.get("/account").text)
    assert len(ends) == 2
    assert mine.post(ends[0], page="/account").status_code == 303
    assert sorted((is_in(other), is_in(third))) == [False, True]
    assert mine.post(ends[0], page="/account").status_code == 404
    assert mine.post("/account/sessions/end-others", page="/account").status_code == 303
    assert is_in(mine)
    assert not is_in(other)
    assert not is_in(third)


def test_b37_nobody_ends_a_session_of_others(console: ConsoleApi) -> None:
    mine = enter(console, person(console, login="a@people.test"))
    who = person(console, login="b@people.test")
    theirs = enter(console, who)
    (session,) = console.desk.sessions.of(who.user.id)
    assert mine.post(f"/account/sessions/{session.id}/end", page="/account").status_code == 404
    assert is_in(theirs)


def test_known_browsers_are_forgotten(console: ConsoleApi) -> None:
    who = person(console)
    browser = enter(console, who)
    assert "One browser is known" in browser.get("/account").text
    assert browser.post("/account/devices/forget", page="/account").status_code == 303
    assert "0 browsers are known" in browser.get("/account").text


def test_without_a_second_factor_that_is_wanted_only_setting_one_up_is_possible() -> None:
    console = ConsoleApi(require_two_factor=True)
    try:
        browser = console.browser()
        assert first_step(browser, person(console)).location == "/console/setup?next=/console/"
        page = browser.get("/setup").text
        assert "wants one of everybody" in page
        assert "Sign out" in page
        text, _ = _app(console, browser, "/setup", next="/console/account")
        assert "Recovery codes" in text
        assert 'href="/console/account"' in text
        assert is_in(browser)
    finally:
        console.close()


def test_a_password_that_is_too_old_is_changed_first() -> None:
    console = ConsoleApi(password_max_age_days=30)
    try:
        who, browser = person(console), console.browser()
        console.clock.advance(31 * 86_400)
        assert first_step(browser, who).location == "/console/setup?next=/console/"
        assert "older than 30 days" in browser.get("/setup").text
        answer = browser.post("/setup/password", {"password": PASSWORD}, page="/setup")
        assert answer.status_code == 422
        answer = browser.post("/setup/password", {"password": NEW}, page="/setup")
        assert answer.location == "/console/"
        assert is_in(browser)
    finally:
        console.close()
