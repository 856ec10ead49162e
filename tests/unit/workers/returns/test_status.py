"""Delivery status parts: their fields, and what servers make of them (RFC 3464, RFC 6533)."""

from __future__ import annotations

import base64
import binascii
import quopri

import pytest

from tests.unit.workers.returns.samples import FAILED, report, sample
from workers.returns.mailboxes import checked, raw, typed
from workers.returns.read import read
from workers.returns.report import Told


def _one(status: bytes) -> Told:
    (told,) = read(report(status)).recipients
    return told


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; anna@example.com", "anna@example.com"),
        ("RFC822;<anna@EXAMPLE.com>", "anna@example.com"),
        ("anna@example.com", "anna@example.com"),
        ("<anna@example.com>", "anna@example.com"),
        ("rfc822; Anna <anna@example.com>", "anna@example.com"),
        ("rfc822; <@relay.example,@b.example:anna@example.com>", "anna@example.com"),
        ("rfc822; mailto:anna@example.com", "anna@example.com"),
        ("rfc822; anna+2Bnews@example.com", "anna+news@example.com"),
        ("rfc822; anna+3Dnews@example.com", "anna=news@example.com"),
        ("rfc822; anna+CAFE@example.com", "anna+CAFE@example.com"),
        ("utf-8; j\\x{FC}rgen@example.com", "jürgen@example.com"),
        ("utf-8; jürgen@exämple.com", "jürgen@xn--exmple-cua.com"),
        ("x400; /C=us/ADMD=x/", ""),
        ("rfc822; root", ""),
        ('rfc822; "a b"@example.com', ""),
        ("rfc822; a@b@c", ""),
        ("", ""),
        ("utf-8; \\x{D800}@example.com", ""),
        ("utf-8; \\x{110000}@example.com", ""),
    ],
)
def test_an_address_is_what_was_written_to(value: str, address: str) -> None:
    assert typed(value) == address


def test_what_may_be_xtext_is_a_candidate_in_both_readings() -> None:
    status = FAILED.replace(b"Action", b"Original-Recipient: rfc822;bob+2Bx@example.com\nAction")
    found = read(report(status))
    assert found.recipients[0].original_recipient == "bob+x@example.com"
    assert {"bob+x@example.com", "bob+2Bx@example.com"} <= set(found.candidates)
    assert raw("rfc822;bob+2Bx@example.com") == "bob+2Bx@example.com"


@pytest.mark.parametrize("address", ["", "@", "a@", "@b", "a b@example.com", "a@\x00", "x" * 400])
def test_what_is_no_address_is_none(address: str) -> None:
    assert checked(address) == ""


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (b"failed", "dsn"),
        (b"FAILED (permanently)", "dsn"),
        (b"expired", "dsn"),
        (b"delayed", "delayed"),
        (b"delivered", "delivered"),
        (b"relayed", "relayed"),
        (b"expanded", "relayed"),
    ],
)
def test_the_action_decides_not_the_status(action: bytes, kind: str) -> None:
    """A delay with a permanent code is a delay: the server goes on trying."""
    assert read(report(FAILED.replace(b"failed", action))).kind == kind


def test_without_an_action_the_class_of_the_status_counts() -> None:
    bare = FAILED.replace(b"Action: failed\n", b"")
    assert read(report(bare)).kind == "dsn"
    assert read(report(bare.replace(b"5.1.1", b"4.2.0").replace(b"550", b"450"))).kind == "delayed"
    assert "no_action" in read(report(bare)).trouble


def test_a_status_that_says_nothing_gives_way_to_the_servers_words() -> None:
    assert _one(FAILED.replace(b"Status: 5.1.1", b"Status: 5.0.0")).status == "5.1.1"
    assert _one(FAILED.replace(b"Status: 5.1.1", b"Status: 5.2.2")).status == "5.2.2"
    assert _one(FAILED.replace(b"Status: 5.1.1", b"Status: 4.0.0")).status == "4.0.0"


def test_words_that_lack_a_fold_belong_to_the_value_before() -> None:
    told = _one(FAILED.replace(b"No such user", b"No such\nuser: https://example.com/x\nnor any"))
    assert told.diagnostic == "550 5.1.1 No such user: https://example.com/x nor any"


def test_recipients_without_a_blank_line_between_them_are_two() -> None:
    second = b"Final-Recipient: rfc822; ben@example.com\nAction: delayed\nStatus: 4.2.2\n"
    found = read(report(FAILED + second))
    assert [(t.final_recipient, t.action) for t in found.recipients] == [
        ("anna@example.com", "failed"),
        ("ben@example.com", "delayed"),
    ]
    assert found.kind == "dsn"


def test_a_blank_line_within_a_group_does_not_part_it() -> None:
    told = _one(FAILED.replace(b"\nAction", b"\n\nAction"))
    assert (told.final_recipient, told.action, told.status) == (
        "anna@example.com", "failed", "5.1.1",
    )  # fmt: skip


def test_what_came_in_between_is_in_the_report() -> None:
    found = read(sample("postfix_dsn"))
    (told,) = found.recipients
    assert told.remote_mta == "mx2.example.com"
    assert told.diagnostic_type == "smtp"
    assert found.reporting_mta == "mx.example.com"


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode"])
def test_an_encoded_status_is_read(encoding: str) -> None:
    status = FAILED.replace(b"\n", b"\r\n")
    chunks = [status[at : at + 45] for at in range(0, len(status), 45)]
    encoded = {
        "base64": base64.encodebytes(status),
        "quoted-printable": quopri.encodestring(FAILED),
        "x-uuencode": b"begin 644 status\n" + b"".join(map(binascii.b2a_uu, chunks)) + b"`\nend\n",
    }[encoding]
    (told,) = read(report(encoded, encoding=encoding.encode())).recipients
    assert (told.final_recipient, told.code) == ("anna@example.com", 550)


def test_what_says_that_it_is_encoded_and_is_not_is_read() -> None:
    found = read(report(FAILED, encoding=b"base64"))
    assert found.recipients[0].final_recipient == "anna@example.com"
    assert "bad_encoding" in found.trouble


def test_of_many_recipients_a_hundred_are_kept() -> None:
    groups = b"".join(
        b"Final-Recipient: rfc822; u%d@example.com\nAction: failed\nStatus: 5.1.1\n\n" % number
        for number in range(300)
    )
    found = read(report(b"Reporting-MTA: dns; mx.example.com\n\n" + groups))
    assert len(found.recipients) == len(found.candidates) == 100
    assert "too_many_recipients" in found.trouble
