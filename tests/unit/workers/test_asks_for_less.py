"""What becomes of a leg whose server asks for less or has no room: against a store and a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from shared import report
from shared.classification.told import Told
from shared.clock import ManualClock
from shared.errors import StoreUnavailable
from shared.model.leg import Leg, LegState
from shared.model.message import Head
from shared.routing import Routes
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from shared.store.ports import Claimed, Settlement, Verb
from tests.support.smtp_client import Held
from tests.support.stores import MemoryTestStore, settings
from workers.pipeline import Pipeline
from workers.route import NextHop
from workers.shapes import Shapes
from workers.sign import Dkim
from workers.smtp import Envelope, Reply, Stage, Transaction
from workers.smtp.types import Lease
from workers.trouble import FIRST_MS, LONGEST_MS

OK = Reply(250, "2.0.0", "ok")
SLOW = Reply(450, "4.7.1", "slow down")
HINT = Reply(450, "4.7.1", "a little slower")
GREY = Reply(450, "4.7.1", "greylisted")
FULL = Reply(452, "4.5.3", "too many recipients")
RULES = [
    {"name": "words", "text": "slow down", "suspend_seconds": 5, "slow": True},
    {"name": "hints", "text": "a little slower", "slow": True},
    {"name": "wink", "text": "wink", "suspend_seconds": 0.001},
]
Answer = Callable[[Envelope], Transaction]


def to_rcpt(*replies: Reply) -> Answer:
    """By the position of a recipient; who has none is taken."""

    def answer(envelope: Envelope) -> Transaction:
        said = (*replies, *[OK] * len(envelope.recipients))
        found = {index: said[at] for at, (index, _) in enumerate(envelope.recipients)}
        taken = any(each.code == 250 for each in found.values())
        return Transaction(Stage.MESSAGE, OK, found, OK if taken else None, dot_sent=taken)

    return answer


def to_message(reply: Reply) -> Answer:
    def answer(envelope: Envelope) -> Transaction:
        found = {index: OK for index, _ in envelope.recipients}
        return Transaction(Stage.MESSAGE, OK, found, reply, dot_sent=True)

    return answer


def banner(reply: Reply) -> Answer:
    return lambda envelope: Transaction(Stage.BANNER, trouble_reply=reply)


class Server:
    """Answers as told, in turn; then takes everything."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[list[int]] = []

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction."""
        self.asked.append([index for index, _ in envelope.recipients])
        return self.answers.pop(0)(envelope) if self.answers else to_message(OK)(envelope)


class Hops:
    """Every relay is this server."""

    def __init__(self, server: Server) -> None:
        self._hop = NextHop(server)

    def find(self, hop: str) -> NextHop | None:
        """The next hop."""
        return self._hop

    def reroute(self, leg: Leg, head: Head) -> tuple[Leg, ...]:
        """Nothing is gone."""
        raise AssertionError(leg)


class System:
    """A store, a pipeline and a server; the lanes' work is done by `step`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryTestStore(settings(), self.clock)
        self.server, self.shapes = Server(), Shapes(self.clock)
        self.shapes.apply(Shaping(msgspec.convert({"shaping": {"rule": RULES}}, Settings)))
        self.pipeline = Pipeline(
            settings(), self.store.queue(), self.clock, Hops(self.server), Dkim({}, self.clock),
            shapes=self.shapes,
        )  # fmt: skip

    def deliver(self, claimed: Claimed, since: float | None = None) -> Settlement:
        lease: Any = Held()
        lease.since = self.clock.monotonic() if since is None else since
        return asyncio.run(self.pipeline.deliver(claimed, lease))

    def step(self) -> list[Settlement]:
        """Deliver what may go now."""
        done = []
        for each in self.store.claim().legs:
            done.append(self.deliver(each))
            self.store.settle(done[-1])
        return done

    def later(self, seconds: float) -> list[Settlement]:
        self.clock.advance(seconds)
        self.store.pump()
        return self.step()

    def all(self) -> None:
        """Deliver until nothing may go, with the pump between."""
        while self.step() or self.later(0.3):
            pass

    def legs(self, mail: bytes) -> tuple[Leg, ...]:
        stored = self.store.spool.get(mail)
        assert stored is not None
        return stored.legs

    def leg(self, mail: bytes) -> Leg:
        (leg,) = self.legs(mail)
        return leg

    def counts(self, mail: bytes) -> list[int]:
        """`attempt_count` of each recipient, as the API shows it."""
        stored = self.store.spool.get(mail)
        assert stored is not None
        return [
            each["attempt_count"]
            for each in report.message(stored, Routes(Settings()), Told(Settings()))["recipients"]
        ]

    def pause(self) -> tuple[str, int]:
        """Why the relay stands still, and for how long from now."""
        (row,) = (each for each in self.store.operations.destinations() if each.pause)
        assert row.pause is not None
        return row.pause.reason, (row.pause.until_ms or 0) - self.clock.now_ms()


