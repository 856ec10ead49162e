"""Recipients who are on the list when their mail starts: nothing is sent to them, others go on."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from shared import report
from shared.classification.told import Told
from shared.model.leg import LegFlag, RecipientReply
from shared.model.message import Content, Recipient
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.routing import Routes
from shared.settings import Settings
from shared.store.ports import Claimed, Settlement, Verb
from tests.support.smtp_client import Held
from tests.unit.workers.test_pipeline import OK, Server, System, to
from workers.smtp import Envelope, Reply, Stage, Transaction
from workers.smtp.types import Lease
from workers.starts import started, starting
from workers.suppressed import told

DAY_MS = 86_400_000
AT_MS = 20_777 * DAY_MS  # 2026-11-20.


def entry(address: str, **fields: Any) -> Suppression:
    values: dict[str, Any] = {"reason": "complaint", "source": "arf", "at_ms": AT_MS} | fields
    return Suppression(address, **values)


class Listed(System):
    """One whose store has a list."""

    def put(self, *entries: Suppression) -> None:
        """Put on it."""
        self.store.run(self.store.queue().suppress(entries))

    def claimed(self) -> list[Claimed]:
        """What may go, claimed and started as a worker does."""
        claim = self.store.claim(start=False)

        async def start() -> list[Claimed]:
            answers = await self.store.queue().start([starting(each) for each in claim.legs])
            return [started(*each) for each in zip(claim.legs, answers, strict=True)]

        return self.store.run(start())

    def deliver(self, claimed: Claimed) -> Settlement:
        """One leg, settled."""
        lease: Any = Held()
        settlement = asyncio.run(self.pipeline.deliver(claimed, lease))
        self.store.settle(settlement)
        return settlement

    def told(self, identifier: bytes) -> list[dict[str, Any]]:
        """What is shown of the recipients."""
        stored = self.store.spool.get(identifier)
        assert stored is not None
        shown: list[dict[str, Any]] = report.message(stored, Routes(Settings()), Told(Settings()))[
            "recipients"
        ]
        return shown


class Refusing(Server):
    """One that takes nobody."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction."""
        self.taken.append((envelope, message))
        no = Reply(550, "5.1.1", "nobody here")
        replies = {index: no for index, _ in envelope.recipients}
        return Transaction(Stage.RCPT, OK, replies)


TOLD = "on the suppression list: complaint, since 2026-11-20 (arf)"


def test_nothing_is_sent_where_nobody_is_left() -> None:
    system = Listed()
    identifier = system.accept(to("Jane@b.test", "john@b.test"), Content("x"))
    system.put(entry("jane@b.test"), entry("john@b.test", reason="manual", source="", at_ms=0))
    (claimed,) = system.claimed()
    settlement = system.deliver(claimed)
    assert system.server.asked == 0
    assert system.store.statuses(identifier) == ["suppressed"] * 2
    assert settlement.attempts == 0
    assert settlement.counted == ("o|app|other|suppressed",) * 2
    jane, john = system.told(identifier)
    (why,) = jane["attempts"]
    assert (why["outcome"], why["reply"], why["note"]) == ("suppressed", TOLD, "suppressed")
    assert (why["code"], why["charged"], jane["attempt_count"]) == (None, False, 0)
    assert john["attempts"][0]["reply"] == "on the suppression list: manual"
    assert system.store.ledger() == ["accepted", "suppressed", "suppressed", "attempt"]
    system.store.reconcile()


def test_the_others_of_a_leg_get_their_copy() -> None:
    system = Listed()
    identifier = system.accept(to("a@b.test", "b@b.test", "c@gmail.com"), Content("x"))
    system.put(entry("b@b.test"))
    (claimed,) = system.claimed()
    settlement = system.deliver(claimed)
    ((envelope, _),) = system.server.taken
    assert envelope.recipients == ((0, "a@b.test"), (2, "c@gmail.com"))
    assert system.store.statuses(identifier) == ["delivered", "suppressed", "delivered"]
    counted = [each for each in settlement.counted if each.startswith("o|")]
    assert sorted(counted) == [
        "o|app|other|delivered", "o|app|other|delivered", "o|app|other|suppressed",
    ]  # fmt: skip
    attempt = msgspec.msgpack.decode(settlement.event)
    assert sorted((reply[0], reply[1]) for reply in attempt[2]) == [(0, "d"), (1, "p"), (2, "d")]
    first, second, third = system.told(identifier)
    assert [each["outcome"] for each in first["attempts"]] == ["delivered"]
    assert [each["outcome"] for each in second["attempts"]] == ["suppressed"]
    assert [each["attempt_count"] for each in (first, second, third)] == [1, 0, 1]
    system.store.reconcile()


