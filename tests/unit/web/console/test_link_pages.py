"""Links: looking uses none up, each works once, and who asks for one learns nothing."""

from __future__ import annotations

import re
import threading
from typing import Any

import structlog
from pyotp import TOTP
from werkzeug.test import TestResponse

from shared.accounts.actor import CLI
from shared.accounts.first import first_link
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.accounts.throttle import FREE
from tests.support.accounts import PASSWORD, Person, cookie, enter, first_step, is_in, person
from tests.support.console import URL, Browser, ConsoleApi
from tests.support.letters import letters, link_in
from web.console import cookies

_SEALED = re.compile(r'name="sealed" value="([^"]+)"')
_SECRET = re.compile(r"secret=([A-Z2-7]+)")


def _first(console: ConsoleApi) -> str:
    link = first_link(console.store.records, console.clock, console.desk.console)
    assert link is not None
    return link.removeprefix(f"{URL}/console")


def _invitation(console: ConsoleApi, login: str = "new@people.test") -> str:
    made = People(console.desk.accounts).invite(CLI, login, "<i>New</i>", "developer")
    assert not isinstance(made, Refused)
    return f"/invitation/{made.token}"


def _reset(console: ConsoleApi, who: Person) -> str:
    browser = console.browser()
    answer = browser.post("/reset", {"login": who.user.login}, page="/reset")
    assert answer.status_code == 200
    console.desk.afterwards.wait()
    return link_in(letters(console, who.user.login)[-1][1])


def _accept(browser: Browser, path: str, **fields: Any) -> TestResponse:
    return browser.post(path, {"password": PASSWORD, **fields}, page=path)


def _app_of(page: str) -> tuple[str, str]:
    sealed, secret = _SEALED.search(page), _SECRET.search(page)
    assert sealed is not None
    assert secret is not None
    return sealed[1], secret[1]


def test_the_first_owner_comes_in_by_a_link(console: ConsoleApi) -> None:
    path, browser = _first(console), console.browser()
    answer = _accept(browser, path, login=" Ann@People.test", name="Ann")
    assert answer.location == "/console/?notice=first-accepted"
    assert is_in(browser)
    user = console.desk.users.find("ann@people.test")
    assert user is not None
    assert (user.role, user.name) == ("owner", "Ann")
    assert console.browser().get(path).status_code == 404


def test_a_link_is_not_used_up_by_looking(console: ConsoleApi) -> None:
    path = _first(console)
    for _ in range(3):
        assert console.browser().get(path).status_code == 200
        answer = console.browser().client.head(f"/console{path}", base_url=URL)
        assert answer.status_code == 200
    assert _accept(console.browser(), path, login="a@b.test", name="A").status_code == 303


def test_a_link_is_told_to_nobody_else(console: ConsoleApi) -> None:
    for path in (_first(console), _invitation(console), "/reset/nonsense"):
        answer = console.browser().get(path)
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_link_that_works_no_more_says_what_to_do(console: ConsoleApi) -> None:
    path = _invitation(console)
    console.clock.advance(73 * 3600)
    for each in (path, "/reset/x", "/first/" + "x" * 5000, "/invitation/%00"):
        answer = console.browser().get(each)
        assert answer.status_code == 404
        assert "does not work" in answer.text
    assert "whoever has invited you" in console.browser().get(path).text
    assert "posthaste user create" in console.browser().get("/first/x").text


def test_whoever_is_invited_chooses_name_and_password(console: ConsoleApi) -> None:
    path, browser = _invitation(console), console.browser()
    page = browser.get(path).text
    assert "&lt;i&gt;New&lt;/i&gt;" in page
    assert "<i>" not in page
    assert 'autocomplete="new-password"' in page
    assert _accept(browser, path, name="New").status_code == 303
    user = console.desk.users.find("new@people.test")
    assert user is not None
    assert user.role == "developer"
    assert is_in(browser)


def test_b37_a_link_gives_no_more_than_it_says(console: ConsoleApi) -> None:
    path = _invitation(console)
    _accept(console.browser(), path, name="N", login="eve@evil.test", role="owner")
    user = console.desk.users.find("new@people.test")
    assert user is not None
    assert user.role == "developer"
    assert console.desk.users.find("eve@evil.test") is None


def test_what_is_wrong_stands_at_its_field_and_nothing_is_lost(console: ConsoleApi) -> None:
    path, browser = _first(console), console.browser()
    page = browser.get(path).text
    sealed, _ = _app_of(page)
    answer = _accept(browser, path, login="a@b.test", name="Ann <b>", code="123456", sealed=sealed)
    assert answer.status_code == 422
    assert 'id="code-error"' in answer.text
    assert 'value="Ann &lt;b&gt;"' in answer.text
    assert _app_of(answer.text)[1] == _app_of(page)[1]  # Whoever has scanned it need not again.
    answer = _accept(browser, path, login="no address", name="Ann")
    assert 'id="login-error"' in answer.text
    answer = _accept(browser, path, login="a@b.test", name="Ann", password="short")
    assert 'id="password-error"' in answer.text
    assert "short" not in re.findall(r'value="([^"]*)"', answer.text)


