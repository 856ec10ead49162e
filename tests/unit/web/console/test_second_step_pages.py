"""The second step: it cannot be passed by, a code counts once, wrong ones have to wait (B27)."""

from __future__ import annotations

import re

import pytest

from shared.accounts.sessions import Level
from shared.accounts.throttle import FREE
from tests.support.accounts import (
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

STEP = "/console/sign-in/second-step"


def _half(console: ConsoleApi, who: Person) -> Browser:
    browser = console.browser()
    assert first_step(browser, who).location == f"{STEP}?next=/console/"
    return browser


def test_password_and_code_let_in(console: ConsoleApi) -> None:
    browser = enter(console, person(console, app=True))
    assert is_in(browser)


def test_the_page_goes_on_to_where_it_was_asked_for(console: ConsoleApi) -> None:
    who, browser = person(console, app=True), console.browser()
    answer = first_step(browser, who, next="/console/account")
    assert answer.location == f"{STEP}?next=/console/account"
    page = browser.get("/sign-in/second-step?next=/console/account").text
    assert 'name="next" value="/console/account"' in page
    assert 'autocomplete="one-time-code"' in page


@pytest.mark.parametrize(
    ("level", "own"),
    [("password", "/console/sign-in/second-step"), ("setup", "/console/setup")],
)
def test_b27_at_a_lower_level_nothing_but_its_step_is_shown(
    console: ConsoleApi, level: Level, own: str
) -> None:
    browser = console.signed_in("owner", level, second_factor="totp")
    walked = 0
    for rule in console.pages.rules.values():
        if rule.open or level in rule.levels:
            continue
        path = re.sub(r"<[^>]+>", "nothing", rule.path)
        answer = browser.get(path) if rule.method == "GET" else browser.post(path)
        assert (answer.status_code, answer.location) == (303, own), rule
        assert len(answer.data) < 500
        walked += 1
    assert walked > 10
    page = browser.get(own.removeprefix("/console")).text
    assert "/console/messages" not in page
    assert "/console/people" not in page


def test_b27_no_step_is_of_another_level(console: ConsoleApi) -> None:
    for rule in console.pages.rules.values():
        if "password" in rule.levels:
            assert rule.path.startswith("/sign-in/second-step") or rule.path == "/sign-out", rule
        if "setup" in rule.levels:
            assert rule.path.startswith("/setup") or rule.path == "/sign-out", rule


def test_b27_a_code_counts_once(console: ConsoleApi) -> None:
    who = person(console, app=True)
    enter(console, who)
    again = _half(console, who)
    answer = second_step(again, code_of(console, who.seed))
    assert answer.status_code == 422
    assert not is_in(again)
    console.clock.advance(30)
    assert second_step(again, code_of(console, who.seed)).status_code == 303


def test_b27_after_five_wrong_codes_the_right_one_waits(console: ConsoleApi) -> None:
    who = person(console, app=True)
    browser = _half(console, who)
    for _ in range(FREE):
        assert second_step(browser, "000000").status_code == 422
    answer = second_step(browser, code_of(console, who.seed))
    assert answer.status_code == 429
    assert "Too many tries. Try again in" in answer.text
    other = _half(console, who)  # Another session of the same account waits as well.
    assert second_step(other, code_of(console, who.seed)).status_code == 429
    console.clock.advance(int(answer.headers["Retry-After"]))
    assert second_step(browser, code_of(console, who.seed)).status_code == 303


def test_b27_a_recovery_code_counts_once_and_is_told_by_mail(console: ConsoleApi) -> None:
    who = person(console, app=True)
    assert second_step(_half(console, who), who.recovery[0].upper(), "recovery").status_code == 303
    again = _half(console, who)
    assert second_step(again, who.recovery[0], "recovery").status_code == 422
    assert "<details open>" in second_step(again, "nonsense", "recovery").text
    console.desk.afterwards.wait()
    assert "A recovery code was used" in [head.subject for head, _ in letters(console)]


def test_b27_confirming_the_password_is_no_second_step(console: ConsoleApi) -> None:
    who = person(console, app=True)
    browser = _half(console, who)
    given = {"password": who.password}
    answer = browser.post("/confirm", given, page="/sign-in/second-step")
    assert answer.location == STEP
    assert not is_in(browser)


def test_b26_each_step_has_a_new_token(console: ConsoleApi) -> None:
    who = person(console, app=True)
    browser = _half(console, who)
    before, form = cookie(browser, cookies.SESSION), browser.token("/sign-in/second-step")
    assert second_step(browser, code_of(console, who.seed)).status_code == 303
    assert cookie(browser, cookies.SESSION) != before
    assert browser.post("/account/name", {"name": "X", "csrf": form}, csrf=False).status_code == 403
    old = console.browser()
    old.set_cookie(cookies.SESSION, before)
    assert old.get("/sign-in/second-step").location.startswith("/console/sign-in?next=")


def test_a_code_by_mail_is_a_second_step_where_the_user_wants_it(console: ConsoleApi) -> None:
    who = person(console, second_factor="email")
    browser = _half(console, who)
    page = browser.post("/sign-in/second-step/mail", page="/sign-in/second-step")
    assert page.status_code == 200
    ((head, content),) = letters(console, who.user.login)
    assert head.deliver_by_ms == console.clock.now_ms() + 600_000
    code = code_in(content)
    assert code not in page.text
    assert code not in str(console.store.records.trail())
    assert code not in head.subject
    assert second_step(browser, "00000000", "email").status_code == 422
    assert second_step(browser, code, "email").status_code == 303
    assert is_in(browser)


def test_b27_a_mailed_code_is_for_one_session(console: ConsoleApi) -> None:
    who = person(console, second_factor="email")
    mine, theirs = _half(console, who), _half(console, who)
    mine.post("/sign-in/second-step/mail", page="/sign-in/second-step")
    ((_, content),) = letters(console, who.user.login)
    assert second_step(theirs, code_in(content), "email").status_code == 422
    assert second_step(mine, code_in(content), "email").status_code == 303


def test_b27_an_app_is_not_passed_by_with_mail(console: ConsoleApi) -> None:
    browser = _half(console, person(console, app=True))
    assert "by mail" not in browser.get("/sign-in/second-step").text
    answer = browser.post("/sign-in/second-step/mail", page="/sign-in/second-step")
    assert answer.status_code == 422
    assert letters(console) == []


def test_mail_that_cannot_be_sent_is_told() -> None:
    console = ConsoleApi(mail_from="")
    try:
        browser = _half(console, person(console, second_factor="email"))
        answer = browser.post("/sign-in/second-step/mail", page="/sign-in/second-step")
        assert answer.status_code == 422
        assert "posthaste user link" in answer.text
    finally:
        console.close()


def test_whoever_has_not_his_app_signs_out_from_there(console: ConsoleApi) -> None:
    browser = _half(console, person(console, app=True))
    assert browser.post("/sign-out", page="/sign-in/second-step").status_code == 303
    assert not cookie(browser, cookies.SESSION)
