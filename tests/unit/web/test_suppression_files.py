"""The suppression list as CSV by the API: imported row by row, exported as it is read."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.settings import Settings, WebSettings
from shared.store.keys import SCOPES
from shared.store.suppressions import Page
from shared.suppressing.columns import COLUMNS
from tests.support.api import Api

HEADER = ",".join(COLUMNS).encode() + b"\r\n"


def take(api: Api, text: str | bytes, more: str = "", **options: Any) -> Any:
    options = {"content_type": "text/csv", **options}
    return api.ask("POST", f"/v1/suppressions/import{more}", data=text, **options)


def give(api: Api, more: str = "", **options: Any) -> Any:
    return api.ask("GET", f"/v1/suppressions/export{more}", **options)


def test_good_rows_go_in_and_bad_ones_are_named(api: Api) -> None:
    text = "Email,Reason\nbob@example.com,bounce\nbob,bounce\nann@example.com,nonsense\n"
    answer = take(api, text + "bob@example.com,bounce\n")
    assert answer.status_code == 200
    told = answer.json
    errors = told.pop("errors")
    assert told == {
        "rows": 4, "imported": 1, "unchanged": 1, "expired": 0, "bad_rows": 2, "more_errors": 0,
        "more_bad_rows": [],
    }  # fmt: skip
    assert [(each["row"], each["column"], each["code"]) for each in errors] == [
        (3, "Email", "bad_address"), (4, "Reason", "bad_value"),
    ]  # fmt: skip
    (entry,) = api.store.suppressions.find("bob@example.com")
    assert (entry.application, entry.source, entry.reason) == ("shop", "import", "bounce")


def test_what_the_query_says_holds_for_all_rows(api: Api) -> None:
    key = api.new_key("ops", scopes=SCOPES)
    more = "?application=*&reason=complaint&list=News&ignore_columns=true"
    answer = take(api, "email,Colour\nbob@example.com,red\n", more, key=key)
    assert answer.json["imported"] == 1
    (entry,) = api.store.suppressions.find("bob@example.com")
    assert (entry.application, entry.reason, entry.list) == ("", "complaint", "News")
    assert take(api, "email\nbob@example.com\n", "?application=*").status_code == 403
    wrong = take(api, "", "?strict=yes&dry_run=1&reason=spam&state=x&list=a%0A")
    assert {each["pointer"] for each in wrong.json["errors"]} == {
        "/strict", "/dry_run", "/reason", "/state", "/list",
    }  # fmt: skip


def test_strict_and_dry_runs_change_nothing(api: Api) -> None:
    text = "email\nbob@example.com\nbob\n"
    strict = take(api, text, "?strict=true")
    assert (strict.status_code, strict.json["code"]) == (422, "bad_rows")
    assert (strict.json["bad_rows"], strict.json["imported"]) == (1, 0)
    assert strict.json["errors"][0]["row"] == 3
    dry = take(api, text, "?dry_run=true")
    assert (dry.status_code, dry.json["would_import"], dry.json["imported"]) == (200, 1, 0)
    assert api.store.suppressions.count() == 0
    assert take(api, "email\nbob@example.com\n", "?strict=true").json["imported"] == 1


@pytest.mark.parametrize("strict", ["false", "true"])
def test_of_bad_rows_the_first_are_told_and_all_are_named(api: Api, strict: str) -> None:
    text = "email,reason\n" + "bob,nonsense\njim@example.com,\n" * 1500 + "bob,\n"
    answer = take(api, "\n" + text, f"?strict={strict}")
    assert (answer.json["bad_rows"], answer.json["imported"]) == (1501, int(strict == "false"))
    assert (len(answer.json["errors"]), answer.json["more_errors"]) == (1000, 2001)
    told = [each["row"] for each in answer.json["errors"]]
    assert told == [line for line in range(3, 1003, 2) for _ in range(2)]
    assert answer.json["more_bad_rows"] == [*range(1003, 3003, 2), 3003]


def test_a_row_that_is_told_in_part_is_named_once(api: Api) -> None:
    text = "email,reason\n" + "bob,\n" * 999 + "bob,nonsense\n" * 2
    answer = take(api, text)
    assert (answer.json["errors"][-1]["row"], answer.json["more_errors"]) == (1001, 3)
    assert answer.json["more_bad_rows"] == [1002]


@pytest.mark.parametrize("missing", [1, 100])
def test_a_file_that_is_cut_off_on_its_way_is_not_imported(api: Api, missing: int) -> None:
    text = b"email\nann@example.com\nbob@example.co"  # m
    environ = {"CONTENT_LENGTH": str(len(text) + missing), "wsgi.input_terminated": True}
    answer = take(api, text, environ_overrides=environ)
    assert (answer.status_code, answer.json["code"]) == (400, "incomplete_body")
    assert api.store.suppressions.count() == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "empty"),
        ("email\nbob@example.com\n".encode("utf-16"), "bad_encoding"),
        (b"bob@example.com\n", "no_header"),
        (b"email,Colour\nbob@example.com,red\n", "unknown_column"),
    ],
)
def test_what_is_no_such_file_is_a_422(api: Api, text: bytes, code: str) -> None:
    answer = take(api, text)
    assert (answer.status_code, answer.json["code"]) == (422, "bad_file")
    (error,) = answer.json["errors"]
    assert (error["row"], error["code"]) == (1, code)
    assert error["detail"] in answer.json["detail"]


def test_types_sizes_and_encodings() -> None:
    api = Api(Settings(web=WebSettings(max_request_bytes=2000)))
    text = b"email\nbob@example.com\n"
    for content_type, code in (
        ("application/json", "unsupported_media_type"), (None, "unsupported_media_type"),
        ("text/csv; charset=utf-16", "unsupported_charset"),
    ):  # fmt: skip
        answer = take(api, text, content_type=content_type)
        assert (answer.status_code, answer.json["code"]) == (415, code)
    assert take(api, b"x" * 2001).status_code == 413
    packed = {"Content-Encoding": "gzip"}
    assert take(api, gzip.compress(b" " * 2001), headers=packed).status_code == 413
    assert take(api, gzip.compress(text), headers=packed).json["imported"] == 1
    assert take(api, text, content_type="text/csv; charset=UTF-8").json["unchanged"] == 1
    api.close()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_of_too_many_lines_is_refused_at_once(api: Api, end: str) -> None:
    answer = take(api, end * 200_001)
    assert (answer.status_code, answer.json["code"]) == (413, "too_many_lines")


def test_an_export_has_what_the_key_may_see(api: Api) -> None:
    ops = api.new_key("ops", scopes=SCOPES)
    rows = "address,application,detail\na@b.test,shop,=1+1\nb@b.test,other,\nc@b.test,*,\n"
    assert take(api, rows, key=ops).json["imported"] == 3
    mine = give(api)
    assert mine.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert mine.headers["X-Accel-Buffering"] == "no"
    assert mine.data.startswith(HEADER + b"a@b.test,shop,,manual,import,")
    assert mine.data.endswith(b",,'=1+1\r\n")
    assert mine.data.count(b"\r\n") == 2
    assert give(api, key=ops).data.count(b"\r\n") == 4
    assert b"c@b.test,*,," in give(api, "?application=*", key=ops).data
    assert give(api, "?application=other").status_code == 403
    assert give(api, "?list=News").status_code == 422
    assert take(api, give(api, key=ops).data, key=ops).json["unchanged"] == 3


def test_a_store_that_goes_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    there = api.store.suppressions
    add = there.add
    times: list[int] = []

    def once(entries: Any, *, together: bool) -> list[bool]:
        if times:
            raise OutcomeUnknown("late")
        times.append(1)
        return add(entries, together=together)

    monkeypatch.setattr(there, "add", once)
    text = "email\n" + "".join(f"a{number}@b.test\n" for number in range(2500))
    answer = take(api, text)
    assert (answer.status_code, answer.json["code"]) == (503, "interrupted")
    assert (answer.json["imported"], answer.json["in_doubt"]) == (500, 500)
    assert "Retry-After" in answer.headers

    page = there.page

    def first_page(cursor: str, limit: int, application: str | None = None) -> Page:
        if cursor:
            raise StoreUnavailable("away")
        return page(cursor, 10, application)

    monkeypatch.setattr(there, "page", first_page)
    with pytest.raises(StoreUnavailable):  # The server then closes without the end of the body.
        assert give(api).data
