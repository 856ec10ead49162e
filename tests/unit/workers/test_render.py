"""Rendering: what a reader sees is what was meant, whatever the text holds (B1 to B7)."""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.message import Address, Attachment, Content, Head, Recipient
from workers.render import needs_smtputf8, render
from workers.render.bodies import encode_text

PNG = bytes(range(256)) * 3
# What validation lets through to headers: no C0, C1, DEL, line or paragraph separators.
header_text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120).map(
    lambda text: text.strip()
)
body_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)


def head(subject: str = "Hello", **fields: Any) -> Head:
    values: dict[str, Any] = {
        "application": "app",
        "message_class": "transactional",
        "message_id": "<1@a.test>",
        "sender": Address("from@a.test", "Sender"),
        "return_path": "from@a.test",
        "recipients": (Recipient("to", "to@b.test", "Receiver"),),
        "accepted_ms": 1_800_000_000_000,
        **fields,
    }
    return Head(subject=subject, **values)


def parse(data: bytes) -> Any:
    return email.message_from_bytes(data, policy=email.policy.compat32)


def shown(value: Any) -> str:
    return str(make_header(decode_header(str(value))))


def check_wire(data: bytes) -> None:
    """RFC 5322: CRLF only together, no NUL, no line over 998 octets."""
    rest = data.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert b"\0" not in data
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert data.endswith(b"\r\n")
    assert data.isascii()


def test_the_headers_and_nothing_else() -> None:
    message = parse(render(head(), Content(text="x", headers=(("X-One", "1"),))))
    assert message.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "X-One",
        "Content-Type", "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert message["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"


def test_bcc_is_never_shown() -> None:
    people = (Recipient("bcc", "secret@b.test"),)
    data = render(head(recipients=people), Content(text="x"))
    assert b"secret" not in data
    assert b"To: undisclosed-recipients:;" in data


@settings(max_examples=300, deadline=None, derandomize=True)
@given(subject=header_text, name=header_text, value=header_text)
def test_b1_b2_headers_round_trip(subject: str, name: str, value: str) -> None:
    people = (Recipient("to", "to@b.test", name),)
    data = render(head(subject, recipients=people), Content(text="x", headers=(("X-V", value),)))
    check_wire(data)
    message = parse(data)
    assert len(message.keys()) == 10
    assert shown(re.sub(r"\r\n", "", message["Subject"])) == subject
    assert shown(re.sub(r"\r\n", "", message["X-V"])) == value
    ((seen, address),) = email.utils.getaddresses([message["To"]])
    assert address == "to@b.test"
    assert shown(re.sub(r"\r\n", "", seen)).strip() == name.strip()


@pytest.mark.parametrize(
    "text",
    ["=?utf-8?q?hi=0ABcc=3A_evil=40x?=", "=?utf-8?q?victim=40evil=2Ecom=3E?=", "a =?b", "=?x?q??="],
)
def test_b2_what_looks_encoded_is_shown_literally(text: str) -> None:
    people = (Recipient("to", "to@b.test", text),)
    data = render(head(text, recipients=people), Content(text="x"))
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    assert parsed["Subject"] == text
    (address,) = parsed["To"].addresses
    assert (address.display_name, address.addr_spec) == (text, "to@b.test")
    assert "Bcc" not in parsed


@pytest.mark.parametrize("control", ["\r\n", "\n", "\0", "\x85", "\u2028"])
def test_b1_a_control_character_that_gets_here_is_an_error(control: str) -> None:
    with pytest.raises(ValueError, match="control"):
        render(head(f"a{control}b"), Content(text="x"))


def meant(text: str) -> str:
    """Line ends as they arrive, with one at the end."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return unified if unified.endswith("\n") else unified + "\n"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=body_text, html=body_text)
def test_b4_b5_bodies_round_trip(text: str, html: str) -> None:
    data = render(head(), Content(text=text, html=html))
    check_wire(data)
    message = parse(data)
    assert message.get_content_type() == "multipart/alternative"
    for part, wanted in zip(message.get_payload(), (text, html), strict=True):
        content = part.get_payload(decode=True).decode("utf-8")
        assert content.replace("\r\n", "\n").rstrip("\n") == meant(wanted).rstrip("\n")


@pytest.mark.parametrize(
    "text",
    ["\n.\n", "\r.\r", "\r\n.\r\n", "\n.\r\n", "\r\n.\r", "\r\r\n.\r\r\n", "a\0.\r\n", "." * 2000],
)
def test_b4_smuggling_sequences_become_harmless(text: str) -> None:
    check_wire(render(head(), Content(text=text, html=text)))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", b"7bit"),
        ("x" * 991, b"quoted-printable"),
        ("Grüße, " + "x" * 200, b"quoted-printable"),
        ("日本語" * 200, b"base64"),
        ("tab\tis fine", b"7bit"),
        ("a\0b", b"quoted-printable"),
    ],
)
def test_the_shortest_safe_encoding(text: str, encoding: bytes) -> None:
    assert encode_text(text)[0] == encoding


def test_the_nesting_of_parts() -> None:
    content = Content(
        text="t",
        html='<img src="cid:logo">',
        attachments=(
            Attachment("logo.png", "image/png", PNG, "logo"),
            Attachment("a.pdf", "application/pdf", b"pdf"),
        ),
    )
    message = parse(render(head(), content))
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html",
        "image/png", "application/pdf",
    ]  # fmt: skip
    image = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert image.get_payload(decode=True) == PNG
    assert image["Content-ID"] == "<logo>"
    assert str(image["Content-Disposition"]).startswith("inline")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(name=header_text.filter(bool))
def test_b7_file_names_round_trip(name: str) -> None:
    part = Attachment(name, "application/pdf", b"x")
    data = render(head(), Content(text="t", attachments=(part,)))
    check_wire(data)
    found = parse(data).get_payload()[1]
    seen = email.utils.collapse_rfc2231_value(found.get_filename())
    assert seen == name


def test_b6_boundaries_are_random_and_absent() -> None:
    content = Content(text="t", html="h")
    first, second = (parse(render(head(), content)).get_boundary() for _ in range(2))
    assert first != second
    assert len(first) >= 34


def test_an_attached_message_is_never_base64() -> None:
    clean = Attachment("m.eml", "message/rfc822", b"Subject: a\r\n\r\nhello\r\n")
    dirty = Attachment("m.eml", "message/rfc822", b"Subject: a\n\nhell\xf6")
    data = render(head(), Content(text="t", attachments=(clean, dirty)))
    check_wire(data)
    first, second = parse(data).get_payload()[1:]
    assert first.get_content_type() == "message/rfc822"
    assert first["Content-Transfer-Encoding"] == "7bit"
    assert second.get_content_type() == "application/octet-stream"
    assert second.get_payload(decode=True) == dirty.content


def test_a_non_ascii_local_part_makes_it_smtputf8() -> None:
    assert not needs_smtputf8(head())
    assert needs_smtputf8(head(recipients=(Recipient("to", "jörg@b.test"),)))