@pytest.mark.parametrize(
    "answer",
    [banner(SLOW), to_rcpt(SLOW, SLOW), to_message(SLOW),
     lambda envelope: Transaction(Stage.MAIL, SLOW)],
)  # fmt: skip
@pytest.mark.parametrize("hold", [False, True])
def test_a_throttled_leg_keeps_its_place_and_its_attempts(answer: Answer, hold: bool) -> None:
    system = System()
    mail = system.store.accept(recipients=2, hold=hold)
    system.server.answers = [answer]
    (settlement,) = system.step()
    assert (settlement.verb, settlement.retry_after_ms) == (Verb.RELEASE, 0)
    leg = system.leg(mail)
    assert (leg.state, leg.attempts, set(system.store.statuses(mail))) == (
        LegState.READY, 0, {"queued"},
    )  # fmt: skip
    assert not any(each.charged for each in leg.history)
    assert "450 4.7.1" in system.pause()[0]
    assert system.pause()[1] == 5000
    (row,) = system.store.operations.destinations()
    assert row.refusal is not None
    assert row.refusal.text == "450 4.7.1 slow down"
    assert system.step() == []
    (settlement,) = system.later(5)
    assert set(system.store.statuses(mail)) == {"delivered"}
    assert system.leg(mail).attempts == 1
    system.store.reconcile()


def test_a_held_leg_that_is_throttled_at_its_dot_is_not_uncertain() -> None:
    system = System()
    mail = system.store.accept(hold=True)
    (claimed,) = system.store.claim().legs
    system.server.answers = [to_message(SLOW)]
    settlement = system.deliver(claimed)
    (status,) = claimed.leg.statuses
    assert system.store.dot(claimed, status)  # As the transaction had it before its dot.
    system.store.settle(settlement)
    leg = system.leg(mail)
    assert [each.note for each in leg.history] == ["asked for less: 450 4.7.1 (rule words)"]
    assert system.store.statuses(mail) == ["queued"]


def test_whoever_is_throttled_beside_others_is_charged_nothing() -> None:
    system = System()
    mail = system.store.accept(recipients=3)
    system.server.answers = [to_rcpt(OK, SLOW, SLOW)]
    (settlement,) = system.step()
    assert (settlement.attempts, settlement.retry_after_ms) == (0, FIRST_MS)
    assert not settlement.answered
    tried, spared = system.leg(mail).history
    assert [each.recipient for each in tried.replies] == [0]
    assert ([each.recipient for each in spared.replies], spared.charged) == ([1, 2], False)
    assert spared.note == "asked for less"
    assert system.later(1) == []  # The relay stands still.
    system.later(4)
    assert system.store.statuses(mail) == ["delivered"] * 3
    assert system.counts(mail) == [1, 1, 1]
    assert system.server.asked == [[0, 1, 2], [1, 2]]


def test_who_is_deferred_for_another_reason_beside_them_is_charged() -> None:
    system = System()
    mail = system.store.accept(recipients=3)
    system.server.answers = [to_rcpt(OK, SLOW, GREY)]
    (settlement,) = system.step()
    assert settlement.attempts == 1
    assert settlement.retry_after_ms > FIRST_MS
    assert system.leg(mail).attempts == 1


