"""What is told of mail that came back after its delivery."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared import report
from shared.classification.told import Told
from shared.cli.message import print_attempts
from shared.clock import ManualClock
from shared.model.leg import Attempt, pack_history
from shared.model.status import Status
from shared.routing import Routes
from shared.settings import Settings
from shared.store.news import late_bounce
from shared.store.returns import News
from tests.support.stores import MemoryTestStore, settings, settlement

TEXT = "550 5.1.1 no such user\x1b[2J"


@pytest.fixture
def store() -> MemoryTestStore:
    """A fresh one."""
    return MemoryTestStore(settings(), ManualClock())


def bounce(store: MemoryTestStore, message_id: bytes, recipient: int, via: str = "mx.test") -> None:
    """The mail of a recipient comes back."""
    attempt = late_bounce(store.clock.now_ms(), via, recipient, 550, "5.1.1", TEXT)
    mark, site = bytes([recipient]), "other"
    store.returns.news(
        News("bounced", message_id, mark, "app", "bulk", site, b"", recipient, attempt)
    )


def recipients(store: MemoryTestStore, message_id: bytes) -> list[dict[str, Any]]:
    """As the API tells them."""
    stored = store.spool.get(message_id)
    assert stored is not None
    found: list[dict[str, Any]] = report.message(stored, Routes(Settings()), Told(Settings()))[
        "recipients"
    ]
    return found


def test_a_late_bounce_is_told_behind_the_delivery(
    store: MemoryTestStore, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = store.accept(recipients=2)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED))
    bounce(store, identifier, 1, via="")
    first, second = recipients(store, identifier)
    assert (first["status"], len(first["attempts"]), first["attempt_count"]) == ("delivered", 1, 1)
    assert (second["status"], second["attempt_count"]) == ("bounced", 1)
    assert [each["outcome"] for each in second["attempts"]] == ["delivered", "bounced"]
    told = second["attempts"][1]
    assert (told["code"], told["enhanced_code"], told["note"], told["via"], told["charged"]) == (
        550, "5.1.1", "bounced after delivery", "unknown", False,
    )  # fmt: skip
    assert told["reply"] == "550 5.1.1 no such user [2J"
    print_attempts(second["attempts"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert "bounced 550 5.1.1" in last
    assert last.endswith("bounced after delivery")


def test_what_waits_does_not_wait_for_it(store: MemoryTestStore) -> None:
    identifier = store.accept(recipients=2)
    (claimed,) = store.claim().legs
    given = settlement(claimed, Status.DELIVERED, Status.DEFERRED)
    throttled = Attempt(1, "relay", (), "gmail-rate", charged=False)
    store.settle(msgspec.structs.replace(given, history=pack_history((throttled,))))
    bounce(store, identifier, 0)
    bounced, waits = recipients(store, identifier)
    assert (bounced["status"], bounced["waiting_for"]) == ("bounced", None)
    assert (waits["waiting_for"], waits["waiting_reason"]) == ("retry", "gmail-rate")
    assert [each["note"] for each in waits["attempts"]] == ["gmail-rate"]


def test_what_is_set_aside_keeps_its_cause(store: MemoryTestStore) -> None:
    identifier = store.accept(recipients=2)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED, Status.DEAD, note="poison"))
    bounce(store, identifier, 0)
    (aside,) = store.operations.aside("dead", 9)
    told = report.set_aside(aside, Told(Settings()))
    assert told["cause"] == "poison"
    assert told["recipients"] == ["r1@example.test"]
    assert [each["note"] for each in told["attempts"]] == ["poison"]
