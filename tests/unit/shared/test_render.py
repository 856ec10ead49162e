"""Rendering: what a reader sees is what was meant, whatever the text holds (B1 to B7)."""

from __future__ import annotations

import email
import email.policy
import email.utils
import os
import re
from email.header import decode_header, make_header
from typing import Any

import fast_mail_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.message import Address, Attachment, Content, Head, Recipient
from shared.render import render
from shared.render.bodies import encode_text
from web.validation.head import OURS, check_head
from web.validation.report import Report
from workers.smtp.transaction import stuff

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


def test_b6_a_boundary_that_stands_in_a_part_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [b"\1" * 16, b"\2" * 16, b"\3" * 16, b"\4" * 16, b"\5" * 16]
    inner = f"X: --=_{drawn[3].hex()}--\r\n\r\nx\r\n".encode()
    content = Content(
        text=f"--=_{drawn[0].hex()}\nContent-Type: text/html\n",
        html=f"<p>a=_{drawn[1].hex()}",
        attachments=(Attachment("m.eml", "message/rfc822", inner),),
    )
    left = list(drawn)
    monkeypatch.setattr(os, "urandom", lambda size: left.pop(0))
    data = render(head(), content)
    found = [part.get_boundary() for part in parse(data).walk() if part.get_boundary()]
    assert found == [f"=_{drawn[4].hex()}", f"=_{drawn[2].hex()}"]
    alternative, attached = parse(data).get_payload()
    assert [part.get_content_type() for part in alternative.get_payload()] == [
        "text/plain", "text/html",
    ]  # fmt: skip
    assert attached.get_content_type() == "message/rfc822"


def test_a_page_with_its_images_names_the_root_of_the_two() -> None:
    """RFC 2387 section 3.1: `type` is the root's type, and it must be there."""
    content = Content("t", "<img src=cid:l>", (), (), (Attachment("l.png", "image/png", PNG, "l"),))
    (related,) = [
        part
        for part in parse(render(head(), content)).walk()
        if part.get_content_type() == "multipart/related"
    ]
    assert related.get_param("type") == "text/html"
    assert related.get_payload()[0].get_content_type() == "text/html"
    assert related.get_param("boundary")


def test_every_multipart_around_8_bit_lines_says_so() -> None:
    """RFC 2045 section 6.4, at each level; what holds 7-bit parts alone says nothing."""
    inline = Attachment("m.eml", "message/rfc822", b"A: b\r\n\r\nhell\xc3\xb6\r\n", "m")
    pdf = Attachment("a.pdf", "application/pdf", b"x")
    content = Content("t", "h", attachments=(inline, pdf))
    kinds = {
        part.get_content_type(): part["Content-Transfer-Encoding"]
        for part in parse(render(head(), content)).walk()
        if part.is_multipart() and part.get_content_maintype() == "multipart"
    }
    assert kinds == {
        "multipart/mixed": "8bit", "multipart/alternative": "8bit", "multipart/related": "8bit",
    }  # fmt: skip
    seven = parse(render(head(), content, seven_bit=True))
    assert [part["Content-Transfer-Encoding"] for part in seven.walk() if part.is_multipart()] == [
        None, None, None,
    ]  # fmt: skip


