"""DKIM: what we sign another verifier accepts, and no change of it goes unnoticed (B43)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import SystemClock
from shared.dkim import Key, generate, keys_from, nearest, to_pem, zone_line
from shared.errors import ConfigError
from shared.model.message import Address, Attachment, Content, Head, Recipient
from shared.outgoing_settings import DkimSettings
from shared.render import render
from tests.support.dkim_keys import ed25519_key, rsa_key, verifies
from workers.sign import Dkim, relaxed_body, relaxed_header

WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505  # To be refused.
RSA, ED = rsa_key(), ed25519_key()
header_text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120)
body_text = st.text(
    st.one_of(st.sampled_from(" \t\n.\r"), st.characters(exclude_categories=["Cs"])), max_size=600
)


def rendered(content: Content | None = None, **fields: Any) -> bytes:
    values: dict[str, Any] = {
        "application": "app", "message_class": "transactional", "message_id": "<1@shop.test>",
        "sender": Address("orders@shop.test", "Shop"), "return_path": "orders@shop.test",
        "recipients": (Recipient("to", "to@b.test", "Receiver"),), "subject": "Your order",
        "accepted_ms": 1_800_000_000_000, **fields,
    }  # fmt: skip
    return render(Head(**values), content or Content(text="x  y \n\n\n", html="<p>\tz</p>"))


def signed(
    message: bytes, *keys: Key, domain: str = "shop.test", skip: tuple[str, ...] = ()
) -> bytes:
    by_domain: dict[str, tuple[Key, ...]] = {}
    for key in keys:
        by_domain[key.domain] = (*by_domain.get(key.domain, ()), key)
    return Dkim(by_domain, SystemClock()).sign(message, domain, skip).message


def tag(message: bytes, name: str) -> str:
    head = message.partition(b"\r\n\r\n")[0].decode()
    value = re.sub(r"\r\n\s+", " ", head).split("\r\n")[0]
    found = dict(part.strip().split("=", 1) for part in value.partition(":")[2].split(";"))
    return re.sub(r"\s", "", found.get(name, ""))


@pytest.mark.parametrize("keys", [(RSA,), (ED,), (RSA, ED)])
def test_b43_another_verifier_accepts_it(keys: tuple[Key, ...]) -> None:
    before = rendered()
    message = signed(before, *keys)
    assert verifies(message, *keys) == [True] * len(keys)
    assert message.endswith(before)
    assert message.count(b"DKIM-Signature:") == len(keys)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(subject=header_text, name=header_text, text=body_text, html=body_text, blob=st.binary())
def test_b43_whatever_the_message_holds(
    subject: str, name: str, text: str, html: str, blob: bytes
) -> None:
    content = Content(
        text=text,
        html=html,
        headers=(("List-Unsubscribe", f"<https://shop.test/{'u' * 60}>, <mailto:u@shop.test>"),),
        attachments=(Attachment("a.bin", "application/octet-stream", blob),),
    )
    sender = Address("orders@shop.test", name.strip())
    message = signed(rendered(content, subject=subject.strip(), sender=sender), ED)
    assert verifies(message, ED) == [True]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text(st.sampled_from("ab \t."), max_size=12)))
def test_the_body_is_canonical_as_the_rfc_has_it(lines: list[str]) -> None:
    """RFC 6376 section 3.4.4, line by line, against the fast form."""
    body = "".join(line + "\r\n" for line in lines).encode()
    slow = [re.sub(rb"[ \t]+", b" ", line.encode()).rstrip(b" ") for line in lines]
    while slow and not slow[-1]:
        slow.pop()
    assert relaxed_body(body) == b"".join(line + b"\r\n" for line in slow)


def test_the_examples_of_the_rfc() -> None:
    assert relaxed_header(b"B ", b" Y\t\r\n\tZ  ") == b"b:Y Z"
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"
    assert relaxed_body(b"\r\n\r\n") == b""


CHANGES = [
    (b"Subject: Your order", b"Subject: Pay here"),
    (b"From: Shop", b"From: Evil"),
    (b"To: Receiver", b"To: Somebody"),
    (b"2027", b"2028"),
    (b"<1@shop.test>", b"<2@shop.test>"),
    (b"<p>", b"<b>"),
    (b"multipart/alternative", b"multipart/mixed"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_b43_a_change_is_noticed(old: bytes, new: bytes) -> None:
    message = signed(rendered(), ED)
    assert old in message
    assert verifies(message.replace(old, new, 1), ED) == [False]


@pytest.mark.parametrize(
    "header",
    ["From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version",
     "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post"],
)  # fmt: skip
def test_b43_a_header_put_in_front_is_noticed(header: str) -> None:
    message = signed(rendered(), ED)
    assert verifies(f"{header}: x@evil.test\r\n".encode() + message, ED) == [False]
    assert verifies(b"X-Other: fine\r\n" + message, ED) == [True]


LISTS = [
    "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Subscribe",
    "List-Owner", "List-Post", "List-Archive", "Feedback-ID", "Auto-Submitted", "References",
    "In-Reply-To",
]  # fmt: skip


@pytest.mark.parametrize("header", LISTS)
def test_b43_a_second_header_of_a_list_is_noticed(header: str) -> None:
    message = signed(rendered(Content(text="x", headers=((header, "<a@b.test>"),))), ED)
    assert verifies(message, ED) == [True]
    assert tag(message, "h").split(":").count(header.lower()) == 2
    assert verifies(f"{header}: <x@evil.test>\r\n".encode() + message, ED) == [False]
    head, _, body = message.partition(b"\r\n\r\n")
    added = head + f"\r\n{header}: <x@evil.test>\r\n\r\n".encode() + body
    assert verifies(added, ED) == [False]
    assert verifies(message.replace(b"<a@b.test>", b"<c@b.test>"), ED) == [False]


def test_b43_the_body_cannot_be_added_to() -> None:
    message = signed(rendered(), ED)
    assert "l=" not in message.partition(b"bh=")[0].decode()
    assert tag(message, "l") == ""
    assert verifies(message + b"more\r\n", ED) == [False]
    assert verifies(message + b"\r\n\r\n", ED) == [True], "relaxed: empty lines at the end"


def test_the_tags() -> None:
    message = signed(rendered(), RSA)
    assert [tag(message, name) for name in "vacds"] == [
        "1", "rsa-sha256", "relaxed/relaxed", "shop.test", "s1",
    ]  # fmt: skip
    names = tag(message, "h").split(":")
    for name in ("from", "to", "subject", "date", "message-id", "mime-version", "content-type"):
        assert names.count(name) == 2, name
    assert "bcc" not in names
    assert "dkim-signature" not in names
    head = message.partition(b"From: ")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


def test_headers_that_a_relay_rewrites_are_left_out() -> None:
    message = signed(rendered(), ED, skip=("date", "message-id"))
    names = tag(message, "h").split(":")
    assert "date" not in names
    assert "message-id" not in names
    changed = message.replace(b"<1@shop.test>", b"<rewritten@relay.test>").replace(b"2027", b"2028")
    assert verifies(changed, ED) == [True]


def test_several_headers_of_one_name_are_all_signed() -> None:
    two = (("References", "<a@b.test>"), ("references", "<c@d.test>"))
    message = signed(rendered(Content(text="x", headers=two)), ED)
    assert tag(message, "h").split(":").count("references") == 3
    assert verifies(message, ED) == [True]


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        ("shop.test", "shop.test"),
        ("mail.shop.test", "shop.test"),
        ("a.eu.shop.test", "eu.shop.test"),
        ("othershop.test", None),
        ("test", None),
        ("", None),
    ],
)
def test_the_key_of_the_nearest_domain(domain: str, found: str | None) -> None:
    assert nearest(frozenset({"shop.test", "eu.shop.test"}), domain) == found
    key = ed25519_key(found) if found else ED
    message = Dkim({key.domain: (key,)}, SystemClock()).sign(rendered(), domain)
    assert message.signatures == (1 if found else 0)


def entry(path: Path, data: bytes, **fields: str) -> DkimSettings:
    path.write_bytes(data)
    return DkimSettings(**{"domain": "shop.test", "selector": "s1", "key_file": str(path)} | fields)


def test_keys_are_read_from_the_settings(tmp_path: Path) -> None:
    first = entry(tmp_path / "a", to_pem(RSA.private), domain="Shöp.test")
    second = entry(tmp_path / "b", to_pem(ED.private), domain="shöp.test", selector="e1")
    keys = keys_from([first, second])
    assert list(keys) == ["xn--shp-tna.test"]
    assert [key.kind for key in keys["xn--shp-tna.test"]] == ["rsa", "ed25519"]


def pem(key: Any, encryption: Any = None) -> bytes:
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return data


@pytest.mark.parametrize(
    ("data", "fields", "words"),
    [
        (pem(WEAK), {}, "1024 bits"),
        (pem(dsa.generate_private_key(2048)), {}, "RSA and Ed25519"),
        (pem(ED.private, BestAvailableEncryption(b"x")), {}, "pass phrase"),
        (b"nonsense", {}, "PEM"),
        (to_pem(ED.private), {"domain": ""}, "not a domain"),
        (to_pem(ED.private), {"domain": "localhost"}, "not a domain"),
        (to_pem(ED.private), {"selector": ""}, "selector"),
        (to_pem(ED.private), {"selector": "a b"}, "selector"),
        (to_pem(ED.private), {"key_file": ""}, "posthaste dkim generate"),
        (to_pem(ED.private), {"key_file": "/nowhere/at/all"}, "cannot read"),
    ],
)
def test_b43_a_wrong_key_is_an_error(
    tmp_path: Path, data: bytes, fields: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=r"dkim\[0\]") as caught:
        keys_from([entry(tmp_path / "key", data, **fields)])
    assert words in str(caught.value)


def test_two_keys_of_a_kind_are_an_error(tmp_path: Path) -> None:
    entries = [
        entry(tmp_path / name, to_pem(generate("ed25519")), selector=name) for name in ("a", "b")
    ]
    with pytest.raises(ConfigError, match="two ed25519 keys"):
        keys_from(entries)


def test_the_record_fits_a_zone_file() -> None:
    line = zone_line(RSA)
    strings = re.findall(r'"([^"]*)"', line)
    assert "".join(strings) == RSA.record
    assert all(len(each) <= 255 for each in strings)
    assert len(strings) == 2
    assert line.startswith("s1._domainkey.shop.test. 3600 IN TXT ( ")
    assert ED.record.startswith("v=DKIM1; k=ed25519; p=")
