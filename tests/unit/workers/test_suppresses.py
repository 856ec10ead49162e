"""What a refusal does: its category is counted and told, and a dead address is suppressed."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import structlog

from shared import report
from shared.classification.told import Told
from shared.config import load
from shared.errors import StoreUnavailable
from shared.feedback_settings import BounceSettings
from shared.model.suppression import Suppression
from shared.routing import Routes
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from shared.store.ports import Settlement
from tests.support.stores import settings
from tests.unit.workers.test_asks_for_less import OK, Hops, System, to_message, to_rcpt
from workers.brake import LEAST_DEAD
from workers.classify import outcomes
from workers.pipeline import Pipeline
from workers.sign import Dkim
from workers.smtp import Envelope, Reply, Stage, Transaction

SHIPPED = load(None, {})
UNKNOWN = Reply(550, "5.1.1", "<r0@b.test>: Recipient address rejected: User unknown")
SPAM = Reply(550, "5.1.1", "blocked for spam")
FULL = Reply(552, "5.2.2", "mailbox is full")
BUSY = Reply(550, "5.2.1", "The user you are trying to contact is receiving mail at a rate that")
DAY_MS = 86_400_000


class Installation(System):
    """A store, a pipeline by the shipped rules, and a server."""

    def __init__(self, **bounces: Any) -> None:
        super().__init__()
        values = msgspec.structs.replace(
            settings(),
            classification=SHIPPED.classification,
            shaping=SHIPPED.shaping,
            bounces=BounceSettings(**bounces),
        )
        self.shapes.apply(Shaping(values))
        self.queue = self.store.queue()
        self.pipeline = Pipeline(
            values, self.queue, self.clock, Hops(self.server), Dkim({}, self.clock),
            shapes=self.shapes,
        )  # fmt: skip

    def said(self, answer: Any, count: int = 1, application: str = "app") -> Settlement:
        """What a message for so many recipients comes to."""
        self.server.answers.append(answer)
        self.mail = self.store.accept(recipients=count, application=application)
        (settled,) = self.step()
        return settled

    def suppressed(self) -> list[Suppression]:
        return list(self.store.suppressions.page("", 100).entries)

    def attempts(self) -> list[dict[str, Any]]:
        stored = self.store.spool.get(self.mail)
        assert stored is not None
        told = report.message(stored, Routes(Settings()), Told(SHIPPED))
        return [each["attempts"][-1] for each in told["recipients"]]


def test_a_dead_address_is_suppressed_for_its_application_before_it_bounces() -> None:
    found = Installation()
    settled = found.said(to_rcpt(UNKNOWN))
    assert settled.statuses[0].value == "bounced"
    (entry,) = found.suppressed()
    assert (entry.address, entry.application, entry.list) == ("r0@example.test", "app", "")
    assert (entry.reason, entry.source, entry.detail) == ("bounce", "smtp", "550 5.1.1")
    assert entry.at_ms == found.clock.now_ms()
    assert entry.expires_ms is None
    assert found.store.ledger() == ["accepted", "suppressed", "attempt"]
    (told,) = found.attempts()
    assert (told["category"], told["suppresses"]) == ("mailbox_unknown", True)


@pytest.mark.parametrize("reply", [SPAM, FULL, BUSY, Reply(450, "4.1.1", "user unknown")])
def test_nothing_else_suppresses(reply: Reply) -> None:
    found = Installation()
    for answer in (to_rcpt(reply), to_message(reply)):
        found.said(answer)
    assert found.suppressed() == []


def test_only_those_who_are_dead_among_several() -> None:
    found = Installation()
    found.said(to_rcpt(OK, UNKNOWN, FULL), 3)
    assert [each.address for each in found.suppressed()] == ["r1@example.test"]
    assert [each["suppresses"] for each in found.attempts()] == [None, True, False]
    assert [each["category"] for each in found.attempts()] == [
        None, "mailbox_unknown", "mailbox_full",
    ]  # fmt: skip


def test_a_reply_to_the_message_counts_where_it_was_one_recipients() -> None:
    found = Installation()
    found.said(to_message(UNKNOWN), 2)
    assert found.suppressed() == [], "it may be about either"
    found.said(to_message(UNKNOWN), 1)
    assert [each.address for each in found.suppressed()] == ["r0@example.test"]


def test_a_reply_to_mail_is_nobodys() -> None:
    """Verification of a sender says "user unknown" of the sender."""

    def to_mail(envelope: Envelope) -> Transaction:
        return Transaction(Stage.MAIL, UNKNOWN)

    found = Installation()
    settled = found.said(to_mail)
    assert settled.statuses[0].value == "bounced"
    assert found.suppressed() == []


def test_the_last_one_of_several_is_suppressed_by_the_reply_to_the_message() -> None:
    told = Transaction(Stage.MESSAGE, OK, {0: OK, 1: UNKNOWN}, UNKNOWN, dot_sent=True)
    assert outcomes(told, (0, 1)).dead == {0, 1}
    lost = Transaction(Stage.MESSAGE, OK, {0: OK, 1: OK}, UNKNOWN, dot_sent=True)
    assert outcomes(lost, (0, 1)).dead == frozenset()


def test_it_can_be_turned_off_and_limited() -> None:
    found = Installation(suppress="off")
    found.said(to_rcpt(UNKNOWN))
    assert found.suppressed() == []
    found = Installation(suppress_days=30)
    found.said(to_rcpt(UNKNOWN))
    (entry,) = found.suppressed()
    assert entry.expires_ms == found.clock.now_ms() + 30 * DAY_MS


def test_a_store_that_does_not_take_it_holds_up_no_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Installation()

    async def away(entries: object) -> list[bool]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(found.queue, "suppress", away)
    with structlog.testing.capture_logs() as logged:
        settled = found.said(to_rcpt(UNKNOWN))
    assert settled.statuses[0].value == "bounced"
    (line,) = [each for each in logged if each["event"] == "addresses_not_suppressed"]
    assert line["count"] == 1
    assert "example.test" not in str(line)


def test_a_server_that_calls_everybody_dead_suppresses_nobody_more() -> None:
    """A provider whose directory is gone: each bounces, and few are on the list for good."""
    found = Installation()
    with structlog.testing.capture_logs() as logged:
        statuses = [
            found.said(to_rcpt(UNKNOWN), 1, f"app{number}").statuses[0].value
            for number in range(30)
        ]
        found.said(to_rcpt(*[UNKNOWN] * 9, OK), 10)
    assert statuses == ["bounced"] * 30
    assert found.store.ledger().count("suppressed") == LEAST_DEAD - 1
    assert found.pipeline._metrics.suppressions_withheld == 30 - (LEAST_DEAD - 1) + 9
    (line,) = [each for each in logged if each["event"] == "suppression_braked"]
    assert (line["hop"], line["called_dead"], line["delivered"]) == ("relay", LEAST_DEAD, 0)
    assert "example.test" not in str(line)


def test_a_server_that_delivers_most_goes_on_suppressing() -> None:
    found = Installation()
    for number in range(30):
        found.said(to_rcpt(UNKNOWN, UNKNOWN, OK), 3, f"app{number}")
    assert found.store.ledger().count("suppressed") == 60
    assert found.pipeline._metrics.suppressions_withheld == 0


def test_nothing_is_withheld_where_nothing_is_suppressed() -> None:
    found = Installation(suppress="off")
    for _ in range(30):
        found.said(to_rcpt(UNKNOWN))
    assert found.pipeline._metrics.suppressions_withheld == 0


def test_what_a_5xx_asks_to_try_again_is_tried_again() -> None:
    found = Installation()
    assert found.said(to_rcpt(BUSY)).statuses[0].value == "deferred"
    assert found.later(70)[0].statuses[0].value == "delivered"


def test_categories_are_counted() -> None:
    found = Installation()
    settled = found.said(to_rcpt(OK, UNKNOWN, SPAM), 3)
    assert [each for each in settled.counted if each.startswith("t:")] == [
        "t:1:d:none", "t:1:b:mailbox_unknown", "t:1:b:reputation",
    ]  # fmt: skip
    lost = Transaction(Stage.MESSAGE, OK, {0: OK}, None, "connection lost", dot_sent=True)
    assert "t:1:u:connection" in found.said(lambda _: lost).counted


def test_the_providers_name_counts() -> None:
    reply = Reply(550, "", "Requested action not taken: mailbox unavailable")
    told = Told(SHIPPED)
    (found,) = outcomes(Transaction(Stage.RCPT, OK, {0: reply}), (0,)).replies
    for hop, dead in (("relay", False), ("mx:hotmail-com.olc.protection.outlook.com~abc", True)):
        assert told.of(hop, found) == {"category": "mailbox_unknown", "suppresses": dead}


def test_a_changed_file_is_taken_by_those_who_run() -> None:
    found = Installation()
    rule: dict[str, Any] = {
        "name": "r", "codes": [550], "outcome": "deferral", "category": "policy", "scope": "site",
    }  # fmt: skip
    values = msgspec.convert({"classification": {"reply": [rule]}}, Settings)
    found.pipeline.classify_by(type(found.pipeline._conclude.classification)(values))
    assert found.said(to_rcpt(UNKNOWN)).statuses[0].value == "deferred"
    assert found.suppressed() == []


def test_what_was_delivered_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain way costs nothing: no provider is looked up, no text is read."""
    found = Installation()

    def asked(*arguments: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(found.pipeline._conclude, "_reader", asked)
    assert asyncio.iscoroutinefunction(found.queue.suppress)
    assert found.said(to_message(OK)).statuses[0].value == "delivered"
