"""API keys in the console: created once, shown once, revoked by whoever may."""

from __future__ import annotations

import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from shared import api_keys
from shared.api_keys import generate
from shared.errors import StoreUnavailable
from shared.model.message import CLASSES
from shared.store.keys import ApiKey, Scope
from tests.support.console import Browser, ConsoleApi
from tests.support.system import message
from tests.unit.web.console.test_aside import HOSTILE, seen
from web.console.views import keys

_TEXT = re.compile(r"ph_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")
FIELDS: dict[str, Any] = {
    "application": "billing",
    "domains": "Example.test, mail.example.test",
    "scopes": ["send"],
    "classes": list(CLASSES),
}


def form_of(browser: Browser) -> str:
    """What a new form calls itself."""
    found = re.search(r'name="form" value="([^"]+)"', browser.get("/keys/new").text)
    assert found
    return found[1]


def create(browser: Browser, **fields: Any) -> TestResponse:
    return browser.post("/keys", {**FIELDS, "form": form_of(browser), **fields})


def a_key(
    console: ConsoleApi, application: str = "web", scopes: tuple[Scope, ...] = ("send",)
) -> ApiKey:
    _, key = generate(application, (), CLASSES, console.clock, scopes)
    console.store.keys.add(key)
    return key


def of(console: ConsoleApi, application: str) -> list[ApiKey]:
    return [key for key in console.store.keys.all() if key.application == application]


@pytest.mark.parametrize("role", ["owner", "developer"])
def test_a_key_is_shown_once_and_works(console: ConsoleApi, role: Any) -> None:
    browser = console.signed_in(role)
    answer = create(browser)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    text = _TEXT.search(answer.text)
    assert text
    assert console.send(message(), key=text[0]).json["code"] == "from_not_allowed"
    sent = console.send({**message(), "from": "a@mail.example.test"}, key=text[0])
    assert sent.status_code == 202, sent.json
    (key,) = of(console, "billing")
    assert key.from_domains == ("example.test", "mail.example.test")
    listed = browser.get("/keys").text
    assert key.id in listed
    assert text[0].split("_", 2)[2] not in listed
    assert not _TEXT.search(listed)
    (entry,) = console.desk.records.trail()
    assert (entry.act, entry.what, entry.details["application"]) == (
        "key.created", key.id, "billing",
    )  # fmt: skip
    assert text[0] not in repr(entry)


def test_a_form_that_is_sent_twice_makes_one_key(console: ConsoleApi) -> None:
    browser = console.signed_in()
    form = form_of(browser)
    first = browser.post("/keys", {**FIELDS, "form": form})
    again = browser.post("/keys", {**FIELDS, "form": form})
    assert (first.status_code, again.status_code) == (200, 409)
    (key,) = of(console, "billing")
    assert key.id in again.text
    assert not _TEXT.search(again.text)
    assert len(console.desk.records.trail()) == 1
    other = console.signed_in("developer").post("/keys", {**FIELDS, "form": form})
    assert other.status_code == 200, "another person's form is another form"


def test_a_key_that_the_store_did_not_take_is_told(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: ApiKey) -> None:
        raise StoreUnavailable("gone")

    browser = console.signed_in()
    form = form_of(browser)
    with monkeypatch.context() as patched:
        patched.setattr(console.store.keys, "add", away)
        assert browser.post("/keys", {**FIELDS, "form": form}).status_code == 503
    again = browser.post("/keys", {**FIELDS, "form": form})
    assert again.status_code == 409
    assert "No key has come of it" in again.text
    assert of(console, "billing") == []


@pytest.mark.parametrize("form", ["", "x", "x" * 33, "é" * 32])
def test_a_form_without_its_mark_makes_nothing(console: ConsoleApi, form: str) -> None:
    assert create(console.signed_in(), form=form).status_code == 400
    assert of(console, "billing") == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("application", " ", "1 to 64 printable characters"),
        ("application", "x" * 65, "1 to 64 printable characters"),
        ("application", "a\u200bb", "1 to 64 printable characters"),
        ("application", "😀" * 64, "At most 255 bytes"),
        ("application", "Posthaste", "kept for the mail of Posthaste itself"),
        ("domains", "nothing", "is not a domain"),
        ("domains", HOSTILE, "is not a domain"),
        ("domains", " ".join(f"d{n}.test" for n in range(51)), "At most 50 domains"),
        ("scopes", [], "Tick at least one"),
        ("scopes", ["send", "everything"], "Tick at least one"),
        ("classes", [], "Tick at least one"),
        ("classes", ["junk"], "Tick at least one"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    console: ConsoleApi, field: str, value: Any, words: str
) -> None:
    answer = create(console.signed_in(), **{field: value})
    assert answer.status_code == 422
    found = re.search(rf'id="{field}-error">([^<]+)', answer.text)
    assert found, answer.text
    assert words in found[1]
    assert "<script>alert" not in answer.text
    assert of(console, "billing") == []
    assert console.desk.records.trail() == []


