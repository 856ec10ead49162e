"""Who comes to the suppression list after mail was accepted gets none of it, at any attempt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.model.suppression import Suppression
from shared.settings import Settings, StoreSettings
from shared.store.redis_suppressions import RedisSuppressions
from tests.support.smtp_server import Captured
from tests.support.system import System, message, poll, running

AT_MS = 20_777 * 86_400_000  # 2026-11-20.
TOLD = "on the suppression list: complaint, since 2026-11-20 (arf)"


class Place:
    """An installation, and its list."""

    def __init__(self, system: System, entries: RedisSuppressions) -> None:
        self.system = system
        self.server = system.server
        self.entries = entries

    def put(self, address: str, **fields: Any) -> None:
        """Put an address on the list."""
        values: dict[str, Any] = {"reason": "complaint", "source": "arf", "at_ms": AT_MS} | fields
        self.entries.add([Suppression(address, **values)])

    def copies(self, identifier: str) -> list[Captured]:
        """Those of a message that arrived."""
        name = identifier.removeprefix("msg_")
        return [each for each in self.server.answered() if name in each.header("Message-ID")]

    def statuses(self, identifier: str) -> list[str]:
        """Of its recipients."""
        return [each["status"] for each in self.system.recipients(identifier)]

    def waits(self, identifier: str, *statuses: str) -> list[dict[str, Any]]:
        """Wait for these; the recipients."""
        poll(lambda: self.statuses(identifier) == list(statuses))
        return self.system.recipients(identifier)

    def scheduled(self, **fields: Any) -> str:
        """A message whose time is far away."""
        at = datetime.now(UTC) + timedelta(hours=1)
        status, body, _ = self.system.ask(
            "POST", "/v1/messages", message(send_at=at.isoformat(), **fields)
        )
        assert (status, body["status"]) == (202, "scheduled")
        return str(body["id"])

    def hurry(self, *identifiers: str) -> None:
        """Their time comes soon."""
        for each in identifiers:
            at = datetime.now(UTC) + timedelta(seconds=0.8)
            body = {"send_at": at.isoformat()}
            status, _, _ = self.system.ask("PATCH", f"/v1/messages/{each}", body)
            assert status == 200


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with ExitStack() as stack:
        system = stack.enter_context(running())
        entries = RedisSuppressions(Settings(store=StoreSettings(redis_url=system.redis_url)))
        stack.callback(entries.close)
        yield Place(system, entries)


def test_mail_that_waits_for_its_time(here: Place) -> None:
    people = ["Late@example.test", "fine@example.test"]
    identifier = here.scheduled(to=people)
    alone = here.scheduled(to="late@example.test")
    here.put("late@example.test")
    here.hurry(identifier, alone)
    late, fine = here.waits(identifier, "suppressed", "delivered")
    here.waits(alone, "suppressed")
    (captured,) = here.copies(identifier)
    assert captured.recipients == ["fine@example.test"]
    assert not here.copies(alone)
    (why,) = late["attempts"]
    assert (why["outcome"], why["code"], why["note"]) == ("suppressed", None, "suppressed")
    assert (why["reply"], why["charged"], late["attempt_count"]) == (TOLD, False, 0)
    assert [each["outcome"] for each in fine["attempts"]] == ["delivered"]
    for each in (identifier, alone):
        assert here.system.ledger(each) == ["accepted", "rescheduled", "attempt"]
    here.system.reconcile()


def test_mail_between_two_attempts(here: Place) -> None:
    here.server.answers["RCPT again@example.test"] = ["451 4.2.1 later"]
    here.server.on_message = lambda _: here.put("again@example.test")
    try:
        identifier = here.system.send(to=["again@example.test", "first@example.test"])
        again, _ = here.waits(identifier, "suppressed", "delivered")
    finally:
        here.server.on_message = None
    assert [each["outcome"] for each in again["attempts"]] == ["deferred", "suppressed"]
    assert again["attempts"][1]["reply"] == TOLD
    assert len(here.copies(identifier)) == 1
    assert here.system.ledger(identifier) == ["accepted", "attempt", "attempt"]
    here.system.reconcile()


def test_mail_whose_worker_died(here: Place) -> None:
    """It is started alone from then on."""
    here.server.answers["."] = ["stall"]
    identifier = here.system.send(to="died@example.test")
    poll(lambda: any("died@example.test" in each.recipients for each in here.server.messages))
    here.put("died@example.test")
    here.system.kill("worker")
    (died,) = here.waits(identifier, "suppressed")
    assert [each["outcome"] for each in died["attempts"]] == [None, "suppressed"]
    assert not here.copies(identifier)
    assert here.system.ledger(identifier) == ["accepted", "crashed", "attempt"]
    here.server.release()
    here.system.reconcile()


def test_what_stands_in_nobodys_way(here: Place) -> None:
    """Complaints spare class critical, unsubscribing is of one list, and an end is an end."""
    critical = here.scheduled(to="asked@example.test", **{"class": "critical"})
    listed = here.scheduled(to="reader@example.test")
    others = here.scheduled(to="elsewhere@example.test")
    over = here.scheduled(to="over@example.test")
    taken_off = here.scheduled(to="off@example.test")
    here.put("asked@example.test")
    here.put("reader@example.test", list="news", reason="unsubscribe")
    here.put("elsewhere@example.test", application="someone-else")
    here.put("over@example.test", expires_ms=int(time.time() * 1000) + 100)
    here.put("off@example.test")
    assert here.entries.remove("off@example.test", "", "")
    identifiers = (critical, listed, others, over, taken_off)
    here.hurry(*identifiers)
    for identifier in identifiers:
        here.waits(identifier, "delivered")
        assert here.system.ledger(identifier)[-1] == "attempt"


def test_a_dead_address_gets_no_critical_mail_either(here: Place) -> None:
    identifier = here.scheduled(to="dead@example.test", **{"class": "critical"})
    here.put("dead@example.test", reason="bounce", source="smtp", application="default")
    here.hurry(identifier)
    (dead,) = here.waits(identifier, "suppressed")
    assert (
        dead["attempts"][0]["reply"] == "on the suppression list: bounce, since 2026-11-20 (smtp)"
    )
    assert here.system.ledger(identifier) == ["accepted", "rescheduled", "attempt"]
    here.system.reconcile()
