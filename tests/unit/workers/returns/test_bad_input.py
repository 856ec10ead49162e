"""Malformed, nested, huge and mislabelled messages: read as far as they go, in time and memory that
do not depend on how bad they are."""

from __future__ import annotations

import binascii
import time
import tracemalloc

import pytest

from tests.unit.workers.returns.expected import EXPECTED, TOKEN
from tests.unit.workers.returns.samples import FAILED, report, sample
from workers.returns.mime import walk
from workers.returns.read import MOST_BYTES, read
from workers.returns.trouble import Troubles

HEAD = b"From: MAILER-DAEMON@mx.example.com\nTo: x@y.example\nSubject: failure notice\n"
MULTIPART = HEAD + b'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\n\n'
STATUS = MULTIPART + b"--B\nContent-Type: message/delivery-status\n\n"
WORDS = HEAD + b"\nUnknown user:\n"
SIZE = 2_000_000
ANNA = (("anna@example.com", "failed"),)
UNDECLARED = "undeclared_multipart"

# Each unit is repeated. All of them were slow in one pattern or another, or could have been.
UNITS = {
    "one line": HEAD + b"\n" + b"x",
    "line ends": HEAD + b"\n" + b"\n",
    "carriage returns": HEAD + b"\r",
    "nothing": b"\0",
    "fields": b"To: a@example.com\n",
    "folds": HEAD + b"To: x\n" + b" a\n",
    "value": HEAD + b"To: " + b"a@b.example, ",
    "encoded words": HEAD + b"Subject: " + b"=?utf-8?q?a?= ",
    "at signs": WORDS + b"a@b ",
    "addresses beyond ASCII": WORDS + "jürgen@exämple.example\n".encode(),
    "near boundaries": MULTIPART + b"--B x\n",
    "boundaries": MULTIPART + b"--B\n",
    "blank boundaries": MULTIPART + b"--B" + b" " * 300 + b"x\n",
    "long part headers": MULTIPART + b"--B\n" + b"a: b\n" * 250 + b"\nx\n",
    "groups": STATUS + b"Final-Recipient: rfc822; a@b.example\nAction: failed\n\n",
    "groups without a blank line": STATUS + b"Final-Recipient: rfc822; a@b.example\n",
    "blank lines": STATUS + b" \n",
    "spaces in a diagnostic": STATUS
    + b"Final-Recipient: rfc822;a@b.c\nDiagnostic-Code: smtp; said:" + b" " * 1900 + b"x\n\n",
    "marks in a diagnostic": STATUS
    + b"Final-Recipient: rfc822;a@b.c\nDiagnostic-Code: smtp; " + b"#" * 1900 + b"x\n\n",
    "codes in a diagnostic": STATUS
    + b"Final-Recipient: rfc822;a@b.c\nDiagnostic-Code: smtp; " + b"5.1." * 470 + b"x\n\n",
    "tags": HEAD + b"Content-Type: text/html\n\n" + b"<p><style><",
    "brackets": HEAD + b"Content-Type: text/html\n\n" + b"<",
    "spaces": WORDS + b" " * 1999 + b"\n",
    "rules": WORDS + b"*" * 1990 + b" x a@b.example\n",
    "quotes": WORDS + b"<\"'" * 600 + b"x a@b.example\n",
    "labels": WORDS + b"a " * 45 + b"x a@b.example\n",
    "reasons": WORDS + b"reason" + b" " * 1900 + b"x\n\n",
    "refusals": WORDS + b"550 5.1.1 no <a@b.example>\n",
    "headers in text": WORDS + b"Received: x\nFrom: y\n\n",
}  # fmt: skip