def test_a_wrong_form_keeps_what_was_typed_and_can_be_sent_again(console: ConsoleApi) -> None:
    browser = console.signed_in()
    form = form_of(browser)
    answer = browser.post("/keys", {**FIELDS, "form": form, "domains": "x", "classes": ["bulk"]})
    assert 'value="billing"' in answer.text
    assert f'value="{form}"' in answer.text
    assert re.findall(r'value="(\w+)" checked', answer.text) == ["send", "bulk"]
    assert browser.post("/keys", {**FIELDS, "form": form}).status_code == 200


def test_the_rules_are_those_of_the_command() -> None:
    assert api_keys.application_of(" shop ") == "shop"
    assert api_keys.domains_of(["A.test", "a.test"]) == ("a.test",)


def test_b37_no_key_may_more_than_who_creates_it(console: ConsoleApi) -> None:
    developer, owner = console.signed_in("developer"), console.signed_in("owner")
    assert 'value="operate"' not in developer.get("/keys/new").text
    for scopes in (["operate"], ["send", "operate"]):
        answer = create(developer, scopes=scopes)
        assert answer.status_code == 403
        assert not _TEXT.search(answer.text)
    assert of(console, "billing") == []
    assert create(owner, scopes=["send", "operate"]).status_code == 200
    (key,) = of(console, "billing")
    assert key.scopes == ("send", "operate")
    path = f"/keys/{key.id}/revoke"
    assert path not in developer.get("/keys").text
    assert developer.get(path).status_code == 403
    assert developer.post(path).status_code == 403
    assert not of(console, "billing")[0].revoked_ms


def test_revoking_says_what_stops(console: ConsoleApi) -> None:
    key = a_key(console)
    console.store.keys.used(key.id, console.clock.now_ms())
    console.clock.advance(120)
    browser = console.signed_in("developer")
    text = seen(browser.get(f"/keys/{key.id}/revoke").text)
    assert "(2 min ago)" in text
    assert "It is the last key of web that may send" in text
    a_key(console)
    text = seen(browser.get(f"/keys/{key.id}/revoke").text)
    assert "web has 1 more key that may send" in text
    assert not of(console, "web")[0].revoked_ms


def test_a_revoked_key_does_not_count(console: ConsoleApi) -> None:
    browser = console.signed_in()
    text = _TEXT.search(create(browser).text)
    assert text
    (key,) = of(console, "billing")
    answer = browser.post(f"/keys/{key.id}/revoke")
    assert answer.headers["Location"] == "/console/keys?notice=key_revoked"
    assert console.send(message(), key=text[0]).status_code == 401
    browser.post(f"/keys/{key.id}/revoke")
    assert [each.act for each in console.desk.records.trail()] == ["key.revoked", "key.created"]
    assert "revoked" in seen(browser.get("/keys").text)
    assert "It was revoked" in browser.get(f"/keys/{key.id}/revoke").text


@pytest.mark.parametrize("path", ["/keys/new", "/keys/0000000000000000/revoke"])
def test_keys_ask_for_the_password_again(console: ConsoleApi, path: str) -> None:
    browser = console.signed_in()
    console.clock.advance(3600)
    answer = browser.get(path)
    assert answer.headers["Location"].startswith("/console/confirm?next=")
    answer = create_without_form(browser)
    assert answer.headers["Location"].startswith("/console/confirm?next=")
    assert of(console, "billing") == []


def create_without_form(browser: Browser) -> TestResponse:
    return browser.post("/keys", {**FIELDS, "form": "x" * 32})


@pytest.mark.parametrize("key_id", ["0" * 16, "nothing", "%00", HOSTILE.replace("/", "")])
def test_b37_there_is_no_other_key(console: ConsoleApi, key_id: str) -> None:
    browser = console.signed_in()
    assert browser.get(f"/keys/{key_id}/revoke").status_code == 404
    assert browser.post(f"/keys/{key_id}/revoke").status_code == 404


def test_b23_names_of_applications_are_shown_as_text(console: ConsoleApi) -> None:
    key = a_key(console, HOSTILE)
    browser = console.signed_in()
    created = create(browser, application=HOSTILE)
    assert created.status_code == 200
    for text in (
        created.text,
        browser.get("/keys").text,
        browser.get(f"/keys/{key.id}/revoke").text,
    ):
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text


def test_keys_come_in_pages_the_newest_first(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "PAGE", 2)
    made = []
    for _ in range(3):
        console.clock.advance(1)
        made.append(a_key(console).id)
    browser = console.signed_in()
    text = browser.get("/keys").text
    assert made[2] in text
    assert made[0] not in text
    assert made[0] in browser.get(f"/keys?before={made[1]}").text


def test_no_keys_is_told(console: ConsoleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.store.keys, "all", list)
    assert "Nothing can submit mail by the API yet" in console.signed_in().get("/keys").text
