"""Decisions about many legs: what is held of them, and how far they come."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest

from shared.clock import ManualClock
from shared.model.leg import Attempt, Leg, LegState, RecipientReply, leg_id
from shared.model.message import Address, Head, Recipient
from shared.model.status import Status
from shared.redrive import BATCH, WINDOW, Choice, Redrive, cursor, place_of
from shared.settings import RetrySettings
from shared.store.memory import MemoryStore
from shared.store.operations import Aside, Place, SetAside
from tests.support.stores import settings

ALL = Choice(("dead",))


class Many:
    """A store with many dead letters, made as they are read; it remembers what was decided."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.decided = 0
        self.most_at_once = 0

    def aside(self, kind: Aside, limit: int, before: Place | None = None) -> list[SetAside]:
        """The last ones first."""
        last = self._count if before is None else before[0]
        return [_dead(since) for since in range(last - 1, max(-1, last - 1 - limit), -1)]

    def drop(self, legs: Sequence[bytes]) -> list[bool]:
        """All are there."""
        self.decided += len(legs)
        self.most_at_once = max(self.most_at_once, len(legs))
        return [True] * len(legs)


def _dead(since_ms: int) -> SetAside:
    head = Head(
        "app", "bulk", f"<{since_ms}@a.test>", Address("a@a.test"), "a@a.test",
        (Recipient("to", f"r{since_ms}@example.test"),), f"subject {since_ms}" * 20, since_ms,
    )  # fmt: skip
    attempt = Attempt(since_ms, "relay", (RecipientReply(0, Status.DEAD.letter),), "poison")
    leg = Leg(LegState.DEAD, "bulk", "relay", (Status.DEAD,), history=(attempt,))
    return SetAside(leg_id(since_ms.to_bytes(16, "big"), 0), "dead", since_ms, leg, head)


def redrive_of(operations: Any) -> Redrive:
    clock = ManualClock()
    return Redrive(MemoryStore(settings(), clock).spool, operations, RetrySettings(), clock)


def test_many_are_decided_about_without_holding_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.redrive.WINDOW", 1000)
    count = 5000
    many = Many(count)
    redrive = redrive_of(many)
    tracemalloc.start()
    try:
        came_of = redrive.drop(ALL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (came_of.chosen, came_of.done, came_of.next) == (count, count, None)
    assert (many.decided, many.most_at_once) == (count, BATCH)
    assert peak < 2_000_000  # All of them take 7 MB.


def test_windows_go_on_where_the_one_before_ended() -> None:
    many = Many(WINDOW + 5)
    redrive = redrive_of(many)
    first = redrive.drop(ALL, windows=1)
    assert (first.done, many.decided) == (WINDOW, WINDOW)
    assert place_of(cursor(first.next) or "") == first.next
    second = redrive.drop(ALL, first.next, windows=1)
    assert (second.done, second.next) == (5, None)


def test_a_message_named_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = redrive_of(Many(0))
    monkeypatch.setattr(Redrive, "of_message", lambda _, message_id: iter([_dead(message_id[0])]))
    one, other = b"a" * 16, b"b" * 16
    assert found.count(Choice(("dead",), (one, other, one))).chosen == 2


def test_what_is_no_cursor_is_none() -> None:
    for text in (
        "",
        "1",
        "x-" + "0" * 36,
        "1-" + "0" * 35,
        "1-" + "z" * 36,
        "9" * 30 + "-" + "0" * 36,
    ):
        assert place_of(text) is None
