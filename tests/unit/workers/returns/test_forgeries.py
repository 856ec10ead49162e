"""What must not count as the returned message: its header alone tells whose copy it was (B39)."""

from __future__ import annotations

from tests.unit.workers.returns.expected import TOKEN
from tests.unit.workers.returns.samples import FAILED, report, sample
from workers.returns.read import read

REFERENCE = b"X-Posthaste-Reference: " + TOKEN.encode() + b"\n"
PATH = b"Return-Path: <b-" + TOKEN.encode() + b"@bounces.example.test>\n"
ORIGINAL = b"From: shop@example.test\nTo: anna@example.com\nSubject: x\n"


def test_a_reference_in_the_reports_own_header_is_none() -> None:
    found = read(report(FAILED, top=REFERENCE + PATH))
    assert found.kind == "dsn"
    assert found.references == found.return_paths == ()


def test_a_reference_in_the_status_or_in_a_parts_header_is_none() -> None:
    forged = report(REFERENCE + FAILED + b"\n" + REFERENCE)
    forged = forged.replace(
        b"Content-Type: text/plain\n", b"Content-Type: text/plain\n" + REFERENCE
    )
    assert read(forged).references == ()


def test_a_reference_in_the_returned_header_is_one() -> None:
    """The same report, to see that the others are refused for their place."""
    found = read(report(FAILED, original=PATH + REFERENCE + ORIGINAL))
    assert found.references == (TOKEN,)
    assert found.return_paths == ("b-" + TOKEN,)


def test_a_reference_in_the_returned_messages_body_is_none() -> None:
    found = read(report(FAILED, original=ORIGINAL + b"\n" + REFERENCE))
    assert found.returned
    assert found.references == ()


def test_a_reference_in_the_notice_of_a_bounce_in_words_is_none() -> None:
    notice = sample("domino").replace(b"because:", REFERENCE + b"\nbecause:")
    assert read(notice).kind == "dsn"
    assert read(notice).references == ()


def test_a_bounce_of_a_bounce_is_about_nobody_of_ours() -> None:
    """Its original is a report with a null sender: what that had returned is another matter."""
    inner = sample("postfix_dsn")
    found = read(report(FAILED, original=inner))
    assert found.kind == "dsn"
    assert found.references == found.return_paths == ()
    assert "report_in_report" in found.trouble


def test_a_bounce_in_words_of_a_bounce_is_about_nobody_of_ours() -> None:
    before, _, _ = sample("qmail").partition(b"--- Below this line")
    for inner in (sample("exim"), sample("postfix_dsn")):
        found = read(before + b"--- Below this line is a copy of the message.\n\n" + inner)
        assert (found.kind, found.form) == ("dsn", "qmail")
        assert found.references == ()


def test_a_forwarded_report_counts_only_from_a_mail_system() -> None:
    wrapped = sample("forwarded_report_x5")
    assert read(wrapped).references == (TOKEN,)
    by_a_person = wrapped.replace(b'"Mail Delivery Subsystem" <MAILER-DAEMON', b"Ben <ben", 1)
    found = read(by_a_person.replace(b"<MAILER-DAEMON@", b"<ben@", 1))
    assert found.kind == "other"
    assert found.references == ()


def test_references_are_few() -> None:
    many = b"".join(b"X-Posthaste-Reference: %061d\n" % number for number in range(1000))
    assert len(read(report(FAILED, original=ORIGINAL + many)).references) == 10
    name = b"X-Posthaste-Reference"
    parts = b"".join(
        b"\n--=b\nContent-Type: message/rfc822\n\n%b: %061d\n%b: x%d\n"
        % (name, number, name, number)
        for number in range(30)
    )
    assert len(read(report(FAILED, original=ORIGINAL + parts)).references) == 10


def test_what_stands_behind_the_end_is_nothing() -> None:
    behind = b"--=b\nContent-Type: message/rfc822\n\n" + REFERENCE + ORIGINAL
    assert read(report(FAILED) + behind).references == ()


def test_a_return_path_that_was_rewritten_on_the_way_is_found() -> None:
    path = (
        b"Return-Path: <SRS0=abcd=7N=bounces.example.test=b-" + TOKEN.encode() + b"@fwd.example>\n"
    )
    found = read(report(FAILED, original=path + ORIGINAL))
    assert found.return_paths == ("b-" + TOKEN,)