def _filled(text: bytes) -> bytes:
    """The last repeatable piece of a message, as often as it takes."""
    for head in (STATUS, MULTIPART, WORDS, HEAD + b"Content-Type: text/html\n\n"):
        if text.startswith(head):
            return head + text[len(head) :] * (SIZE // len(text[len(head) :]))
    for head in (HEAD + b"\n", HEAD + b"To: x\n", HEAD + b"To: ", HEAD + b"Subject: ", HEAD, b""):
        if text.startswith(head):
            return head + text[len(head) :] * (SIZE // len(text[len(head) :]))
    raise AssertionError


@pytest.mark.parametrize("name", UNITS)
def test_time_and_memory_are_bounded(name: str) -> None:
    """2 MB: 10 to 130 ms of CPU where this was written; what is quadratic takes minutes."""
    message = _filled(UNITS[name])
    begun = time.process_time()
    read(message)
    assert time.process_time() - begun < 3


def test_memory_is_a_few_times_the_message() -> None:
    message = sample("postfix_dsn").replace(b"Thank you", b"lorem ipsum\n" * 500_000)
    tracemalloc.start()
    found = read(message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.references == (TOKEN,)
    assert peak < 3 * len(message)


def test_what_is_too_long_is_read_as_far_as_it_is_not() -> None:
    found = read(sample("postfix_dsn") + b"x" * MOST_BYTES)
    assert found.references == (TOKEN,)
    assert "too_long" in found.trouble


def test_a_thousand_multiparts_deep_ends() -> None:
    layers = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (at, at) for at in range(1000)
    )
    found = read(HEAD + layers + b"\nx\n")
    assert found.kind == "other"
    assert "too_deep" in found.trouble


def test_a_thousand_reports_deep_ends_and_the_outer_one_counts() -> None:
    message = report(FAILED)
    for _ in range(10):
        message = report(FAILED, original=message)
    layer = report(FAILED, original=b"@")
    before, _, after = layer.partition(b"@")
    deep = before * 1000 + message + after * 1000
    found = read(deep)
    assert (found.recipients[0].final_recipient, found.references) == ("anna@example.com", ())


def test_parts_are_bounded() -> None:
    many = b"--B\nContent-Type: text/plain\n\nx\n" * 1000
    troubles = Troubles()
    mail = walk(b"\n" + MULTIPART + many + b"--B--\n", 1, troubles)
    assert len(mail.parts) == 200
    assert "too_many_parts" in troubles.told()


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ((b'boundary="=b"', b'boundary="other"'), "wrong_boundary"),
        ((b'; boundary="=b"', b""), "no_boundary"),
        ((b"\n--=b--\n", b"\n"), "no_end_boundary"),
        ((b"multipart/report; report-type=delivery-status;", b"text/plain;"), UNDECLARED),
        ((b"MIME-Version: 1.0\nContent-Type: multi", b"X-Was: multi"), UNDECLARED),
        ((b"Content-Type: multipart", b"X" * 1_000_000 + b": y\nContent-Type: multipart"), ""),
        ((b"Subject: Returned", b"no colon here\nSubject: Returned"), "bad_header_line"),
        ((b"Content-Type: message/delivery-status", b"Content-Type: text/x"), "undeclared_status"),
        (
            (b"Content-Type: text/plain", b"Content-Type: text/plain; charset=x-lies"),
            "bad_charset",
        ),
        ((b"Sorry.", b"\xff\xfe\x00\x80 Sorry."), ""),
        ((b"Final-Recipient", b"\0Final-Recip\0ient"), ""),
    ],
)  # fmt: skip
def test_what_is_declared_wrongly_is_read(change: tuple[bytes, bytes], trouble: str) -> None:
    found = read(report(FAILED).replace(*change, 1))
    if change[0] != b"Final-Recipient":
        assert tuple((t.final_recipient, t.action) for t in found.recipients) == ANNA
    assert found.kind == "dsn"
    assert not trouble or trouble in found.trouble


def test_a_header_that_is_too_long_keeps_its_beginning() -> None:
    long = b"X-Filler: " + b"y" * 1_000_000 + b"\n"
    found = read(report(FAILED, top=long))
    assert "header_too_long" in found.trouble
    reference = b"X-Posthaste-Reference: " + TOKEN.encode() + b"\n"
    original = reference + b"From: a@b.example\n" + long
    assert read(report(FAILED, original=original)).references == (TOKEN,)
    assert read(report(FAILED, original=long + reference)).references == ()
    assert read(report(FAILED, original=b"X: y\n" * 6000 + reference)).references == ()


def test_of_a_part_a_megabyte_is_read() -> None:
    late = b"X-Filler: y\n" * 100_000 + FAILED
    found = read(report(late))
    assert found.recipients == ()
    assert "part_too_long" in found.trouble


def test_candidates_are_a_hundred() -> None:
    everybody = b", ".join(b"u%d@example.com" % number for number in range(300))
    found = read(report(FAILED, original=b"From: a@b.example\nTo: " + everybody + b"\n"))
    assert len(found.candidates) == 100
    assert found.candidates[0] == "anna@example.com"
    assert "too_many_addresses" in found.trouble


def test_a_uuencoded_original_in_a_bounce_in_words_is_read() -> None:
    """As Exchange without MIME returned it."""
    before, _, original = sample("qmail").partition(b"--- Below this line is a copy")
    original = original.partition(b"\n\n")[2]
    lines = [original[at : at + 45] for at in range(0, len(original), 45)]
    encoded = b"begin 600 original.txt\n" + b"".join(map(binascii.b2a_uu, lines)) + b"`\nend\n"
    assert read(before + encoded).references == (TOKEN,)


@pytest.mark.parametrize(
    "charset", ["us-ascii", "iso-2022-jp", "gb2312", "utf-8", "utf-16", "idna"]
)
def test_a_charset_that_lies_hides_nothing(charset: str) -> None:
    lying = sample("mfilter").replace(b"charset=utf-8", b"charset=" + charset.encode())
    found = read(lying)
    if charset in ("us-ascii", "utf-8", "idna", "iso-2022-jp"):
        assert found.kind == EXPECTED["mfilter"].kind
        assert found.recipients[0].code == 550


@pytest.mark.parametrize("message", [b"", b"\n", b"\r", b"\0", b":", b"\n\n\n", b"From ", b"--\n"])
def test_next_to_nothing_is_other(message: bytes) -> None:
    assert read(message).kind == "other"


@pytest.mark.parametrize("blank", ["\x1c", "\u2003", "\u00a0 \u2028"])
def test_a_reference_of_nothing_but_white_space_is_none(blank: str) -> None:
    text = f"X-Posthaste-Reference: {blank}\nFrom: a@b.example\nSubject: x\n\nx\n"
    part = b"Content-Type: message/rfc822\n\n" + text.encode()
    found = read(STATUS + b"Final-Recipient: rfc822; a@b.example\nAction: failed\n\n--B\n" + part)
    assert (found.kind, found.references, found.returned) == ("dsn", (), True)