def test_greylisting_or_a_full_mailbox_suspends_nothing() -> None:
    system = System()
    for reply in (GREY, Reply(452, "4.2.2", "mailbox full, slow down")):
        system.store.accept()
        system.server.answers.append(to_rcpt(reply))
    assert [each.verb for each in system.step()] == [Verb.SETTLE] * 2
    assert all(each.pause is None for each in system.store.operations.destinations())


def test_a_rule_that_only_slows_charges_and_suspends_nothing() -> None:
    system = System()
    for _ in range(3):
        system.store.accept()
    system.server.answers = [to_message(OK), to_message(HINT)]
    settlements = system.step()
    assert [(each.verb, each.attempts, each.answered) for each in settlements] == [
        (Verb.SETTLE, 1, True), (Verb.SETTLE, 1, False), (Verb.SETTLE, 1, True),
    ]  # fmt: skip
    (row,) = system.store.operations.destinations()
    assert row.pause is None
    assert row.slowed is not None
    assert row.slowed.steps == 1


def test_a_rule_that_only_slows_still_has_a_greeting_wait() -> None:
    """A session that does not come about is trouble: to try it again at once would be a loop."""
    system = System()
    system.store.accept()
    system.server.answers = [banner(HINT)] * 9
    system.step()
    assert system.pause()[1] == FIRST_MS
    assert system.step() == []


@pytest.mark.parametrize("replies", [(OK,), ()])
def test_no_pause_is_shorter_than_a_second(replies: tuple[Reply, ...]) -> None:
    system = System()
    system.store.accept(recipients=2)
    system.server.answers = [to_rcpt(*replies, *[Reply(450, "4.7.1", "wink")] * 2)]
    system.step()
    assert system.pause()[1] == FIRST_MS


def test_one_that_is_told_the_same_twice_lets_others_probe() -> None:
    system = System()
    first, second = system.store.accept(), system.store.accept()
    (claimed, _) = system.store.claim(limit=2).legs
    system.server.answers = [to_message(SLOW), to_message(SLOW)]
    system.store.settle(system.deliver(claimed))
    system.clock.advance(5)
    (claimed,) = (each for each in system.store.claim().legs)
    assert claimed.leg_id[:16] == first
    settlement = system.deliver(claimed)
    assert settlement.retry_after_ms == LONGEST_MS
    system.store.settle(settlement)
    assert len(system.leg(first).history) == 1  # It is kept once.
    assert system.pause()[1] == 10_000
    assert system.leg(second).state is LegState.LEASED


def test_what_is_in_hand_when_it_is_asked_for_less_goes_back_untried() -> None:
    system = System()
    mails = [system.store.accept() for _ in range(5)]
    claimed = system.store.claim().legs
    system.server.answers = [to_message(SLOW)]
    since = system.clock.monotonic()
    system.clock.advance(0.1)
    for each in claimed:
        system.store.settle(system.deliver(each, since))
    assert len(system.server.asked) == 1
    assert [system.leg(mail).state for mail in mails] == [LegState.READY] * 5
    assert [len(system.leg(mail).history) for mail in mails] == [1, 0, 0, 0, 0]
    assert system.step() == []
    system.later(5)
    system.all()
    assert {*map(tuple, map(system.store.statuses, mails))} == {("delivered",)}


def test_a_resumed_destination_is_sent_to_at_once() -> None:
    """What this process remembers is about what it had then, and does not stand against it."""
    system = System()
    mail = system.store.accept()
    system.server.answers = [to_message(SLOW)]
    system.step()
    system.clock.advance(0.1)
    assert system.store.operations.resume("relay")
    system.step()
    assert system.store.statuses(mail) == ["delivered"]


def test_a_store_that_does_not_answer_is_no_reason_to_ask_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = System()
    system.store.accept()
    system.server.answers = [to_message(SLOW)]

    async def away(*given: Any, **options: Any) -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(system.pipeline._conclude.troubles._queue, "trouble", away)
    (settlement,) = system.step()
    assert (settlement.verb, settlement.retry_after_ms) == (Verb.RELEASE, FIRST_MS)


