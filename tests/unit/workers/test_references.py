"""What each copy has of its own: return path and header lines, and that DKIM covers them."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import ManualClock, SystemClock
from shared.feedback.tokens import Tokens, token_in
from shared.headers import MAX_LINE
from shared.model.message import Address, Content, Head, Recipient
from shared.outgoing import outgoing_from
from shared.render import render
from shared.settings import Settings
from shared.shaping.file import shaping_from
from tests.support.dkim_keys import ed25519_key, verifies
from workers.references import Copy, References, feedback_id, nearest, sender_id
from workers.shapes import Shapes
from workers.sign import Dkim

KEY = "k" * 32
TOKENS = Tokens([KEY.encode()])
ID = bytes.fromhex("0199f0c2a5d07b6e8d53a0b7c1e2f344")
URL = "https://mail.shop.test"
EVERYTHING: dict[str, Any] = {
    "feedback": {"key": KEY},
    "bounces": {"domains": ["b.shop.test", "b.other.test"]},
    "unsubscribe": {"url": URL},
}


def references(**sections: Any) -> References:
    values = EVERYTHING | {"relay": [{"name": "gw", "host": "127.0.0.1"}]} | sections
    settings = msgspec.convert(values, Settings)
    outgoing = outgoing_from(msgspec.structs.replace(settings, shaping=shaping_from(None)))
    shapes = Shapes(ManualClock())
    shapes.apply(outgoing.shaping)
    shapes.see("gmail", ("gmail-smtp-in.l.google.com",))
    return References(outgoing, shapes)


def head(*emails: str, **fields: Any) -> Head:
    people = tuple(Recipient("to", each) for each in emails or ("Jane@example.test",))
    values: dict[str, Any] = {
        "application": "shop", "message_class": "bulk", "message_id": "<1@shop.test>",
        "sender": Address("orders@shop.test"), "return_path": "orders@shop.test",
        "subject": "x", "accepted_ms": 0,
    } | fields  # fmt: skip
    return Head(recipients=people, **values)


def copy(
    found: References, mail: Head, *indices: int, hop: str = "gw", content: Content | None = None
) -> Copy:
    return found.copy(ID, mail, content or Content("x"), hop, indices or (0,))


def header(found: Copy, name: str) -> str:
    """Its value; empty: there is none. Nobody has two of a name."""
    lines = [each.decode() for each in found.lines if each.startswith(f"{name}: ".encode())]
    assert len(lines) < 2
    return lines[0].partition(": ")[2] if lines else ""


def test_a_copy_has_a_return_path_that_is_known_again() -> None:
    found = copy(references(), head())
    local, _, domain = found.return_path.partition("@")
    token = token_in(local)
    assert token is not None
    assert domain == "b.shop.test"
    assert header(found, "X-Posthaste-Reference") == token
    read = TOKENS.read(token)
    assert read is not None
    assert (read.message_id, read.message_class) == (ID, "bulk")
    assert TOKENS.is_for(read, "jane@example.test")
    assert TOKENS.application_of(read, ["news", "shop"]) == "shop"


def test_without_a_key_copies_have_nothing_of_their_own() -> None:
    mail = head(list="news")
    for found in (References(), references(feedback={}, bounces={}, unsubscribe={})):
        assert copy(found, mail) == Copy("orders@shop.test")
        assert found.alone(head("a@b.test", "c@d.test"), {0: "gw", 1: "gw"}) == {}


@pytest.mark.parametrize(
    ("sections", "fields"),
    [
        ({"bounces": {}}, {}),
        ({}, {"return_path": "bounces@shop.test"}),
        ({"route": [{"name": "r", "relay": "gw", "verp": "off"}]}, {}),
    ],
)
def test_without_verp_there_is_a_reference_all_the_same(
    sections: dict[str, Any], fields: dict[str, Any]
) -> None:
    mail = head(**fields)
    found = copy(references(**sections), mail)
    assert found.return_path == mail.return_path
    read = TOKENS.read(header(found, "X-Posthaste-Reference"))
    assert read is not None
    assert read.has_recipient


def test_a_copy_for_several_has_a_reference_for_nobody() -> None:
    mail = head("a@example.test", "b@example.test", return_path="bounces@shop.test", list="news")
    found = copy(references(), mail, 0, 1)
    read = TOKENS.read(header(found, "X-Posthaste-Reference"))
    assert read is not None
    assert not read.has_recipient
    assert found.return_path == "bounces@shop.test"
    assert not header(found, "List-Unsubscribe"), "it would be one person's, in all copies"


@pytest.mark.parametrize(
    ("emails", "hop", "site"),
    [
        (("a@gmail.com",), "gw", "google"),
        (("a@GMAIL.com",), "gw", "google"),
        (("a@example.test",), "gw", "other"),
        (("a@example.test",), "mx:gmail", "google"),
        (("a@yahoo.com",), "mx:gmail", "google"),
        (("a@yahoo.com",), "mx:elsewhere", "yahoo"),
        (("a@yahoo.com",), "mx:?", "yahoo"),
        (("a@gmail.com", "b@googlemail.com"), "gw", "google"),
        (("a@gmail.com", "b@yahoo.com"), "gw", "other"),
    ],
)
def test_the_site_is_the_provider_by_its_hosts_or_its_domain(
    emails: tuple[str, ...], hop: str, site: str
) -> None:
    found = copy(references(), head(*emails), *range(len(emails)), hop=hop)
    read = TOKENS.read(header(found, "X-Posthaste-Reference"))
    assert read is not None
    assert TOKENS.site_of(read, ["yahoo", "google"]) == site


@pytest.mark.parametrize(
    ("domains", "sender", "nearest_one"),
    [
        (["b.x.test", "b.shop.test"], "shop.test", "b.shop.test"),
        (["b.x.test", "b.shop.test"], "news.shop.test", "b.shop.test"),
        (["shop.test", "b.news.shop.test"], "news.shop.test", "b.news.shop.test"),
        (["b.x.test", "b.shop.test"], "else.test", "b.x.test"),
        (["b.x.test", "b.shop.test"], "test", "b.x.test"),
        (["b.x.test", "noshop.test"], "shop.test", "b.x.test"),
        (["a.shop.test", "b.shop.test"], "shop.test", "a.shop.test"),
    ],
)
def test_the_return_path_is_in_the_domain_that_dmarc_takes_for_the_senders(
    domains: list[str], sender: str, nearest_one: str
) -> None:
    assert nearest(domains, sender) == nearest_one


def test_a_list_has_a_link_for_each_recipient() -> None:
    mail = head("jane@example.test", "john@example.test", list="news")
    found = references()
    for index, address in enumerate(("jane@example.test", "john@example.test")):
        each = copy(found, mail, index)
        link = header(each, "List-Unsubscribe")
        assert link.startswith(f"<{URL}/u/")
        asked = TOKENS.read_unsubscribe(link.removeprefix(f"<{URL}/u/").removesuffix(">"))
        assert asked is not None
        assert (asked.application, asked.list, asked.address) == ("shop", "news", address)
        assert header(each, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
        assert header(each, "List-Id") == "<news.shop.test>"
    for none in (copy(found, head()), copy(references(unsubscribe={}), mail)):
        assert not header(none, "List-Unsubscribe")
        assert not header(none, "List-Unsubscribe-Post")
        assert not header(none, "List-Id")


def test_what_the_client_has_given_stays() -> None:
    content = Content("x", headers=(("List-ID", "<mine>"), ("FEEDBACK-ID", "a:b:c:mine5")))
    found = copy(references(), head(list="news"), content=content)
    assert not header(found, "List-Id")
    assert not header(found, "Feedback-ID")
    assert header(found, "List-Unsubscribe")
    content = Content("x", headers=(("list-unsubscribe", "<mailto:a@shop.test>"),))
    found = copy(references(), head(list="news"), content=content)
    assert not header(found, "List-Unsubscribe")


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"list": "news", "tags": ("spring",)}, "list-news:app-shop:bulk:shop.test"),
        ({"tags": ("spring", "b")}, "tag-spring:app-shop:bulk:shop.test"),
        ({}, ":app-shop:bulk:shop.test"),
        ({"application": "a b|c:d\u00fc"}, ":app-a-b-c-d-:bulk:shop.test"),
        ({"application": "x" * 64}, f":app-{'x' * 36}:bulk:shop.test"),
    ],
)
def test_complaints_at_gmail_are_told_by_list_application_and_class(
    fields: dict[str, Any], value: str
) -> None:
    assert header(copy(references(), head(**fields)), "Feedback-ID") == value


@given(st.text(max_size=200), st.text(max_size=128), st.text(min_size=1, max_size=64))
def test_a_feedback_id_is_one_line_of_four_fields(name: str, tag: str, application: str) -> None:
    line = feedback_id(name, tag, application, "bulk", "shop.test").decode("ascii")
    first, _, value = line.partition(": ")
    assert first == "Feedback-ID"
    assert len(value.split(":")) == 4
    assert value.isprintable()
    assert " " not in value
    assert len(line) < 140


@given(st.from_regex(r"[a-z0-9-]{1,30}(\.[a-z0-9-]{1,20}){1,4}", fullmatch=True))
def test_a_sender_id_has_5_to_15_characters(domain: str) -> None:
    assert 5 <= len(sender_id(domain)) <= 15
    assert sender_id(domain) == sender_id(domain)
    assert sender_id(domain + ".long.example.test") != sender_id(domain + ".long.example.tesu")


@pytest.mark.parametrize("address", ["jane@example.test", "x" * 64 + "@" + "y" * 60 + ".test"])
def test_dkim_covers_all_of_it_and_nothing_can_be_added(address: str) -> None:
    key = ed25519_key()
    mail = head(address, list="l" * 64, application="a" * 64, tags=("t" * 128,))
    found = copy(references(unsubscribe={"url": "https://" + "h" * 60 + ".test"}), mail)
    message = b"\r\n".join((*found.lines, render(mail, Content("x"))))
    signed = Dkim({"shop.test": (key,)}, SystemClock()).sign(message, "shop.test").message
    assert verifies(signed, key) == [True]
    names = [line.partition(b": ")[0] for line in found.lines]
    assert len(names) == 5
    for name, line in zip(names, found.lines, strict=True):
        altered = signed.replace(line, line[:-3] + b"xx" + line[-1:])
        assert altered != signed
        assert verifies(altered, key) == [False], name
        assert verifies(signed.replace(line + b"\r\n", b""), key) == [False], name
        assert verifies(line + b"\r\n" + signed, key) == [False], name


LONG_URL = references(unsubscribe={"url": "https://" + "h" * 192})


@given(
    st.from_regex(r"[a-z0-9]{1,64}", fullmatch=True),
    st.from_regex(r"[a-z0-9.+]{1,64}@[a-z0-9]{1,60}(\.[a-z0-9]{1,20}){1,6}", fullmatch=True),
)
def test_a_link_stands_on_one_line_and_is_read_as_it_is(name: str, address: str) -> None:
    mail = head(address, list=name, application="a" * 64)
    found = copy(LONG_URL, mail)
    assert all(len(line) <= MAX_LINE for line in found.lines)
    data = b"\r\n".join((*found.lines, render(mail, Content("x"))))
    read = email.message_from_bytes(data, policy=email.policy.SMTP)
    link = f"<https://{'h' * 192}/u/{TOKENS.unsubscribe('a' * 64, name, address)}>"
    assert str(read["List-Unsubscribe"]) == link
    assert data.count(b"List-Unsubscribe: " + link.encode() + b"\r\n") == 1


def test_a_link_that_fits_on_no_line_is_left_out() -> None:
    found = copy(references(unsubscribe={"url": "https://" + "h" * 960}), head(list="news"))
    assert not header(found, "List-Unsubscribe")
    assert not header(found, "List-Unsubscribe-Post")
