"""The whole pipeline over the in-memory store and a clock that is moved: days take milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

from shared.clock import ManualClock
from shared.model.leg import Leg
from shared.model.message import Head
from shared.model.status import Status
from shared.parting import rerouted
from shared.routing import Routes
from shared.settings import ClassRetrySettings, RetrySettings, Settings
from shared.store.ports import Claimed, Settled, Settlement
from tests.support.smtp_client import Held
from tests.support.stores import MemoryTestStore
from workers.leases import Lease
from workers.pipeline import Pipeline
from workers.route import NextHop
from workers.sign import Dkim
from workers.smtp import Envelope, Reply, Stage, Transaction
from workers.smtp.types import Lease as Right

OK = Reply(250, "2.0.0", "Ok")
DELIVERED = Transaction(Stage.MESSAGE, OK, {0: OK}, OK, dot_sent=True)
BUSY = Transaction(Stage.RCPT, OK, {0: Reply(450, "4.2.1", "try later")})
LOST = Transaction(Stage.MESSAGE, OK, {0: OK}, None, "connection lost", None, True, 512)
REFUSED = Transaction(Stage.CONNECT, trouble="connection refused")
NOT_OURS = Transaction(Stage.RCPT, OK, {0: Reply(554, "5.7.1", "Relay access denied")})


class Relay:
    """A transport that answers as told; one hop for all names."""

    def __init__(self, answer: Callable[[Envelope], Transaction]) -> None:
        self.answer = answer
        self.sent: list[bytes] = []
        self.default = "relay"

    async def send(
        self, envelope: Envelope, message: bytes, lease: Right, *, urgent: bool = False
    ) -> Transaction:
        self.sent.append(message)
        return self.answer(envelope)

    def find(self, hop: str) -> NextHop | None:
        return NextHop(self, signed=False) if hop == "relay" else None

    def reroute(self, leg: Leg, head: Head) -> tuple[Leg, ...]:
        """To the first relay."""
        return rerouted(leg, head, Routes(Settings()))


class World:
    """Store, clock, pipeline and relay."""

    def __init__(self, answer: Callable[[Envelope], Transaction], **retry: object) -> None:
        self.clock = ManualClock()
        retries = RetrySettings(jitter=0, **retry)  # type: ignore[arg-type]
        self.settings = Settings(retry=retries)
        self.store = MemoryTestStore(self.settings, self.clock)
        self.relay = Relay(answer)
        self.pipeline = Pipeline(
            self.settings, self.store.queue(), self.clock, self.relay, Dkim({}, self.clock)
        )
        self.began = self.clock.now_ms()
        self.attempts: list[float] = []
        """Minutes after the beginning."""

    def work(self) -> int:
        """Claim and deliver everything that may go; how many legs."""
        done = 0
        for name in ("critical", "transactional", "bulk"):
            for claimed in self.store.claim(name, limit=500, quantum=500).legs:
                self._deliver(claimed)
                done += 1
        return done

    def _deliver(self, claimed: Claimed) -> None:
        before = len(self.relay.sent)

        async def deliver() -> Settlement:
            return await self.pipeline.deliver(claimed, cast("Lease", Held()))

        settlement = self.store.run(deliver())
        assert self.store.settle(settlement) == [Settled.DONE]
        if len(self.relay.sent) > before:
            self.attempts.append((self.clock.now_ms() - self.began) / 60_000)

    def go(self, days: float, step_seconds: int = 60) -> None:
        """Let time go by."""
        for _ in range(int(days * 86_400 / step_seconds)):
            self.work()
            self.clock.advance(step_seconds)
            self.store.pump()


def test_a_message_is_tried_for_five_days_and_expires() -> None:
    world = World(lambda envelope: BUSY)
    identifier = world.store.accept()
    world.go(5.1)
    assert [round(each) for each in world.attempts[:6]] == [0, 1, 6, 21, 51, 111]
    assert all(later - earlier <= 121 for earlier, later in pairwise(world.attempts))
    assert world.attempts[-1] < 5 * 24 * 60
    assert world.store.statuses(identifier) == ["expired"]
    stored = world.store.spool.get(identifier)
    assert stored is not None
    assert len(stored.legs[0].all_attempts()) == len(world.attempts) > 55
    assert world.store.ledger() == ["accepted", *["attempt"] * len(world.attempts), "expired"]
    world.store.reconcile()


def test_five_days_count_from_send_at() -> None:
    world = World(lambda envelope: BUSY)
    day = 86_400_000
    submission = world.store.submission(send_in_ms=10 * day)
    assert submission.message.head.give_up_ms  # Set at accept; five days from there in web.
    identifier = world.store.accept(send_in_ms=2 * day)
    world.go(1.9)
    assert world.attempts == []
    world.go(0.2)
    assert 2 * 24 * 60 <= world.attempts[0] <= 2 * 24 * 60 + 2
    assert world.store.statuses(identifier) == ["deferred"]


def test_a_class_expires_at_its_own_time_and_deliver_by_before_it() -> None:
    own = ClassRetrySettings(schedule_seconds=(5, 10), give_up_seconds=600)
    world = World(lambda envelope: BUSY, critical=own)
    timed = world.store.accept(message_class="critical", deliver_by_in_ms=45_000)
    plain = world.store.accept()
    world.go(0.001, step_seconds=1)
    assert world.store.statuses(timed) == ["expired"]
    assert [each for each in world.store.ledger() if each == "expired"] == ["expired"]
    assert world.store.statuses(plain) == ["deferred"]
    assert sum(each < 0.76 for each in world.attempts) >= 5


def test_a_relay_that_is_away_costs_nobody_an_attempt() -> None:
    answers = {"now": REFUSED}
    world = World(lambda envelope: answers["now"])
    ids = [world.store.accept() for _ in range(40)]
    world.store.pump()
    assert world.work() == 40
    assert len(world.relay.sent) == 40
    world.go(0.02, step_seconds=1)
    probes = len(world.relay.sent) - 40
    assert 20 <= probes <= 40, "one leg every minute in the end, never all of them"
    assert {world.store.statuses(each)[0] for each in ids} == {"queued"}
    assert world.store.ledger() == ["accepted"] * 40
    answers["now"] = DELIVERED
    world.go(0.001, step_seconds=1)
    assert {world.store.statuses(each)[0] for each in ids} == {"delivered"}
    for each in ids:
        stored = world.store.spool.get(each)
        assert stored is not None
        assert stored.legs[0].attempts == 1


def test_one_recipient_that_the_relay_refuses_to_relay_wedges_nobody() -> None:
    refused: list[str] = []

    def answer(envelope: Envelope) -> Transaction:
        if envelope.envid != bad.hex():
            return DELIVERED
        refused.append(envelope.envid)
        return NOT_OURS

    world = World(answer)
    world.store.pump()
    bad = world.store.accept()
    ids = [world.store.accept() for _ in range(20)]
    world.go(0.01, step_seconds=1)
    assert {world.store.statuses(each)[0] for each in ids} == {"delivered"}
    assert world.store.statuses(bad) == ["queued"]
    assert 2 <= len(refused) <= 15


def test_uncertain_is_sent_again_or_held() -> None:
    answers = [LOST, LOST, DELIVERED]
    world = World(lambda envelope: answers.pop(0))
    resent, held = world.store.accept(), world.store.accept(hold=True)
    world.go(0.002)
    assert world.store.statuses(resent) == ["delivered"]
    assert world.store.statuses(held) == ["uncertain"]
    assert (
        world.relay.sent[0].split(b"Message-ID: ")[1][:40]
        == (world.relay.sent[2].split(b"Message-ID: ")[1][:40])
    )
    (aside,) = world.store.operations.aside("uncertain", 10)
    (attempt,) = aside.leg.history
    assert (attempt.note, attempt.bytes_sent) == ("connection lost", 512)
    assert (attempt.replies[0].status, attempt.replies[0].code) == (Status.UNCERTAIN.letter, 250)
    world.go(30, step_seconds=3600)
    assert world.store.statuses(held) == ["uncertain"]
    world.store.reconcile()