def test_who_was_too_many_goes_on_and_the_next_message_is_split_beforehand() -> None:
    system = System()
    mail = system.store.accept(recipients=7)
    system.server.answers = [to_rcpt(OK, OK, OK, FULL, FULL, FULL, FULL)]
    (settlement,) = system.step()
    assert (settlement.attempts, settlement.retry_after_ms, settlement.answered) == (0, 0, True)
    assert system.shapes.most_recipients("relay") == 3
    system.all()
    assert system.server.asked == [[0, 1, 2, 3, 4, 5, 6], [3, 4, 5], [6]]
    assert system.store.statuses(mail) == ["delivered"] * 7
    assert system.counts(mail) == [1] * 7
    system.server.asked.clear()
    mail = system.store.accept(recipients=7)
    system.all()
    assert system.server.asked == [[0, 1, 2], [3, 4, 5], [6]]
    assert system.store.statuses(mail) == ["delivered"] * 7
    system.store.reconcile()


def test_one_that_is_greylisted_beside_them_does_not_count_their_rounds() -> None:
    system = System()
    mail = system.store.accept(recipients=4)
    system.server.answers = [
        to_rcpt(GREY, OK, FULL, FULL), to_rcpt(GREY, OK, FULL), to_rcpt(GREY, OK),
    ]  # fmt: skip
    system.shapes.learn = lambda hop, taken: None  # type: ignore[method-assign]  # It is forgotten.
    (first,), (second,), (third,) = system.step(), system.later(0.3), system.later(0.3)
    assert system.server.asked == [[0, 1, 2, 3], [0, 2, 3], [0, 3]]
    assert [each.attempts for each in (first, second, third)] == [0, 0, 1]
    assert first.retry_after_ms == second.retry_after_ms == 0
    assert third.retry_after_ms >= 50_000  # The first of the schedule.
    assert system.store.statuses(mail) == ["deferred", "delivered", "delivered", "delivered"]
    assert system.counts(mail) == [3, 1, 1, 1]


def test_a_server_without_room_that_then_refuses_is_asked_again_by_the_schedule() -> None:
    system = System()
    mail = system.store.accept(recipients=3)

    def answer(envelope: Envelope) -> Transaction:
        found = {index: FULL if at else OK for at, (index, _) in enumerate(envelope.recipients)}
        return Transaction(Stage.MESSAGE, OK, found, Reply(451, "4.3.0", "no"), dot_sent=True)

    system.server.answers = [answer] * 99
    system.all()
    assert len(system.server.asked) == 1
    assert system.leg(mail).attempts == 1


def test_a_server_that_takes_one_domain_gets_one_in_each() -> None:
    system = System()
    domains = Reply(451, "4.3.0", "Multiple destination domains per transaction is unsupported.")

    def by_domain(envelope: Envelope) -> Transaction:
        first = envelope.recipients[0][1].rpartition("@")[2]
        found = {i: OK if each.endswith(first) else domains for i, each in envelope.recipients}
        return Transaction(Stage.MESSAGE, OK, found, OK, dot_sent=True)

    system.server.answers = [by_domain] * 9
    for asked in ([[0, 1, 2, 3], [1, 3], [2]], [[0], [1, 3], [2]]):
        submission = system.store.submission(recipients=4)
        head = submission.message.head
        people = tuple(
            msgspec.structs.replace(each, email=f"p@{domain}.test")
            for each, domain in zip(head.recipients, "abcb", strict=True)
        )
        message = msgspec.structs.replace(
            submission.message, head=msgspec.structs.replace(head, recipients=people)
        )
        system.store.spool.accept([msgspec.structs.replace(submission, message=message)])
        system.server.asked.clear()
        system.all()
        assert system.server.asked == asked
        assert system.store.statuses(message.id) == ["delivered"] * 4


def test_a_limit_that_the_store_could_not_be_told_is_told_with_the_next_leg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = System()
    system.shapes.see("a", ("mx.a.test",))
    told: list[str] = []

    async def limits(found: dict[str, object]) -> None:
        told.extend(found)
        if told == ["mx:a"]:
            raise StoreUnavailable("away")

    monkeypatch.setattr(system.pipeline._queue, "limits", limits)
    for _ in range(3):
        asyncio.run(system.pipeline._tell_limit("mx:a@r"))
    assert told == ["mx:a", "mx:a"]
