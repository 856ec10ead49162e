"""Signed tokens: what is read of them, and that nobody else can make, alter or move one."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.feedback.tokens import (
    MOST_UNSUBSCRIBE,
    OTHER_SITES,
    TOKEN_CHARACTERS,
    Reference,
    Tokens,
    Unsubscription,
    return_path,
    token_in,
)
from shared.model.message import CLASSES, MessageClass

KEY, BEFORE, OTHER = b"k" * 32, b"b" * 32, b"o" * 32
TOKENS = Tokens([KEY])
ID = bytes.fromhex("0199f0c2a5d07b6e8d53a0b7c1e2f344")
DIGITS = "abcdefghijklmnopqrstuvwxyz234567"

ids = st.binary(min_size=16, max_size=16)
names = st.text(min_size=1, max_size=64)
addresses = st.from_regex(r"[A-Za-z0-9.+_-]{1,64}@[a-z0-9-]{1,20}\.test", fullmatch=True)


def reference(
    tokens: Tokens = TOKENS,
    message_id: bytes = ID,
    application: str = "shop",
    message_class: MessageClass = "bulk",
    site: str = "google",
    address: str | None = "Jane.Roe@example.test",
) -> str:
    return tokens.reference(message_id, application, message_class, site, address)


def read(token: str, tokens: Tokens = TOKENS) -> Reference:
    found = tokens.read(token)
    assert found is not None
    return found


@given(ids, names, st.sampled_from(CLASSES), names, addresses)
def test_what_was_put_in_can_be_told(
    message_id: bytes, application: str, message_class: MessageClass, site: str, address: str
) -> None:
    token = reference(TOKENS, message_id, application, message_class, site, address)
    assert len(token) == TOKEN_CHARACTERS
    assert set(token) <= set(DIGITS)
    found = read(token)
    assert (found.key, found.message_id, found.message_class) == (0, message_id, message_class)
    assert found.accepted_ms == int.from_bytes(message_id[:6], "big")
    assert found.has_recipient
    assert TOKENS.is_for(found, address)
    assert TOKENS.is_for(found, address.swapcase()), "whatever its case"
    assert not TOKENS.is_for(found, "x" + address)
    assert TOKENS.application_of(found, ["y" + application, application]) == application
    assert TOKENS.application_of(found, ["y" + application]) is None
    assert TOKENS.site_of(found, ["y" + site, site]) == site
    assert TOKENS.site_of(found, ["y" + site]) == OTHER_SITES


@given(ids, addresses, st.data())
def test_servers_that_fold_case_change_nothing(
    message_id: bytes, address: str, data: st.DataObject
) -> None:
    token = reference(message_id=message_id, address=address)
    upper = data.draw(st.lists(st.booleans(), min_size=len(token), max_size=len(token)))
    folded = "".join(each.upper() if up else each for each, up in zip(token, upper, strict=True))
    assert TOKENS.read(folded) == TOKENS.read(token)


@given(ids, addresses)
def test_a_reference_is_written_in_base32(message_id: bytes, address: str) -> None:
    token = reference(message_id=message_id, address=address)
    data = base64.b32decode(token.upper() + "===")
    assert len(data) == 38
    assert base64.b32encode(data).decode().rstrip("=").lower() == token
    assert data[7:23] == message_id


def test_a_return_path_is_as_long_as_it_may_be_and_gives_the_token_back() -> None:
    token = reference()
    path = return_path(token, "bounces.shop.test")
    local, _, domain = path.partition("@")
    assert (len(local), domain) == (63, "bounces.shop.test")
    for each in (local, local.upper(), local.capitalize()):
        assert token_in(each) == token
    for each in (token, f"a-{token}", "postmaster", "", "b"):
        assert token_in(each) is None
    assert token_in("b-") == ""


def test_no_character_of_a_reference_can_be_another_one() -> None:
    token = reference()
    for at, there in enumerate(token):
        for digit in DIGITS:
            if digit != there:
                assert TOKENS.read(token[:at] + digit + token[at + 1 :]) is None


def test_no_bit_of_a_reference_can_be_another_one() -> None:
    token = reference()
    data = bytearray(base64.b32decode(token.upper() + "==="))
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        altered = base64.b32encode(data).decode().rstrip("=").lower()
        assert TOKENS.read(altered) is None
        data[bit // 8] ^= 1 << bit % 8


@given(st.text(max_size=100))
def test_what_is_no_reference_is_none(text: str) -> None:
    assert TOKENS.read(text) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "a",
        lambda token: token + "=",
        lambda token: " " + token[1:],
        lambda token: token[:-1] + "\n",
        lambda token: token[:-1] + "0",
        lambda token: "1" + token[1:],
        lambda token: token[:5] + "ſ" + token[6:],  # Its upper case is an S.
        lambda token: token[:5] + "ı" + token[6:],
    ],
)
def test_a_reference_has_one_form(change: object) -> None:
    assert callable(change)
    assert TOKENS.read(change(reference())) is None


def test_only_our_keys_count_the_one_before_too() -> None:
    token = reference(Tokens([BEFORE]))
    assert TOKENS.read(token) is None
    both = Tokens([KEY, BEFORE])
    found = read(token, both)
    assert found.key == 1
    assert both.is_for(found, "jane.roe@example.test")
    assert both.application_of(found, ["news", "shop"]) == "shop"
    assert both.site_of(found, ["yahoo", "google"]) == "google"
    assert read(reference(both), both).key == 0, "the present one signs"
    assert Tokens([OTHER]).read(reference(both)) is None
    assert read(reference(both)) == read(reference())


def test_two_applications_sites_recipients_and_messages_have_nothing_in_common() -> None:
    first = read(reference())
    other = read(reference(application="news", site="yahoo", address="john@example.test"))
    assert first.application_tag != other.application_tag
    assert first.site_tag != other.site_tag
    assert first.mark != other.mark
    later = read(reference(message_id=ID[:-1] + b"\x00"))
    assert later.mark != first.mark, "nobody can follow a recipient from message to message"


def test_a_copy_for_several_says_nothing_about_one() -> None:
    found = read(reference(address=None))
    assert not found.has_recipient
    assert not TOKENS.is_for(found, "jane.roe@example.test")


def test_references_name_nobody() -> None:
    token = reference()
    data = base64.b32decode(token.upper() + "===")
    for word in (b"shop", b"google", b"jane", b"Jane"):
        assert word not in data
        assert word.decode() not in token


@given(names, names, st.text(min_size=1, max_size=254))
def test_an_unsubscribe_link_gives_back_what_it_is_about(
    application: str, list_name: str, address: str
) -> None:
    token = TOKENS.unsubscribe(application, list_name, address)
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert token == TOKENS.unsubscribe(application, list_name, address)
    assert TOKENS.read_unsubscribe(token) == Unsubscription(application, list_name, address)


def test_no_bit_of_an_unsubscribe_link_can_be_another_one() -> None:
    token = TOKENS.unsubscribe("shop", "news", "jane@example.test")
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        altered = base64.urlsafe_b64encode(data).decode().rstrip("=")
        assert TOKENS.read_unsubscribe(altered) is None
        data[bit // 8] ^= 1 << bit % 8


def test_unsubscribe_links_of_the_key_before_still_work_and_others_do_not() -> None:
    token = Tokens([BEFORE]).unsubscribe("shop", "news", "jane@example.test")
    found = Unsubscription("shop", "news", "jane@example.test")
    assert Tokens([KEY, BEFORE]).read_unsubscribe(token) == found
    assert TOKENS.read_unsubscribe(token) is None
    assert TOKENS.read_unsubscribe(reference()) is None
    assert TOKENS.read(token) is None


@given(st.one_of(st.text(max_size=80), st.text("ABCDEFabcdef0123_-", max_size=MOST_UNSUBSCRIBE)))
def test_what_is_no_unsubscribe_link_is_none(text: str) -> None:
    assert TOKENS.read_unsubscribe(text) is None


def test_a_link_without_end_is_not_looked_at() -> None:
    token = TOKENS.unsubscribe("shop", "news", "x" * MOST_UNSUBSCRIBE)
    assert len(token) > MOST_UNSUBSCRIBE
    assert TOKENS.read_unsubscribe(token) is None
