"""What holds for every page: who may see it, headers, errors."""

from __future__ import annotations

import re

import msgspec
import pytest
from flask import Request
from gunicorn.http.errors import InvalidChunkSize

from shared.accounts.user import ROLES, Role, User
from shared.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from tests.support.console import ConsoleApi
from web.console.pages import next_page


def _address(path: str) -> str:
    """A route with something in its place."""
    return re.sub(r"<[^>]+>", "nothing", path)


def test_b25_every_page_has_its_headers(console: ConsoleApi) -> None:
    answer = console.signed_in().get("/")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_whoever_is_not_signed_in_is_sent_to_sign_in(console: ConsoleApi) -> None:
    for rule in console.pages.rules.values():
        if rule.open:
            continue
        browser = console.browser()
        path = _address(rule.path)
        answer = browser.get(path) if rule.method == "GET" else browser.post(path, csrf=False)
        assert answer.status_code == 303, rule
        assert answer.headers["Location"].startswith("/console/sign-in?next="), rule


@pytest.mark.parametrize("role", ROLES)
def test_b37_no_role_gets_further_than_it_may(console: ConsoleApi, role: Role) -> None:
    browser = console.signed_in(role)
    for rule in console.pages.rules.values():
        if rule.open or rule.needs is None or browser.user.may(rule.needs):
            continue
        path = _address(rule.path)
        answer = browser.get(path) if rule.method == "GET" else browser.post(path)
        assert answer.status_code == 403, rule
        assert "Your role does not allow this" in answer.text


def test_b25_no_form_counts_that_is_not_ours(console: ConsoleApi) -> None:
    browser = console.signed_in()
    for rule in console.pages.rules.values():
        if rule.method != "POST" or rule.open or rule.levels != ("full",):
            continue
        path = _address(rule.path)
        for headers, csrf in (
            ({"Origin": "https://evil.test"}, True),
            ({"Sec-Fetch-Site": "cross-site"}, True),
            ({"Sec-Fetch-Site": "same-site"}, True),
            ({}, False),
        ):
            answer = browser.post(path, {"field": "value"}, headers=headers, csrf=csrf)
            assert answer.status_code == 403, (rule, headers, csrf)
        answer = browser.post(path, csrf=True, content_type="text/plain")
        assert answer.status_code == 415, rule


def test_a_session_survives_files_and_a_store_that_is_away(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    browser = console.signed_in()
    with browser.get("/static/console.css") as file:
        assert "Set-Cookie" not in file.headers
    with monkeypatch.context() as patched:
        patched.setattr(console.store.records, "get", away)
        answer = browser.get("/")
    assert answer.status_code == 503
    assert "posthaste-session" not in answer.headers.get("Set-Cookie", "")
    assert browser.get("/").status_code == 200
    console.desk.sessions.end_one(browser.user.id, browser.session.id)
    assert "posthaste-session=;" in browser.get("/").headers["Set-Cookie"]


def test_a_store_whose_replicas_are_away_still_shows_pages(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(*_: object) -> bool:
        raise OutcomeUnknown("too few replicas have it on disk")

    browser = console.signed_in()
    console.clock.advance(60)
    monkeypatch.setattr(console.store.records, "write", alone)
    assert browser.get("/").status_code == 200


def test_a_change_that_may_have_been_made_is_not_called_undone(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> bool:
        raise OutcomeUnknown("late")

    browser = console.signed_in()
    monkeypatch.setattr(console.store.records, "write", late)
    answer = browser.post("/account/name", {"name": "Someone"})
    assert answer.status_code == 503
    assert "look whether it was done" in answer.text


def test_b26_a_session_ends_with_its_users_generation_of_them(console: ConsoleApi) -> None:
    browser = console.signed_in()
    assert browser.get("/").status_code == 200

    def later(user: User) -> User:
        return msgspec.structs.replace(user, generation=user.generation + 1)

    assert console.desk.users.change(browser.user.id, later)
    answer = browser.get("/")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/console/sign-in")


def test_b26_a_page_that_asks_again_by_itself_keeps_no_session_alive(console: ConsoleApi) -> None:
    idle = console.settings.console.idle_seconds
    for headers, status in (({"X-Poll": "1"}, 303), ({}, 200)):
        browser = console.signed_in(login=f"{status}@people.test")
        console.clock.advance(idle - 60)
        assert browser.get("/messages", headers=headers).status_code == 200
        console.clock.advance(120)
        assert browser.get("/messages").status_code == status


def test_b26_whoever_is_disabled_is_out_at_once(console: ConsoleApi) -> None:
    browser = console.signed_in()

    def disabled(user: User) -> User:
        return msgspec.structs.replace(user, disabled=True)

    assert console.desk.users.change(browser.user.id, disabled)
    assert browser.get("/").status_code == 303


def test_an_unknown_page_is_told_as_one(console: ConsoleApi) -> None:
    answer = console.signed_in().get("/no/such/page")
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert answer.headers["X-Request-Id"] in answer.text


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.test/console/", "//evil.test/console/", "/\\evil.test", "javascript:alert(1)",
        "/v1/messages", "/console/../v1", "/console\r\nX: y", "", "console/",
    ],
)  # fmt: skip
def test_a_form_goes_on_to_no_other_place(text: str) -> None:
    assert next_page(text) == "/console/"


def test_without_a_url_there_is_no_console() -> None:
    api = ConsoleApi(url="")
    try:
        assert api.client.get("/console/").status_code == 404
    finally:
        api.close()


@pytest.mark.parametrize("text", ["//[", "http://[::1", "/console/\u2100//["])
def test_an_address_that_is_none_is_no_mistake_of_ours(console: ConsoleApi, text: str) -> None:
    browser = console.browser()
    assert browser.get("/sign-in", query_string={"next": text}).status_code == 200
    part = {"HX-Request": "true", "Referer": text.encode().decode("latin-1")}
    answer = browser.get("/messages", headers=part)
    assert answer.headers["HX-Redirect"] == "/console/sign-in?next=/console/"


@pytest.mark.parametrize("host", ["console.example.test", "evil.test"])
def test_b25_the_way_to_the_first_page_names_no_host_that_was_asked_for(
    console: ConsoleApi, host: str
) -> None:
    answer = console.browser().client.get("/console", base_url=f"http://{host}")
    assert answer.location in ("/console/", "https://console.example.test/console")
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_whoever_is_signed_in_may_look_at_a_store_that_takes_nothing(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise StoreFull("full")

    browser = console.signed_in()
    console.clock.advance(60)
    form = console.browser()
    page = form.token("/sign-in")
    monkeypatch.setattr(console.store.records, "write", full)
    assert browser.get("/").status_code == 200
    answer = form.post("/sign-in", {"login": "a@b.test", "password": "x", "csrf": page}, csrf=False)
    assert answer.status_code == 503
    assert "full or read-only. Nothing was done." in answer.text


def test_a_form_in_chunks_that_are_none_is_no_mistake_of_ours(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InvalidChunkSize(b"x")

    browser = console.signed_in()
    monkeypatch.setattr(Request, "form", property(broken))
    answer = browser.post("/account/name", {"name": "x"})
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
