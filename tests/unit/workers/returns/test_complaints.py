"""Feedback reports: what is a complaint, about whom, and what they say besides (RFC 5965)."""

from __future__ import annotations

import pytest

from tests.unit.workers.returns.samples import sample
from workers.returns.read import read


@pytest.mark.parametrize(
    ("feedback", "kind"),
    [
        (b"abuse", "complaint"),
        (b"Fraud", "complaint"),
        (b"virus", "complaint"),
        (b"other", "complaint"),
        (b"not-spam", "other"),
        (b"opt-out", "other"),
        (b"opt-out-list", "other"),
        (b"auth-failure", "other"),
        (b"dmarc", "other"),
        (b"", "other"),
    ],
)
def test_only_some_types_are_complaints(feedback: bytes, kind: str) -> None:
    found = read(sample("arf_rfc5965").replace(b"Type: abuse", b"Type: " + feedback))
    assert found.kind == kind
    assert found.feedback_type == feedback.decode().lower()
    assert found.references


def test_a_report_says_from_where_and_when() -> None:
    found = read(sample("arf_rfc5965"))
    assert found.user_agent == "SomeGenerator/1.0"
    assert found.source_ip == "192.0.2.10"
    assert found.arrival == "Mon, 7 Dec 2026 10:00:01 +0000"
    assert found.reported_domain == "example.test"
    assert found.reporting_mta == "mail.example.com"


def test_without_a_return_path_in_the_message_the_reports_own_counts() -> None:
    bare = sample("arf_yahoo").replace(b"\nReturn-Path: <b-", b"\nX-Was: <b-")
    assert len(read(bare).return_paths) == 1


def test_a_report_without_a_type_is_no_complaint() -> None:
    found = read(sample("arf_rfc5965").replace(b"Feedback-Type: abuse\n", b""))
    assert found.kind == "other"
    assert "no_feedback_type" in found.trouble


def test_the_first_of_several_types_counts() -> None:
    twice = sample("arf_rfc5965").replace(b"Version: 1\n", b"Feedback-Type: not-spam\n")
    found = read(twice)
    assert (found.kind, found.feedback_type) == ("complaint", "abuse")
    assert "several_feedback_types" in found.trouble


def test_microsofts_field_in_the_outer_header_is_none() -> None:
    outside = b"X-HmXmrOriginalRecipient: <anna@hotmail.example>\n" + sample("reply_quoting")
    assert read(outside).kind == "other"
