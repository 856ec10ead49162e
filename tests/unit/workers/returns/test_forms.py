"""Every form is read as it was meant, whatever its line ends; and nobody's letter is a bounce."""

from __future__ import annotations

import pytest

from tests.unit.workers.returns.expected import EXPECTED, TOKEN
from tests.unit.workers.returns.samples import FORMS, NAMES, sample
from workers.returns.originals import split
from workers.returns.read import read
from workers.returns.report import Report

LETTERS = {name for name, expected in EXPECTED.items() if expected.kind in ("other", "auto_reply")}


def _told(report: Report) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((" ".join(t.addresses), t.action, t.status, t.code) for t in report.recipients)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("name", NAMES)
def test_a_form_says_what_it_says(name: str, line_end: bytes) -> None:
    found = read(sample(name).replace(b"\n", line_end))
    expected = EXPECTED[name]
    assert (found.kind, found.form, found.feedback_type) == (
        expected.kind,
        expected.form,
        expected.feedback,
    )
    assert _told(found) == expected.told
    words = found.recipients[0] if found.recipients else found.text
    assert (words.diagnostic if words else "").startswith(expected.said)
    assert found.candidates[:1] == ((expected.candidate,) if expected.candidate else ())
    assert found.references == ((TOKEN,) if expected.returned else ())
    assert found.return_paths == ((f"b-{TOKEN}",) if expected.returned else ())


def test_there_are_sixty_forms_of_bounces_and_complaints_and_each_is_documented() -> None:
    assert set(NAMES) == set(EXPECTED)
    assert len(set(NAMES) - LETTERS) >= 60
    lines = (FORMS / "SOURCES").read_text(encoding="utf-8").splitlines()
    sources = dict(line.split(": ", 1) for line in lines if not line.startswith("#"))
    assert set(sources) == set(NAMES)
    assert all(sources.values())


@pytest.mark.parametrize("name", sorted(LETTERS))
def test_what_is_no_bounce_names_nobody(name: str) -> None:
    found = read(sample(name))
    assert found.recipients == ()
    if not found.feedback_type:
        assert found.references == found.return_paths == found.candidates == ()


def test_a_bounce_in_words_from_a_person_is_none() -> None:
    """The words alone are not enough: a person may send them on."""
    from_a_person = sample("qmail").replace(b"MAILER-DAEMON@mx.example.com", b"ben@example.com")
    from_a_person = from_a_person.replace(b"Return-Path: <>", b"Return-Path: <ben@example.com>", 1)
    assert read(from_a_person).kind == "other"


def test_a_bounce_that_is_only_quoted_is_none_from_whomever() -> None:
    quoted = sample("reply_quoting_bounce").replace(b"From: Anna <anna@", b"From: <postmaster@")
    assert b"From: <postmaster@" in quoted
    assert read(quoted).kind == "other"


def test_a_bounce_in_words_that_nobody_knows_is_for_a_look_not_an_automatic_answer() -> None:
    unknown = (
        sample("exim_old").partition(b"\n\n")[0] + b"\nAuto-Submitted: auto-replied\n\nNo luck.\n"
    )
    assert read(unknown).kind == "other"
    assert read(unknown.replace(b"Mail delivery failed", b"Hello")).kind == "auto_reply"


def test_a_permanent_failure_is_one_though_others_are_retried() -> None:
    both = sample("sendmail_old").replace(b"<<< 550", b"Will keep trying for the others\n<<< 550")
    assert read(both).kind == "dsn"
    assert read(sample("sendmail_warning")).kind == "delayed"


def test_a_receipt_is_no_bounce_whatever_it_says() -> None:
    receipt = sample("read_receipt").replace(b"From: Anna <anna@", b"From: <postmaster@")
    assert b"From: <postmaster@" in receipt
    assert read(receipt).kind == "other"


def test_who_writes_and_who_is_written_to_were_not_refused() -> None:
    text = (
        b"Your message wasn't delivered. Ask postmaster@mx.example.com, b-x@bounces.example.test."
    )
    found = read(
        b"From: postmaster@mx.example.com\nTo: b-x@bounces.example.test\nSubject: Failed mail\n\n"
        + text.replace(b"delivered.", b"delivered to you because of the weather.")
    )
    assert found.kind == "dsn"
    assert found.recipients == ()


def test_a_notice_ends_before_the_line_that_leads_over() -> None:
    notice, original = split(
        "No such user\n\n--- Original message follows ---\n\nReceived: x\nFrom: y\nTo: z\n"
    )
    assert notice == "No such user\n"
    assert original.startswith("Received: x")


def test_a_bounce_in_words_keeps_its_original_apart() -> None:
    """Addresses of the returned message are candidates, but were not refused."""
    with_others = sample("qmail").replace(b"To: anna@example.com", b"To: ben@example.com")
    found = read(with_others)
    assert _told(found) == (("anna@example.com", "failed", "5.1.1", 550),)
    assert set(found.candidates) == {"anna@example.com", "ben@example.com"}
