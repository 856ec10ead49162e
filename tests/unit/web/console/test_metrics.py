"""What is counted of the console: tries to sign in, letters that did not go; never by whom."""

from __future__ import annotations

import pytest

from shared.accounts.throttle import FREE
from shared.errors import StoreError
from shared.metrics.web import LETTER_REFUSALS, SIGN_INS, alone
from tests.support.accounts import code_of, enter, first_step, person, second_step
from tests.support.console import ConsoleApi
from tests.support.system import samples_in
from web.console.letters import Letter, Letters


def _samples(console: ConsoleApi) -> dict[str, float]:
    return samples_in(console.operator.get("/metrics").get_data(as_text=True))


def _sign_ins(console: ConsoleApi) -> dict[str, float]:
    """By outcome; those that did not happen are left out."""
    found = _samples(console)
    counts = {
        each: found[f'posthaste_console_sign_ins_total{{outcome="{each}"}}'] for each in SIGN_INS
    }
    return {outcome: count for outcome, count in counts.items() if count}


def test_all_outcomes_are_there_from_the_start() -> None:
    _, registry = alone()
    for outcome in SIGN_INS:
        found = registry.get_sample_value("posthaste_console_sign_ins_total", {"outcome": outcome})
        assert found == 0
    for reason in LETTER_REFUSALS:
        name = "posthaste_console_letters_refused_total"
        assert registry.get_sample_value(name, {"reason": reason}) == 0


def test_tries_to_sign_in_are_counted_by_what_became_of_them(console: ConsoleApi) -> None:
    enter(console, person(console, login="ann@people.test"))
    assert _sign_ins(console) == {"done": 1}
    browser = console.browser()
    for _ in range(FREE + 2):
        browser.post("/sign-in", {"login": "eve@people.test", "password": "wrong"}, page="/sign-in")
    assert _sign_ins(console) == {"done": 1, "wrong": FREE, "waiting": 2}
    assert "eve@" not in console.operator.get("/metrics").get_data(as_text=True)


def test_a_password_is_half_of_signing_in_where_there_is_a_second_step(
    console: ConsoleApi,
) -> None:
    who, browser = person(console, app=True), console.browser()
    first_step(browser, who)
    assert _sign_ins(console) == {}
    browser.post("/sign-in/second-step", {"code": "000000"}, page="/sign-in/second-step")
    assert _sign_ins(console) == {"second_step_wrong": 1}
    second_step(browser, code_of(console, who.seed))
    assert _sign_ins(console) == {"second_step_wrong": 1, "done": 1}
    for _ in range(FREE + 1):
        browser = console.browser()
        first_step(browser, who)
        browser.post("/sign-in/second-step", {"code": "000000"}, page="/sign-in/second-step")
    assert _sign_ins(console)["waiting"] >= 1


def test_letters_that_did_not_go_are_counted(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise StoreError("away")

    def send(to: str) -> bool:
        with console.app.app_context():
            return Letters(console.desk).send(to, Letter("Hello", ("x",)))

    def count(reason: str) -> float:
        name = "posthaste_console_letters_refused_total"
        return _samples(console)[f'{name}{{reason="{reason}"}}']

    assert send("ann@people.test")
    assert not send("nobody")
    assert (count("invalid"), count("not_accepted")) == (1, 0)
    monkeypatch.setattr(console.store.spool, "accept", refused)
    assert not send("ann@people.test")
    assert (count("invalid"), count("not_accepted")) == (1, 1)
