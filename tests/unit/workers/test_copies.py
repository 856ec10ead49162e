"""Messages of several legs: fetched, rendered and hashed once, in bounds, and never mixed up."""

from __future__ import annotations

import msgspec
import pytest

from shared.clock import ManualClock, SystemClock
from shared.model.leg import Leg, LegState, leg_id
from shared.model.message import Address, Attachment, Content, Head, Recipient
from shared.model.status import Status
from shared.store.ports import Claimed
from tests.support.dkim_keys import ed25519_key, verifies
from workers import copies as module
from workers.copies import KEPT_SECONDS, Copies
from workers.sign import Dkim


def claimed(message: int = 1, *, legs: int = 2, size: int = 10, send_at_ms: int = 0) -> Claimed:
    identifier = message.to_bytes(16, "big")
    head = Head(
        "shop", "bulk", "<1@shop.test>", Address("a@shop.test"), "a@shop.test",
        (Recipient("to", "b@b.test"), Recipient("to", "c@b.test")), f"n{message}", 1000,
        send_at_ms or None, content_bytes=size,
    )  # fmt: skip
    leg = Leg(LegState.LEASED, "bulk", "relay", (Status.QUEUED,), (0,), legs=legs)
    return Claimed(leg_id(identifier, 0), 1, leg, head, None)


CONTENT = Content("x")


def test_the_legs_of_a_message_share_what_was_made_of_it() -> None:
    kept = Copies(ManualClock())
    assert kept.content(claimed()) is None
    kept.keep(claimed(), CONTENT)
    assert kept.content(claimed()) is CONTENT
    first = kept.rendered(claimed(), CONTENT, seven_bit=False)
    assert kept.rendered(claimed(), CONTENT, seven_bit=False) is first
    assert b"Subject: n1\r\n" in first.message
    assert kept.content(claimed(2)) is None
    assert b"Subject: n2\r\n" in kept.rendered(claimed(2), CONTENT, seven_bit=False).message


def test_another_date_or_form_is_another_text() -> None:
    content = Content("x", attachments=(Attachment("m", "message/rfc822", b"A: b\r\n\r\n\xc3"),))
    kept = Copies(ManualClock())
    kept.keep(claimed(), content)
    first = kept.rendered(claimed(), content, seven_bit=False)
    later = kept.rendered(claimed(send_at_ms=86_400_000), content, seven_bit=False)
    plain = kept.rendered(claimed(), content, seven_bit=True)
    assert b"Date: Thu, 01 Jan 1970" in first.message
    assert b"Date: Fri, 02 Jan 1970" in later.message
    assert plain.message.isascii()
    assert not first.message.isascii()


def test_nothing_is_kept_of_one_leg() -> None:
    kept = Copies(ManualClock())
    kept.keep(claimed(legs=1), CONTENT)
    kept.rendered(claimed(legs=1), CONTENT, seven_bit=False)
    assert kept.content(claimed(legs=1)) is None
    assert len(kept) == 0


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2000)
    kept = Copies(ManualClock())
    for number in range(1, 30):
        kept.keep(claimed(number, size=500), CONTENT)
        kept.rendered(claimed(number), CONTENT, seven_bit=False)
        assert len(kept) <= 4
    assert kept.content(claimed(29)) is CONTENT
    assert kept.content(claimed(1)) is None
    kept.keep(claimed(99, size=5000), CONTENT)
    assert len(kept) == 0, "it alone is too large"
    kept.keep(claimed(98, size=1), CONTENT)
    assert kept.content(claimed(98)) is CONTENT


def test_what_is_kept_goes_after_a_while() -> None:
    clock = ManualClock()
    kept = Copies(clock)
    kept.keep(claimed(), CONTENT)
    clock.advance(KEPT_SECONDS)
    assert kept.content(claimed()) is CONTENT
    clock.advance(0.1)
    assert kept.content(claimed(2)) is None
    assert len(kept) == 0


def test_signatures_of_copies_share_the_hash_of_their_body_and_are_each_ones_own() -> None:
    key = ed25519_key()
    signer = Dkim({"shop.test": (key,)}, SystemClock())
    found = Copies(ManualClock()).rendered(claimed(), CONTENT, seven_bit=False)
    copies = [
        signer.sign(line + found.message, "shop.test", (), found.body_hash).message
        for line in (b"X-Posthaste-Reference: a\r\n", b"X-Posthaste-Reference: b\r\n")
    ]
    assert found.body_hash.value
    for each in copies:
        assert verifies(each, key) == [True]
    first, second = copies
    assert verifies(first.replace(b"Reference: a", b"Reference: b"), key) == [False]
    assert verifies(second.replace(b"\r\n\r\nx", b"\r\n\r\ny"), key) == [False]
    wrong = msgspec.structs.replace(found.body_hash, value=b"AAAA")
    altered = signer.sign(found.message, "shop.test", (), wrong).message
    assert verifies(altered, key) == [False]