def test_the_date_of_a_scheduled_message_is_when_it_goes() -> None:
    at = head().accepted_ms
    later = parse(render(head(send_at_ms=at + 3_600_000), Content("x")))
    assert later["Date"] == "Fri, 15 Jan 2027 09:00:00 +0000"
    past = parse(render(head(send_at_ms=at - 3_600_000), Content("x")))
    assert past["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"


@pytest.mark.parametrize("name", ["Auto-Submitted", "AUTO-SUBMITTED", "auto-submitted"])
def test_auto_submitted_stands_once(name: str) -> None:
    message = parse(render(head(), Content("x", headers=((name, "auto-replied"),))))
    assert message.get_all("Auto-Submitted") == ["auto-replied"]
    assert parse(render(head(), Content("x")))["Auto-Submitted"] == "auto-generated"


STRUCTURED = [
    ("List-Unsubscribe", "<https://x.test/u/dG9rZW4=?list=5>"),
    ("List-Unsubscribe", f"<https://x.test/{'u' * 950}>"),
    ("List-Unsubscribe", f"<https://x.test/{'u' * 950}>, <mailto:u@x.test?subject=a>"),
    ("LIST-ID", "A list  of ours <a.b.test>"),
    ("References", " ".join(f"<{'r' * 40}{n}=?x?=@a.test>" for n in range(60))),
    ("In-Reply-To", "  <a@b.test>  "),
    ("References", "<a@b.test>" + " " * 300 + "<c@d.test>"),
    ("Feedback-ID", "a=?b:c:d:e"),
    ("ARC-Seal", "i=1; a=rsa-sha256; b=" + "x" * 940),
]


@pytest.mark.parametrize(("name", "value"), STRUCTURED)
def test_headers_with_a_grammar_are_folded_and_never_encoded(name: str, value: str) -> None:
    """RFC 2047 section 5 allows no encoded word in them."""
    data = render(head(), Content("x", headers=((name, value),)))
    check_wire(data)
    raw = data.partition(f"{name}: ".encode())[2].partition(b"\r\nContent-Type")[0]
    lines = raw.decode().split("\r\n")
    assert all(line.strip() for line in lines)
    assert [line[:1] for line in lines[1:]] == [" "] * (len(lines) - 1)
    assert "".join(lines).split() == value.split()


def test_b5_what_would_have_had_to_be_refused_still_makes_no_long_line() -> None:
    """Such as what an earlier release has accepted."""
    given = (("References", "<é@a.test>"), ("List-Help", f"<https://x.test/{'u' * 2000}>"))
    check_wire(render(head(), Content("x", headers=given)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    texts=st.lists(header_text, min_size=1, max_size=8),
    words=st.lists(
        st.sampled_from(["a", "b" * 70, "c" * 76, "d" * 901, "é", '"', "=?"]), max_size=40
    ),
)
def test_b5_the_head_is_never_larger_than_validation_counts(
    texts: list[str], words: list[str]
) -> None:
    """`check_head` refuses at one octet less than the least limit that it allows."""
    given = tuple((f"X-{n}", text) for n, text in enumerate(texts))
    long = " ".join(words)
    people = tuple(Recipient("to", f"p{n}@b.test", text) for n, text in enumerate([*texts, long]))
    message = head(long, recipients=people)
    content = Content("x", reply_to=(Address("r@b.test", long),), headers=given)
    size = len(render(message, content).partition(b"\r\n\r\n")[0])

    def allows(limit: int) -> bool:
        report = Report()
        check_head(
            message.sender, message.recipients, message.subject, content, report, limit_bytes=limit
        )
        return not report.errors

    assert not allows(size - 1)
    assert allows(2 * size + 160 * (len(people) + len(given)) + OURS)


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


def test_b5_an_attached_message_with_8_bit_lines() -> None:
    part = Attachment("m.eml", "message/rfc822", b"Subject: a\r\n\r\nhell\xc3\xb6\r\n")
    content = Content(text="t", html="h", attachments=(part,))
    data = render(head(), content)
    assert not data.isascii()
    message = parse(data)
    assert message["Content-Transfer-Encoding"] == "8bit"
    found = message.get_payload()[1]
    assert (found.get_content_type(), found["Content-Transfer-Encoding"]) == (
        "message/rfc822", "8bit",
    )  # fmt: skip
    assert b"hell\xc3\xb6\r\n" in data
    seven = render(head(), content, seven_bit=True)
    check_wire(seven)
    found = parse(seven).get_payload()[1]
    assert found.get_content_type() == "application/octet-stream"
    assert found.get_payload(decode=True) == part.content


def test_a_text_is_derived_from_html() -> None:
    page = (
        "<html><head><title>no</title><style>p {}</style></head><body><h1>Reset</h1>"
        "<p>Hi &amp; welcome,</p>"
        '<p><a href="https://x.test/reset?t=1&amp;u=2">Choose a password</a>'
        "</p><table><tr><td>Order</td><td>1001</td></tr></table><script>no()</script></body></html>"
    )
    data = render(head(), Content(html=page))
    check_wire(data)
    text, html = parse(data).get_payload()
    assert text.get_content_type() == "text/plain"
    lines = [line.strip() for line in text.get_payload(decode=True).decode().split("\r\n")]
    assert "Reset" in lines
    assert "Hi & welcome," in lines
    assert "[Choose a password](https://x.test/reset?t=1&u=2)" in lines
    assert any(line.split() == ["Order", "1001"] for line in lines)
    assert "no" not in " ".join(lines).split()
    assert html.get_payload(decode=True).decode().rstrip() == page


@pytest.mark.parametrize(
    "html",
    ["", "  ", "<img src='cid:x'>", "<!-- x -->", "<" * 5000, "<div>" * 20_000 + "x", "\0", "&#0;",
     "<?xml version='1.0' encoding='utf-8'?><p></p>", "<p>" + "x" * (512 * 1024)],
)  # fmt: skip
def test_odd_html_harms_nothing(html: str) -> None:
    data = render(head(), Content(html=html))
    check_wire(data)
    message = parse(data)
    parts = [part for part in message.walk() if part.get_content_type() == "text/html"]
    assert len(parts) == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(body_text)
def test_any_html_gives_a_clean_message(html: str) -> None:
    check_wire(render(head(), Content(html=html)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    subject=header_text, name=header_text, text=body_text, html=body_text,
    filename=header_text.filter(bool), blob=st.binary(max_size=300),
)  # fmt: skip
def test_a_second_parser_sees_the_same(
    subject: str, name: str, text: str, html: str, filename: str, blob: bytes
) -> None:
    """The one of Rust's mailparse, beside the standard library's."""
    content = Content(
        text=text,
        html=html,
        reply_to=(Address("reply@a.test", name),),
        attachments=(Attachment(filename, "application/pdf", blob),),
    )
    found = fast_mail_parser.parse_email(render(head(subject), content))
    assert set(found.headers) == {
        "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted",
        "Reply-To", "Content-Type",
    }  # fmt: skip
    assert all(len(values) == 1 for values in found.headers.values())
    assert found.subject == subject
    assert found.to[0].address == "to@b.test"
    assert found.reply_to[0].address == "reply@a.test"
    assert [as_sent(each) for each in found.text_plain] == [as_sent(text)]
    assert [as_sent(each) for each in found.text_html] == [as_sent(html)]
    (attachment,) = found.attachments
    assert attachment.content == blob
    assert attachment.mimetype == "application/pdf"


def as_sent(text: str) -> str:
    """A text with the line ends that a parser may have made of CRLF, none at the end."""
    return re.sub(r"\r\n|\r|\n", "\n", text).rstrip("\n")


SMUGGLED = [
    "\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\r", "\r\n.\n", "\r\n.\r\r\n",
    "\r\r\n.\r\r\n", "\r\n\0.\r\n", "\r\n.\r\n", "\r\n.\0\r\n", "\n\n.\n\n", ".\r\n",
]  # fmt: skip


@pytest.mark.parametrize("sequence", SMUGGLED)
def test_b4_no_input_ends_the_data_early(sequence: str) -> None:
    text = f"a{sequence}MAIL FROM:<evil@a.test>{sequence}b"
    blob = text.encode()
    content = Content(
        text=text,
        html=f"<p>{text}</p>",
        attachments=(
            Attachment("a.txt", "text/plain", blob),
            Attachment("m.eml", "message/rfc822", blob),
            Attachment("i.png", "image/png", blob, "logo"),
        ),
    )
    data = render(head(), content)
    check_wire(data)
    wire = stuff(data) + b".\r\n"
    assert wire.count(b"\r\n.\r\n") == 1
    assert wire.endswith(b"\r\n.\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", wire)
    alone = render(head(), Content(text=sequence + text))
    assert (stuff(alone) + b".\r\n").count(b"\r\n.\r\n") == 1


def test_b5_nothing_is_longer_than_a_line_may_be() -> None:
    long = "x" * 5000
    content = Content(
        text=long, html=long, headers=(("X-Long", long), ("X-Words", "word " * 900 + "x")),
        reply_to=tuple(Address(f"{'a' * 60}{n}@b.test", "Some Name " * 20) for n in range(40)),
        attachments=(Attachment("é" * 80 + ".pdf", "application/pdf", b"x" * 3000),
                     Attachment("m.eml", "message/rfc822", b"X: " + b"y" * 2000 + b"\r\n\r\n")),
    )  # fmt: skip
    people = tuple(Recipient("to", f"{'p' * 60}{n}@b.test", "Ü" * 100) for n in range(50))
    data = render(head(long, recipients=people), content)
    check_wire(data)
    top = data.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 320 for line in top.split(b"\r\n"))


def test_b7_a_path_stays_a_name() -> None:
    name = '../../etc/pass\u202ewd"; x=y.exe'
    part = Attachment(name, "application/pdf", b"x")
    found = parse(render(head(), Content(text="t", attachments=(part,)))).get_payload()[1]
    assert [key for key, _ in found.get_params(header="Content-Disposition")] == [
        "attachment", "filename",
    ]  # fmt: skip
    assert email.utils.collapse_rfc2231_value(found.get_filename()) == name
