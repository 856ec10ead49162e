"""What may stand in a log line, whatever it is made of."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import StoreUnavailable
from shared.log_text import MOST_TEXT, Cleaner, Hostile, address_hash
from shared.logging import MOST_BYTES, Renderer

KEY = b"k" * 16
ADDRESS = "maria.secret+tag@customer.example"
HASHED = address_hash(ADDRESS, KEY)
UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
cleaner = Cleaner("hash", KEY)


def is_unsafe(text: str) -> bool:
    return any(unicodedata.category(each) in UNSAFE for each in text)


def test_every_character_that_could_break_or_turn_a_line_is_escaped() -> None:
    for number in range(0x110000):
        if unicodedata.category(chr(number)) in UNSAFE:
            found = cleaner.text(f"a{chr(number)}b")
            assert not is_unsafe(found)
            assert f"{number:04x}" in found


@given(st.text(max_size=2 * MOST_TEXT))
def test_any_text_is_harmless_and_bounded(text: str) -> None:
    found = cleaner.text(text)
    assert not is_unsafe(found)
    assert len(found) <= 10 * (MOST_TEXT + 3)


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text()
    | st.binary() | st.builds(ValueError, st.text()),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(), inner, max_size=50),
    max_leaves=80,
)  # fmt: skip


@pytest.mark.parametrize("form", ["json", "text"])
@settings(max_examples=40, deadline=None)
@given(fields=st.dictionaries(st.text(), JUNK, max_size=60))
def test_a_line_is_one_line_whatever_is_in_it(form: str, fields: dict[str, Any]) -> None:
    fields.pop("exc_info", None)
    line = Renderer(cleaner, form)(None, "info", {"event": "x", **fields})
    assert len(line) <= MOST_BYTES + 1
    assert line.endswith(b"\n")
    text = line[:-1].decode()
    assert not is_unsafe(text)
    assert len(text.splitlines()) == 1
    if form == "json":
        told = json.loads(text)
        assert told["level"] in ("info", fields.get("level"))


def test_what_looks_like_another_line_stays_a_value() -> None:
    forged = 'x"}\n{"timestamp":"2026-01-01T00:00:00Z","level":"critical","event":"all is lost'
    (line,) = Renderer(cleaner, "json")(
        None, "info", {"event": "said", "what": forged}
    ).splitlines()
    assert json.loads(line)["event"] == "said"
    (text,) = Renderer(cleaner, "text")(
        None, "info", {"event": "said", "what": "a level=critical event=forged\r\nx=y"}
    ).splitlines()
    assert b' what="a level=critical' in text


@pytest.mark.parametrize(
    "text",
    [
        ADDRESS, f"<{ADDRESS}>: no such user", f"RCPT TO:<{ADDRESS}>", f"rfc822;{ADDRESS}",
        f"user={ADDRESS},", f"'{ADDRESS}'", f"a@{ADDRESS}", f"{ADDRESS}@relay.test",
        f"mailto:{ADDRESS}?subject=x", f"https://x.test/u?m={ADDRESS}", f"({ADDRESS})",
        ADDRESS.replace("@", "%40"), ADDRESS.upper(), f"x\x00{ADDRESS}\x00", f"\u202e{ADDRESS}",
        '"maria.secret tag"@customer.example', "maria.secret@[192.0.2.1]",
        "maria.secret\u00fc@b\u00fccher.example", "word " * 58 + ADDRESS, "x" * 290 + ADDRESS,
        f"{ADDRESS};{ADDRESS} {ADDRESS}",
    ],
)  # fmt: skip
def test_no_address_gets_through(text: str) -> None:
    assert "maria" not in cleaner.text(text).lower()
    assert "maria" not in Cleaner("off", KEY).text(text).lower()


def test_one_address_has_one_hash_and_another_key_another_one() -> None:
    assert HASHED.startswith("addr:")
    assert len(HASHED) == 21
    for same in (ADDRESS.upper(), f"<{ADDRESS}>", ADDRESS + "."):
        assert address_hash(same, KEY) == HASHED
    assert address_hash("m@b\u00fccher.example", KEY) == address_hash(
        "m@xn--bcher-kva.example", KEY
    )
    assert address_hash(ADDRESS, b"another key of it") != HASHED
    assert address_hash("other@customer.example", KEY) != HASHED
    assert cleaner.text(f"550 5.1.1 <{ADDRESS}>: unknown") == f"550 5.1.1 <{HASHED}>: unknown"
    assert cleaner.fields({"recipients": [ADDRESS]}) == {"recipients": [HASHED]}


@pytest.mark.parametrize(
    "hop",
    ["relay", "bulk@newsletters", "mx:?", "mx:?@?", "mx:mx.shop.test~5e2k", "first<pool:safe",
     "mx:mx.shop.test@careful", "mx:mx.shop.test@+sts~9f3a", "first@cheap<pool:safe"],
)  # fmt: skip
def test_the_name_of_a_hop_stays_as_it_is(hop: str) -> None:
    assert cleaner.fields({"hop": hop}) == {"hop": hop}


def test_what_is_no_name_of_a_hop_is_cleaned_like_any_text() -> None:
    assert cleaner.fields({"hop": f"to <{ADDRESS}>"}) == {"hop": f"to <{HASHED}>"}
    assert cleaner.fields({"hop": "ph_0123456789abcdef_secret"}) == {"hop": "[key]"}


def test_addresses_are_plain_where_that_is_asked_for() -> None:
    plain = Cleaner("plain", KEY)
    assert plain.text(f"<{ADDRESS}> unknown") == f"<{ADDRESS}> unknown"
    assert plain.fields({"recipients": [ADDRESS]}) == {"recipients": [ADDRESS]}
    assert plain.fields({"recipient": "a\n@b.test"}) == {"recipient": "a\\u000a@b.test"}


SECRET_KEY = "ph_0123456789abcdef_" + "S" * 43


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (SECRET_KEY, "SSS"), (f"got {SECRET_KEY}.", "SSS"), ("Authorization: Bearer abc123", "abc"),
        ("bearer abc123", "abc"), ("Basic dXNlcjpw", "dXN"), ("redis://u:pass1@h:1/0", "pass1"),
        ("password=hunter2", "hunter"), ("api_key: hunter2", "hunter"), ("Cookie: s=1", "s=1"),
        ("see https://x.test/reset?code=hunter2", "hunter"),
    ],
)  # fmt: skip
def test_no_key_or_password_gets_through(text: str, secret: str) -> None:
    assert secret not in cleaner.text(text)


def test_fields_of_a_message_are_withheld_whoever_logs_them() -> None:
    given = {
        "subject": "s1",
        "text": "t1",
        "headers": {"a": "h1"},
        "password": "p1",
        "deep": {"body": "b1"},
    }
    found = json.dumps(cleaner.fields(given))
    for value in ("s1", "t1", "h1", "p1", "b1"):
        assert f'"{value}"' not in found


def test_of_exceptions_only_ours_are_quoted() -> None:
    assert cleaner.value(StoreUnavailable("the store cannot be reached")) == (
        "the store cannot be reached"
    )
    assert cleaner.value(ValueError("Your order")) == "ValueError"


def test_a_reply_does_not_repeat_what_it_was_about() -> None:
    said = Hostile(
        "550 spam: 'Your ORDER 17' for Maria (maria.secret), \x1b[31mred\u2028",
        ("Your order 17", "maria.secret", "Maria"),
    )
    assert cleaner.value(said) == "550 spam: '[...]' for [...] ([...]), \\u001b[31mred\\u2028"


def test_a_reply_of_one_word_may_be_a_name() -> None:
    assert cleaner.value(Hostile("maria.secret", ("maria.secret",))) == "[...]"


def test_a_long_chain_of_exceptions_still_fits_a_line() -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        raise ValueError("x" * 10_000)

    error: BaseException | None = None
    for _ in range(10):
        try:
            try:
                deep(40)
            except ValueError as found:
                raise RuntimeError from (error or found)
        except RuntimeError as found:
            error = found
    line = Renderer(cleaner, "json")(None, "error", {"event": "x", "exc_info": error})
    assert len(line) <= MOST_BYTES
    told = json.loads(line)["exception"]
    assert told[0]["type"] == "RuntimeError"
    assert b"xxx" not in line
