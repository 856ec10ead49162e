"""The samples, and messages that are put together for one question."""

from __future__ import annotations

from pathlib import Path

FORMS = Path(__file__).parent / "forms"
NAMES = sorted(path.stem for path in FORMS.glob("*.eml"))


def sample(name: str) -> bytes:
    """A sample, lines ended by LF."""
    return (FORMS / f"{name}.eml").read_bytes()


def report(
    status: bytes,
    *,
    original: bytes = b"From: shop@example.test\nTo: anna@example.com\nSubject: x\n",
    top: bytes = b"",
    encoding: bytes = b"7bit",
) -> bytes:
    """A DSN with this status part."""
    return (
        top + b"From: MAILER-DAEMON@mx.example.com\nTo: b-x@bounces.example.test\n"
        b"Subject: Returned mail\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="=b"\n\n'
        b"--=b\nContent-Type: text/plain\n\nSorry.\n"
        b"--=b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: "
        + encoding
        + b"\n\n"
        + status
        + b"\n--=b\nContent-Type: message/rfc822\n\n"
        + original
        + b"\n--=b--\n"
    )


FAILED = b"""Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; anna@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 No such user
"""