def test_bounced_beside_suppressed_are_told_apart() -> None:
    system = Listed(server=Refusing())
    identifier = system.accept(to("a@b.test", "b@b.test"), Content("x"))
    system.put(entry("b@b.test"))
    (claimed,) = system.claimed()
    settlement = system.deliver(claimed)
    assert system.store.statuses(identifier) == ["bounced", "suppressed"]
    assert set(settlement.counted) == {
        "o|app|other|bounced", "o|app|other|suppressed", "t:1:b:mailbox_unknown",
    }  # fmt: skip
    assert settlement.attempts == 1


def test_who_is_listed_between_two_attempts_is_not_tried_again() -> None:
    system = Listed(server=Deferring())
    identifier = system.accept(to("a@b.test", "b@b.test"), Content("x"))
    (claimed,) = system.claimed()
    system.deliver(claimed)
    assert system.store.statuses(identifier) == ["deferred"] * 2
    system.put(entry("a@b.test"))
    system.store.clock.advance(100)
    system.store.pump()
    (claimed,) = system.claimed()
    system.deliver(claimed)
    assert system.store.statuses(identifier) == ["suppressed", "deferred"]
    assert [envelope.recipients for envelope, _ in system.server.taken] == [
        ((0, "a@b.test"), (1, "b@b.test")), ((1, "b@b.test"),),
    ]  # fmt: skip
    first, second = system.told(identifier)
    assert [each["outcome"] for each in first["attempts"]] == ["deferred", "suppressed"]
    assert [each["outcome"] for each in second["attempts"]] == ["deferred", "deferred"]
    assert (first["attempt_count"], second["attempt_count"]) == (1, 2)
    system.store.reconcile()


class Deferring(Server):
    """One that takes nobody now."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction."""
        self.taken.append((envelope, message))
        later = Reply(451, "4.2.1", "later")
        replies = {index: later for index, _ in envelope.recipients}
        return Transaction(Stage.RCPT, OK, replies)


class Away(Server):
    """One that cannot be connected to."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """No transaction."""
        return Transaction(Stage.CONNECT, trouble="connection refused")


def test_what_goes_back_unsent_is_asked_about_again() -> None:
    system = Listed(server=Away())
    identifier = system.accept(to("a@b.test", "b@b.test"), Content("x"))
    system.put(entry("b@b.test"))
    (claimed,) = system.claimed()
    assert system.deliver(claimed).verb is Verb.RELEASE
    assert system.store.statuses(identifier) == ["queued"] * 2
    told = system.told(identifier)
    assert not any(each["outcome"] for one in told for each in one["attempts"])
    system.store.reconcile()


def test_a_leg_that_is_split_is_split_whole() -> None:
    """Each part is asked about when it starts."""
    system = Listed("8BITMIME")
    people = [*to("a@b.test", "c@b.test"), Recipient("bcc", "jörg@b.test")]
    identifier = system.accept(people, Content("x"))
    system.put(entry("a@b.test"))
    while legs := system.claimed():
        for each in legs:
            system.deliver(each)
    assert system.store.statuses(identifier) == ["suppressed", "delivered", "bounced"]
    ((envelope, _),) = system.server.taken
    assert envelope.recipients == ((1, "c@b.test"),)
    system.store.reconcile()


class Dying(Server):
    """One at whose final dot the worker looks at what it has committed."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction, whose reply nobody hears."""
        replies = {index: OK for index, _ in envelope.recipients}
        so_far = Transaction(Stage.MESSAGE, OK, replies, dot_sent=True)
        held: Any = lease
        self.committed = held.at_dot(so_far)
        return msgspec.structs.replace(so_far, trouble="timed out")


def test_a_held_message_commits_at_the_dot_who_is_suppressed() -> None:
    server = Dying()
    system = Listed(server=server)
    system.accept(to("a@b.test", "b@b.test"), Content("x"))
    system.put(entry("b@b.test"))
    (claimed,) = system.claimed()
    leg = msgspec.structs.replace(claimed.leg, flags=LegFlag.HOLD)
    lease: Any = Held()
    held = msgspec.structs.replace(claimed, leg=leg)
    settlement = asyncio.run(system.pipeline.deliver(held, lease))
    statuses, attempt = server.committed
    assert statuses == (Status.QUEUED, Status.SUPPRESSED)
    assert RecipientReply(1, "p", text=TOLD) in attempt.replies
    assert settlement.statuses == (Status.UNCERTAIN, Status.SUPPRESSED)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (entry("a@b.test"), TOLD),
        (entry("a@b.test", source=""), "on the suppression list: complaint, since 2026-11-20"),
        (
            entry("a@b.test", reason="unsubscribe", source="one-click", list="news"),
            "on the suppression list: unsubscribe from news, since 2026-11-20 (one-click)",
        ),
        (entry("a@b.test", detail="550 5.1.1", reason="bounce", at_ms=0, source="smtp"),
         "on the suppression list: bounce (smtp)"),
    ],
)  # fmt: skip
def test_why_is_told_in_words(found: Suppression, words: str) -> None:
    assert told(found) == words
    assert len(told(msgspec.structs.replace(found, list="x" * 500))) <= 200
