"""Whatever comes, reading ends, raises nothing and keeps its bounds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.workers.returns.samples import NAMES, sample
from workers.returns.read import read
from workers.returns.report import (
    MOST_CANDIDATES,
    MOST_RECIPIENTS,
    MOST_REFERENCES,
    MOST_TEXT,
    Report,
)

SAMPLES = [sample(name) for name in NAMES]
BITS = [
    b"\n", b"\n\n", b"\r", b"\0", b"--=b1\n", b"--=b1--\n", b":", b"@", b"<", b">", b";",
    b"=", b'"',
    b"=?utf-8?b?//8=?=", b"\xff\xfe", b" " * 50, b"Content-Type: multipart/mixed; boundary==b1\n",
    b"Content-Type: message/rfc822\n\n", b"Content-Transfer-Encoding: base64\n", b"5.1.1", b"550 ",
    b"Final-Recipient: rfc822; a@b.example\n", b"X-Posthaste-Reference: x\n", b"Received: x\n",
    b"begin 644 x\n", b"\\x{110000}", b"&#1114112;", b"\x1b$B", "ß@ß.example".encode(), b"(" * 20,
]  # fmt: skip

pieces = st.sampled_from(SAMPLES) | st.sampled_from(BITS) | st.binary(max_size=40)
edits = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 0.2), st.sampled_from(BITS) | st.binary(max_size=20)),
    max_size=8,
)


def bounded(found: Report) -> None:
    assert len(found.recipients) <= MOST_RECIPIENTS
    assert len(found.candidates) <= MOST_CANDIDATES
    assert len(found.references) <= MOST_REFERENCES
    assert len(found.return_paths) <= MOST_REFERENCES
    for told in (*found.recipients, *([found.text] if found.text else [])):
        assert len(told.diagnostic) <= MOST_TEXT
        assert "\n" not in told.diagnostic
        assert told.code == 0 or 400 <= told.code <= 599
    assert all("@" in each for each in found.candidates)


def edited(message: bytes, changes: list[tuple[float, float, bytes]]) -> bytes:
    for where, how_much, new in changes:
        at = int(len(message) * where)
        message = message[:at] + new + message[at + int(len(message) * how_much) :]
    return message


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(SAMPLES), edits)
def test_a_damaged_form_is_read(message: bytes, changes: list[tuple[float, float, bytes]]) -> None:
    bounded(read(edited(message, changes)))


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=12))
def test_any_bytes_are_read(parts: list[bytes]) -> None:
    bounded(read(b"".join(parts)))
