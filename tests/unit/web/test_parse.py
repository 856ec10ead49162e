"""B20: bodies that are not what they say, and what each is answered."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import Settings, WebSettings
from tests.support.api import Api
from tests.support.system import message
from web.errors import Problem
from web.parse import parse_json


def refused(body: bytes, depth: int = 25) -> str:
    with pytest.raises(Problem) as caught:
        parse_json(body, depth)
    assert caught.value.status == 400
    return caught.value.code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"a":NaN}', "bad_number"),
        (b'{"a":-Infinity}', "bad_number"),
        (b'{"a":' + b"1" * 100_000 + b"}", "bad_number"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'{"b":{"a":1,"a":2}}', "duplicate_key"),
        (b'\xef\xbb\xbf{"a":1}', "bad_encoding"),
        ('{"a":1}'.encode("utf-16"), "bad_encoding"),
        (b'{"a":"\xff"}', "bad_encoding"),
        (b'{"a":' + b"[" * 100_000, "too_deep"),
        (b'{"a":' + b"[" * 26 + b"]" * 26 + b"}", "too_deep"),
        (b'{"a":"\x01"}', "bad_json"),
    ],
)
def test_b20_refused_bodies(body: bytes, code: str) -> None:
    assert refused(body) == code


def test_b20_brackets_in_strings_do_not_count() -> None:
    text = "[{" * 1000 + '"\\'
    assert parse_json(json.dumps({"text": text}).encode(), 25) == {"text": text}


def test_b20_depth_is_exact() -> None:
    assert parse_json(b'{"a":' + b"[" * 24 + b"]" * 24 + b"}", 25)
    assert refused(b'{"a":' + b"[" * 25 + b"]" * 25 + b"}") == "too_deep"


@given(st.text(alphabet='"\\\\[]{}\nx'))
def test_b20_no_string_hides_depth_or_adds_to_it(text: str) -> None:
    for lists, fits in ((24, True), (25, False)):
        deep = json.loads("[" * lists + "]" * lists)
        body = json.dumps({text: text, "deep": deep, "after": text}).encode()
        if fits:
            assert parse_json(body, 25)["after"] == text
        else:
            assert refused(body) == "too_deep"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_b20_other_types_are_415(api: Api, kind: str) -> None:
    answer = api.ask("POST", "/v1/messages", data=b"{}", content_type=kind)
    assert answer.status_code == 415
    assert api.accepted() == 0


def test_b20_gzip_is_read(api: Api) -> None:
    body = gzip.compress(json.dumps(message()).encode())
    answer = api.ask(
        "POST",
        "/v1/messages",
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status_code == 202


def test_b20_a_gzip_bomb_is_413(api: Api) -> None:
    body = gzip.compress(b'{"a":"' + b" " * 40_000_000 + b'"}')
    assert len(body) < 100_000
    answer = api.ask(
        "POST",
        "/v1/messages",
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"not gzip", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-4], "gzip", 400),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400),
        (b"{}", "br", 415),
    ],
)
def test_b20_damaged_encodings(api: Api, body: bytes, encoding: str, status: int) -> None:
    answer = api.ask(
        "POST",
        "/v1/messages",
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": encoding},
    )
    assert answer.status_code == status


def test_b21_an_oversized_body_is_413() -> None:
    api = Api(Settings(web=WebSettings(max_request_bytes=1000)))
    answer = api.send(message(text="x" * 2000))
    assert (answer.status_code, answer.json["status"]) == (413, 413)
    assert answer.content_type == "application/problem+json"
    api.close()


@pytest.mark.parametrize(
    ("path", "kind", "begin"),
    [
        ("/v1/messages", "application/json", b"{}"),
        ("/v1/suppressions/import", "text/csv", b"address\nbob@example.com\n"),
    ],
)
def test_b21_a_body_in_pieces_is_never_cut_off_at_the_limit(
    path: str, kind: str, begin: bytes
) -> None:
    api = Api(Settings(web=WebSettings(max_request_bytes=1000)))

    def ask(length: int) -> tuple[int, bytes]:
        stream = io.BytesIO(begin.ljust(length, b"\n"))
        answer = api.ask(
            "POST",
            path,
            input_stream=stream,
            content_type=kind,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert answer.status_code != 413 or answer.json["code"] == "too_large"
        return answer.status_code, stream.read()

    assert ask(1001) == (413, b"")
    assert ask(500_000) == (413, b"")
    assert ask(1000)[0] in (200, 422)
    api.close()