def test_an_app_may_be_set_up_at_once_and_a_short_password_goes_with_it(
    console: ConsoleApi,
) -> None:
    path, browser = _first(console), console.browser()
    sealed, secret = _app_of(browser.get(path).text)
    code = TOTP(secret).at(console.clock.now_ms() // 1000)
    fields = {"login": "a@b.test", "name": "A", "password": "kv8#mPz2q"}
    assert _accept(browser, path, **fields).status_code == 422
    answer = _accept(browser, path, **fields, sealed=sealed, code=code)
    assert answer.status_code == 200
    assert len(re.findall(r"<li>[0-9a-z-]{19}</li>", answer.text)) == 10
    assert answer.headers["Cache-Control"] == "no-store"
    assert is_in(browser)
    assert secret not in str(console.store.records.trail())


def test_a_reset_ends_all_sessions_and_is_told(console: ConsoleApi) -> None:
    who = person(console)
    before = enter(console, who)
    path, browser = _reset(console, who), console.browser()
    new = "eight brown owls at noon"
    assert _accept(browser, path, password=new).location == "/console/?notice=reset-accepted"
    assert is_in(browser)
    assert not is_in(before)
    assert first_step(console.browser(), who).status_code == 422
    console.desk.afterwards.wait()
    assert letters(console)[-1][0].subject == "Your password was changed"
    assert console.browser().get(path).status_code == 404


def test_no_link_stands_in_a_log_or_in_the_audit_trail(console: ConsoleApi) -> None:
    who = person(console)
    with structlog.testing.capture_logs() as logs:
        path, browser = _reset(console, who), console.browser()
        browser.get(path)
        assert _accept(browser, path, password="eight brown owls at noon").status_code == 303
    token = path.removeprefix("/reset/")
    told = str(logs) + str(console.store.records.trail())
    assert "password.reset" in told
    assert "/console/<any(first,invitation,reset):purpose>/<token>" in told
    assert token not in told
    assert "eight brown" not in told


def test_b27_a_reset_is_no_second_step(console: ConsoleApi) -> None:
    who = person(console, app=True)
    path, browser = _reset(console, who), console.browser()
    assert "otpauth" not in browser.get(path).text
    sealed = _app_of(console.browser().get(_invitation(console)).text)[0]
    answer = _accept(browser, path, password="eight brown owls at noon", sealed=sealed)
    assert answer.location == "/console/sign-in/second-step?next=/console/"
    assert not is_in(browser)
    assert not cookie(browser, cookies.DEVICE)


def test_b28_whoever_asks_for_a_reset_learns_nothing(console: ConsoleApi) -> None:
    person(console, login="ann@people.test")
    person(console, login="off@people.test", disabled=True)
    told = []
    for login in ("ann@people.test", "eve@people.test", "off@people.test"):
        answer = console.browser().post("/reset", {"login": login}, page="/reset")
        names = sorted(name for name, _ in answer.headers)
        told.append((answer.status_code, len(answer.data), names))
    console.desk.afterwards.wait()
    assert told[1:] == told[:1] * 2
    assert told[0][0] == 200
    assert [head.recipients[0].email for head, _ in letters(console)] == ["ann@people.test"]


def test_b28_the_answer_to_a_reset_does_not_wait_for_its_work(console: ConsoleApi) -> None:
    person(console, login="ann@people.test")
    go_on = threading.Event()
    with console.app.app_context():
        console.desk.afterwards.do(go_on.wait)
    for login in ("ann@people.test", "eve@people.test"):
        answer = console.browser().post("/reset", {"login": login}, page="/reset")
        assert answer.status_code == 200
    assert console.store.records.trail() == []
    assert letters(console) == []
    go_on.set()
    console.desk.afterwards.wait()
    assert [each.act for each in console.store.records.trail()] == ["reset.asked"]
    assert len(letters(console)) == 1


def test_b28_many_resets_wait_whoever_it_is_for(console: ConsoleApi) -> None:
    person(console, login="ann@people.test")
    for login in ("ann@people.test", "eve@people.test"):
        browser = console.browser()
        for _ in range(FREE):
            assert browser.post("/reset", {"login": login}, page="/reset").status_code == 200
            console.desk.afterwards.wait()
        assert browser.post("/reset", {"login": login}, page="/reset").status_code == 429
        console.clock.advance(2 * 3600)


def test_without_mail_an_owner_is_named_who_can_help() -> None:
    console = ConsoleApi(mail_from="")
    try:
        page = console.browser().get("/reset").text
        assert "posthaste user link" in page
        assert "<form method" not in page.partition("<main")[2]
    finally:
        console.close()


def test_b25_a_link_takes_a_form_of_this_browser(console: ConsoleApi) -> None:
    path = _first(console)
    other = console.browser().token(path)
    fields = {"password": PASSWORD, "login": "a@b.test", "name": "A"}
    browser = console.browser()
    assert browser.post(path, {**fields, "csrf": other}, csrf=False).status_code == 403
    answer = browser.post(path, fields, page=path, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert console.browser().get(path).status_code == 200


def test_a_link_that_is_taken_while_somebody_is_signed_in_ends_his_session(
    console: ConsoleApi,
) -> None:
    browser = enter(console, person(console))
    before = cookie(browser, cookies.SESSION)
    path = _invitation(console)
    assert _accept(browser, path, name="N").status_code == 303
    old = console.browser()
    old.set_cookie(cookies.SESSION, before)
    assert not is_in(old)
