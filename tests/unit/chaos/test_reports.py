"""What the receiver reads of copies and writes about them, as the server for bounces reads it."""

from __future__ import annotations

import msgspec
import pytest

from tests.chaos.fates import Kind
from tests.chaos.letters import read
from tests.chaos.reports import COMPLAINTS, report
from workers.returns.read import read as read_report

TOKEN = "a" * 61
PATH = f"b-{TOKEN}@bounces.chaos.test"
WHO = "n7.r1@a.test"
COPY = (
    f"Message-ID: <x@shop.test>\r\nX-Posthaste-Reference: {TOKEN}\r\n"
    "List-Unsubscribe: <https://links.chaos.test/u/abc>\r\nX-Chaos-Number: 7\r\n"
    "Content-Type: multipart/mixed; boundary==_0123456789abcdef0123456789abcdef\r\n"
    "\r\nX-Chaos-Number: 8\r\n"
).encode()


def test_a_copy_is_read() -> None:
    letter = read(COPY)
    assert letter is not None
    assert (letter.number, letter.message_id) == (7, "<x@shop.test>")
    assert (letter.return_path, letter.link) == (PATH, "/u/abc")
    assert COPY.startswith(letter.header)
    assert letter.header.endswith(b"abcdef\r\n")


def test_what_is_each_copys_own_is_no_difference_and_all_else_is() -> None:
    letter = read(COPY)
    assert letter is not None
    for old, new in ((b"aaaa", b"aabb"), (b"u/abc", b"u/abd"), (b"=_0123", b"=_3210")):
        same = read(COPY.replace(old, new))
        assert same is not None
        assert same.content == letter.content
    other = read(COPY.replace(b"Number: 8", b"Number: 9"))
    assert other is not None
    assert other.content != letter.content


@pytest.mark.parametrize(
    "cut", [b"X-Chaos-Number: 7\r\n", b"Message-ID: <x@shop.test>\r\n"], ids=["number", "id"]
)
def test_without_a_name_it_is_none(cut: bytes) -> None:
    assert read(COPY.replace(cut, b"")) is None


def test_without_a_reference_there_is_no_return_path_and_no_link_of_ours() -> None:
    bare = read(COPY.replace(b"X-Posthaste", b"X-Other").replace(b"//links", b"//drinks"))
    assert bare is not None
    assert (bare.return_path, bare.link) == ("", "")


@pytest.mark.parametrize(
    ("kind", "read_as", "action"),
    [
        ("dead", "dsn", "failed"), ("refused", "dsn", "failed"),
        ("delayed", "delayed", "delayed"), ("complaint", "complaint", ""),
    ],
)  # fmt: skip
def test_reports_are_read_as_what_they_are(kind: Kind, read_as: str, action: str) -> None:
    letter = read(COPY)
    assert letter is not None
    sent = report(kind, WHO, PATH, letter.header)
    found = read_report(sent.content)
    assert found.kind == read_as
    assert found.references == (TOKEN,)
    assert [each.action for each in found.recipients] == ([action] if action else [])
    is_complaint = kind == "complaint"
    assert sent.recipient == (COMPLAINTS if is_complaint else PATH)
    assert bool(sent.sender) is is_complaint
    if kind in ("dead", "refused"):
        (one,) = found.recipients
        assert one.final_recipient == WHO
        assert (one.code, one.status) == (550, "5.1.1" if kind == "dead" else "5.7.1")
    assert msgspec.json.encode(found)
