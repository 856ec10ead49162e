"""The suppression list by the API: whose entries a key may see and change, wrong fields."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import structlog

from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.store.keys import SCOPES
from shared.times import shown
from tests.support.api import Api

BOB = "bob@example.com"


@pytest.fixture
def ops(api: Api) -> str:
    """A key that may operate."""
    return api.new_key("ops", scopes=SCOPES)


def path(address: str, more: str = "") -> str:
    return f"/v1/suppressions/{quote(address, safe='')}{more}"


def add(api: Api, **fields: Any) -> Any:
    key = fields.pop("key", api.key)
    return api.ask("POST", "/v1/suppressions", json=fields, key=key)


def entries(api: Api, more: str = "", **options: Any) -> list[dict[str, Any]]:
    answer = api.ask("GET", f"/v1/suppressions{more}", **options)
    assert answer.status_code == 200, answer.json
    found: list[dict[str, Any]] = answer.json["data"]
    return found


def pointers(answer: Any) -> set[str]:
    return {each["pointer"] for each in answer.json["errors"]}


def kinds(api: Api) -> list[str]:
    return [event.kind for event in api.store.spool.events(limit=100)]


def test_an_entry_is_added_told_and_removed(api: Api) -> None:
    ahead = shown(api.clock.now_ms() + 86_400_000)
    said = {"list": "News", "reason": "unsubscribe", "expires_at": ahead, "detail": "by phone"}
    answer = add(api, address="Bob@Example.COM", **said)
    assert answer.status_code == 201
    source = f"api:{api.key.split('_')[1]}"
    expected = {
        "address": BOB, "application": "shop", "source": source,
        "created_at": shown(api.clock.now_ms()), **said,
    }  # fmt: skip
    assert answer.json == expected
    again = add(api, address=BOB, **said)
    assert (again.status_code, again.json) == (200, expected)
    for found in (api.ask("GET", path("BOB@example.com")), api.ask("GET", "/v1/suppressions")):
        assert found.json == {"data": [expected], "next_cursor": None}
    assert api.ask("DELETE", path(BOB)).status_code == 404  # That would be the one for all mail.
    gone = api.ask("DELETE", path(BOB, "?list=News"))
    assert (gone.status_code, gone.data) == (204, b"")
    assert api.ask("DELETE", path(BOB, "?list=News")).json["code"] == "not_found"
    assert api.ask("GET", path(BOB)).status_code == 404
    assert kinds(api) == ["suppressed", "unsuppressed"]


def test_one_that_was_there_and_stays_is_told_as_it_is(api: Api) -> None:
    """A dead address is not forgotten sooner because somebody adds it for a day."""
    assert add(api, address=BOB, reason="bounce").status_code == 201
    answer = add(api, address=BOB, expires_at=shown(api.clock.now_ms() + 1000))
    assert (answer.status_code, answer.json["reason"]) == (200, "bounce")
    assert answer.json["expires_at"] is None


@pytest.mark.parametrize(
    "address",
    ["a+b@example.com", "a/b@example.com", "/a@example.com", "100%@example.com", "a?b@example.com",
     "'a=b#c@example.com", "müller@bücher.example", "日本@example.com", "=cmd|a@example.com"],
)  # fmt: skip
def test_any_address_can_stand_in_a_path(api: Api, address: str) -> None:
    assert add(api, address=address).status_code == 201
    (found,) = api.ask("GET", path(address)).json["data"]
    assert found["address"] == address.replace("bücher", "xn--bcher-kva")
    assert api.ask("DELETE", path(address)).status_code == 204
    assert entries(api) == []


@pytest.mark.parametrize(
    "address", ["bob1", "import", "Bob <bob@a.test>", "a@b@c.test", "x" * 2000 + "@example.com"]
)
def test_what_is_no_address_is_told_so(api: Api, address: str) -> None:
    for method in ("GET", "DELETE"):
        answer = api.ask(method, path(address))
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"] == "/address"
        assert address not in answer.text


def test_every_wrong_field_is_named(api: Api) -> None:
    wrong = {
        "address": "bob", "reason": "spam", "list": "a\nb", "application": 7, "detail": "x" * 101,
        "expires_at": "tomorrow", "source": "smtp", "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    answer = add(api, **wrong)
    assert answer.status_code == 422
    assert pointers(answer) == {f"/{name}" for name in wrong}
    assert pointers(add(api)) == {"/address"}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("address", ["bob@example.com"], "wrong_type"),
        ("address", "\ud800@example.com", "bad_address"),
        ("expires_at", "2020-01-01T00:00:00Z", "too_early"),
        ("expires_at", "9999-12-31T23:59:59-14:00", "bad_time"),
        ("expires_at", "2027-02-30T00:00:00Z", "bad_time"),
        ("expires_at", 1_800_000_000, "bad_time"),
        ("detail", "said bob@example.com", "bad_value"),
        ("detail", "two\nlines", "bad_value"),
        ("reason", [], "bad_value"),
        ("list", "\ud800", "bad_value"),
        ("list", "x" * 65, "bad_value"),
        ("application", "", "bad_value"),
        ("application", "x" * 65, "bad_value"),
        ("application", "\U0001f4ec" * 64, "bad_value"),
        ("list", "\U0001f4ec" * 64, "bad_value"),
        ("detail", "\U0001f4ec" * 64, "bad_value"),
    ],
)
def test_wrong_values(api: Api, ops: str, field: str, value: Any, code: str) -> None:
    answer = add(api, key=ops, **{"address": BOB, field: value})
    assert answer.status_code == 422
    (error,) = answer.json["errors"]
    assert (error["pointer"], error["code"]) == (f"/{field}", code)
    assert entries(api, key=ops) == []


def test_whose_entries_a_key_may_change(api: Api, ops: str) -> None:
    other = api.new_key("other")
    assert add(api, address=BOB, application="shop").status_code == 201
    for name in ("other", "*", None):
        answer = add(api, address=BOB, application=name)
        assert (answer.status_code, answer.json["code"]) == (403, "missing_scope")
        assert pointers(answer) == {"/application"}
    for name in ("other", "*", None, "ops"):
        assert add(api, address=BOB, application=name, key=ops).status_code in (200, 201)
    seen = {each["application"] for each in api.ask("GET", path(BOB)).json["data"]}
    assert seen == {"shop", "*"}
    assert {each["application"] for each in entries(api)} == {"shop"}
    assert {each["application"] for each in entries(api, key=ops)} == {"shop", "other", "ops", "*"}
    assert {each["application"] for each in entries(api, "?application=*", key=ops)} == {"*"}
    for more in ("?application=other", "?application=*"):
        assert api.ask("GET", f"/v1/suppressions{more}").status_code == 403
        assert api.ask("DELETE", path(BOB, more)).status_code == 403
    assert api.ask("DELETE", path(BOB)).status_code == 204
    assert api.ask("DELETE", path(BOB), key=other).status_code == 204
    assert api.ask("DELETE", path(BOB, "?application=*"), key=ops).status_code == 204
    assert api.ask("GET", path(BOB), key=other).status_code == 404  # It is on the list of ops.


def test_others_entries_are_invisible(api: Api) -> None:
    add(api, address=BOB, key=api.new_key("other"))
    assert api.ask("GET", path(BOB)).status_code == 404
    assert entries(api) == []
    assert api.ask("DELETE", path(BOB)).status_code == 404
    exported = api.ask("GET", "/v1/suppressions/export")
    assert BOB not in exported.text


def test_a_key_without_a_scope_may_do_nothing(api: Api) -> None:
    key = api.new_key("shop", scopes=())
    for method, where in (
        ("POST", ""), ("GET", ""), ("GET", "/a@b.test"), ("DELETE", "/a@b.test"),
        ("POST", "/import"), ("GET", "/export"),
    ):  # fmt: skip
        assert api.ask(method, f"/v1/suppressions{where}", key=key).status_code == 403


def test_no_log_has_an_address(api: Api) -> None:
    with structlog.testing.capture_logs() as lines:
        add(api, address=BOB)
        for method in ("GET", "DELETE", "GET", "PUT"):
            api.ask(method, path(BOB))
        api.ask("GET", path("bob"))
    assert len(lines) == 6
    assert "bob" not in str(lines)


def test_many_at_once_with_wrong_ones_among_them(api: Api) -> None:
    items = [
        {"address": BOB}, {"address": "bob"}, 7, {"address": BOB, "reason": "bounce"},
        {"address": "eve@example.com", "application": "other"},
    ]  # fmt: skip
    answer = api.ask("POST", "/v1/suppressions", json={"suppressions": items})
    assert answer.status_code == 200
    first, wrong, number, second, others = answer.json["results"]
    assert (first["address"], first["new"], second["new"]) == (BOB, True, False)
    assert second["reason"] == "bounce"
    assert wrong["error"]["errors"][0]["pointer"] == "/address"
    assert (number["error"]["status"], others["error"]["status"]) == (422, 403)
    assert [each["address"] for each in entries(api)] == [BOB]


@pytest.mark.parametrize("items", [[], [{}] * 1001, {}, "bob@example.com", None])
def test_a_list_that_is_none(api: Api, items: Any) -> None:
    answer = api.ask("POST", "/v1/suppressions", json={"suppressions": items, "reason": "bounce"})
    assert answer.status_code == 422
    assert pointers(answer) == {"/suppressions", "/reason"}


def test_pages_hold_each_entry_once(api: Api) -> None:
    items = [
        {"address": f"a{number}@example.com", "reason": ("bounce", "manual")[number % 10 == 0]}
        for number in range(300)
    ]
    api.ask("POST", "/v1/suppressions", json={"suppressions": items})
    for more, expected in (("", 300), ("&reason=manual", 30), ("&list=News", 0), ("&list=", 300)):
        found, cursor, pages = [], "", 0
        while pages == 0 or cursor:
            answer = api.ask("GET", f"/v1/suppressions?limit=7&cursor={cursor}{more}")
            found += [each["address"] for each in answer.json["data"]]
            cursor, pages = answer.json["next_cursor"], pages + 1
            assert len(answer.json["data"]) <= 7
        assert len(found) == len(set(found)) == expected


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ("limit=0", "/limit"), ("cursor=x", "/cursor"),
        ("limit=501", "/limit"), ("limit=0100999", "/limit"),
        ("limit=x", "/limit"), ("reason=spam", "/reason"),
        ("reason=bounce&reason=bounce", "/reason"),
        ("state=x", "/state"), ("application=", "/application"), ("list=a%0Ab", "/list"),
    ],
)  # fmt: skip
def test_wrong_queries(api: Api, more: str, pointer: str) -> None:
    answer = api.ask("GET", f"/v1/suppressions?{more}")
    assert answer.status_code == 422
    assert pointers(answer) == {pointer}


class Away:
    """A store that answers nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any) -> Any:
            raise self.error

        return ask


@pytest.fixture
def away(api: Api, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The API once the list's store does not answer, with an error."""

    def make(error: Exception) -> Api:
        for name in ("add", "remove", "find", "page"):
            monkeypatch.setattr(api.store.suppressions, name, getattr(Away(error), name))
        return api

    return make


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable("away"), "unavailable"), (OutcomeUnknown("late"), "outcome_unknown")],
)
def test_a_store_that_is_away(away: Any, error: Exception, code: str) -> None:
    api = away(error)
    for method, where, options in (
        ("POST", "", {"json": {"address": BOB}}),
        ("POST", "", {"json": {"suppressions": [{"address": BOB}]}}),
        ("DELETE", f"/{BOB}", {}),
    ):
        answer = api.ask(method, f"/v1/suppressions{where}", **options)
        assert (answer.status_code, answer.json["code"]) == (503, code)
    for where in ("", f"/{BOB}", "/export"):
        assert api.ask("GET", f"/v1/suppressions{where}").status_code == 503
