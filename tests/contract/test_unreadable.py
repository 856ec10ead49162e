"""Heads and legs that cannot be read: the others go their way, views show a stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from shared import report
from shared.classification.told import Told
from shared.clock import ManualClock
from shared.model.leg import LegState, leg_id, pack_leg, unpack_leg
from shared.model.message import pack_head
from shared.model.status import Status
from shared.redrive import Choice, Redrive
from shared.routing import Routes
from shared.settings import RetrySettings, Settings
from shared.store.news import late_bounce
from shared.store.ports import ChangeKind, Settled
from shared.store.returns import News
from shared.store.scripts import PREFIX
from tests.support.redis_server import RedisServer
from tests.support.stores import RedisTestStore, Store, settings, settlement

NEWER = b"\x02new"
DAMAGED = {
    "missing": None,
    "empty": b"",
    "first byte": b"\xff\xff",
    "garbage": b"\x01\xc1\xff",
    "another shape": b"\x01\x93\x01\x02\x03",
    "not UTF-8": b"\x01\x91\xa2\xff\xfe",
    "cut off": b"\x01\x9f\xa3app",
}


@pytest.mark.parametrize("packed", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_head_makes_a_dead_letter_and_the_others_go(
    store: Store, packed: bytes | None
) -> None:
    store.pump()
    ids = [store.accept(recipients=2) for _ in range(3)]
    store.put_head(ids[1], packed)
    claim = store.claim()
    assert [each.leg_id[:16] for each in claim.legs] == [ids[0], ids[2]]
    assert (claim.damaged, claim.newer) == (1, 0)
    assert store.statuses(ids[1]) == ["dead", "dead"]
    store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
    store.pump_for(14)
    assert store.claim().legs == ()
    assert store.ledger().count("attempt") == 3
    assert store.spool.depth().attempts["transactional", "l", "other"] == 2
    store.reconcile()
    (aside,) = store.operations.aside("dead", 10)
    assert (aside.leg_id[:16], aside.leg.cause()) == (ids[1], "unreadable")
    assert len(aside.addresses()) == 2
    assert report.set_aside(aside, Told(Settings()))["cause"] == "unreadable"
    redrive = Redrive(store.spool, store.operations, RetrySettings(), store.clock)
    choice = Choice(("dead",), cause="unreadable")
    assert (redrive.requeue(choice).done, store.claim().damaged) == (1, 1)
    assert redrive.drop(choice).done == 1
    assert store.statuses(ids[1]) == ["cancelled", "cancelled"]
    store.reconcile()


def test_a_head_without_all_recipients_is_damaged(store: Store) -> None:
    submission = store.submission(recipients=3)
    head = submission.message.head
    store.spool.accept([submission])
    cut = msgspec.structs.replace(head, recipients=head.recipients[:2])
    store.put_head(submission.message.id, pack_head(cut))
    assert store.claim().damaged == 1
    assert store.statuses(submission.message.id) == ["dead"] * 3
    store.reconcile()


def test_a_head_of_a_newer_release_waits_for_it(store: Store) -> None:
    store.pump()
    submission = store.submission()
    identifier, head = submission.message.id, submission.message.head
    store.spool.accept([submission, store.submission()])
    store.put_head(identifier, NEWER)
    claim = store.claim()
    assert (len(claim.legs), claim.damaged, claim.newer) == (1, 0, 1)
    store.settle(settlement(claim.legs[0], Status.DELIVERED))
    store.pump_for(59)
    assert store.claim().newer == 0
    store.pump_for(2)
    assert store.claim().newer == 1
    store.put_head(identifier, pack_head(head))  # The upgrade.
    store.pump_for(61)
    (claimed,) = store.claim().legs
    assert (claimed.leg_id[:16], claimed.leg.attempts, claimed.leg.crashes) == (identifier, 0, 0)
    store.reconcile()


@pytest.mark.parametrize("packed", [NEWER, *DAMAGED.values()], ids=["newer", *DAMAGED])
def test_views_show_a_stand_in(store: Store, packed: bytes | None) -> None:
    first, second = (store.accept(recipients=2, hold=True) for _ in range(2))
    claims = store.claim().legs
    store.settle(settlement(claims[0], Status.DEAD, note="poison"))
    store.settle(settlement(claims[1], Status.UNCERTAIN, note="timed out"))
    third = store.accept(hops=("a", "b"), recipients=2)
    for each in (first, second, third):
        store.put_head(each, packed)
        stored = store.spool.get(each)
        assert stored is not None
        shown = report.message(stored, Routes(Settings()), Told(Settings()))
        assert shown["subject"] == "(unreadable)"
        assert len(report.statuses(stored)) == len(shown["recipients"]) == len(stored.statuses())
    (dead,) = store.operations.aside("dead", 10)
    (held,) = store.operations.aside("uncertain", 10)
    assert [each.leg.cause() for each in (dead, held)] == ["unreadable"] * 2
    assert [note.note for note in dead.leg.history] == ["poison", "unreadable"]
    assert store.operations.drop([dead.leg_id, held.leg_id]) == [True, True]
    now = store.clock.now_ms()
    assert store.spool.reschedule(third, now, now + 1).kind is ChangeKind.TOO_LATE
    assert store.spool.cancel(third).kind is ChangeKind.CHANGED
    assert store.statuses(third) == ["cancelled"] * 4
    store.reconcile()


# -- damaged legs: the twin has none, for its legs are not packed --------------------------------


@pytest.fixture
def real(redis_server: RedisServer) -> Iterator[RedisTestStore]:
    redis_server.client().flushall()  # This module's own server.
    found = RedisTestStore(settings(redis_server.url), ManualClock())
    found.pump()
    yield found
    found.close()


def rewrite(store: RedisTestStore, identifier: bytes, packed: bytes) -> bytes:
    """Change a packed leg; what it was."""
    key = f"{PREFIX}leg:{identifier[15]}"
    before = store.client.hget(key, identifier)
    store.client.hset(key, identifier, packed)
    assert isinstance(before, bytes)
    return before


def spoil(store: RedisTestStore, identifier: bytes, kind: str) -> None:
    """Damage a packed leg."""
    key = f"{PREFIX}leg:{identifier[15]}"
    before = store.client.hget(key, identifier)
    assert isinstance(before, bytes)
    leg = msgspec.structs.replace(unpack_leg(before), history=(), earlier=b"")
    rewrite(store, identifier, damaged(pack_leg(leg))[kind])


def damaged(good: bytes) -> dict[str, bytes]:
    """A packed leg without history in pieces."""
    at = good.index(b"relay")
    end = 30 + good[29]
    return {
        "empty": b"",
        "one byte": b"\x01",
        "first byte": b"\xff" + good[1:],
        "cut in what is fixed": good[:20],
        "cut in the hop": good[: at + 2],
        "cut in the statuses": good[: end + 1],
        "no history": good[:-1],
        "state": good[:1] + b"\x09" + good[2:],
        "class": good[:2] + b"\x09" + good[3:],
        "times": good[:13] + b"\xff" * 16 + good[29:],
        "hop's length": good[:29] + b"\xff" + good[30:],
        "status": good[: end + 2] + b"!" + good[end + 3 :],
        "kind of history": good[:-1] + b"\x01",
        "history": good[:-1] + b"\x91\xc1",
        "long history": good[:-1] + b"\xdc",
        "history's length": good[:-1] + b"\xc1\xff\xff\x90",
        "earlier history": good[:-1] + b"\xc1\x00\x02ab\x91\xc1",
    }


KINDS = list(damaged(b"\x01" + b"\0" * 28 + b"\x05relay\0\x01q\0\0\x90"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["ready", "suspended", "deferred", "leased"])
def test_a_damaged_leg_becomes_a_dead_letter_wherever_it_is(
    real: RedisTestStore, kind: str, where: str
) -> None:
    submission = real.submission(recipients=2)
    target = leg_id(submission.message.id, 0)
    real.spool.accept([submission])
    if where in ("deferred", "leased"):
        (claimed,) = real.claim(start=False).legs
        if where == "deferred":
            real.settle(settlement(claimed, Status.DEFERRED, retry_ms=1000))
    elif where == "suspended":
        real.operations.suspend("relay", None, "")
    neighbour = real.accept()
    spoil(real, target, kind)
    assert real.spool.get(submission.message.id) is not None
    legs = [each.leg_id[:16] for each in real.claim(start=False).legs]
    assert legs == ([] if where == "suspended" else [neighbour])
    real.pump_for(8)
    if kind.endswith("history") and where == "suspended":  # Its hop stands still; it can be queued.
        real.operations.resume("relay")
    real.claim(start=False)
    real.pump()
    assert real.statuses(submission.message.id) == ["dead", "dead"]
    (aside,) = real.operations.aside("dead", 10)
    assert (aside.leg_id, aside.leg.cause(), aside.leg.legs) == (target, "unreadable", 1)
    assert aside.addresses() == ["r0@example.test", "r1@example.test"]
    depth = real.spool.depth()
    assert depth.by_status["transactional"]["dead"] == 2
    assert depth.ready_legs["transactional"] + depth.leased_legs["transactional"] == 1
    assert depth.deferred_legs["transactional"] == 0
    assert sum(each.deferred for each in real.operations.destinations()) == 0
    real.reconcile()
    assert real.operations.requeue([(target, real.clock.now_ms() + 10**6)]) == [True]
    assert target in [each.leg_id for each in real.claim(start=False).legs] or where == "suspended"


@pytest.mark.parametrize("aside", [Status.DEAD, Status.UNCERTAIN])
@pytest.mark.parametrize("kind", KINDS)
def test_a_leg_that_is_damaged_when_set_aside_is_listed_and_dropped(
    real: RedisTestStore, kind: str, aside: Status
) -> None:
    submission = real.submission(recipients=2, hold=True)
    target = leg_id(submission.message.id, 0)
    real.spool.accept([submission])
    real.settle(*(settlement(each, aside) for each in real.claim().legs))
    spoil(real, target, kind)
    (found,) = real.operations.aside("dead" if aside is Status.DEAD else "uncertain", 10)
    assert (found.leg_id, len(found.head.recipients)) == (target, 2)
    assert found.leg.cause() == "unreadable"
    assert real.operations.drop([target]) == [True]
    assert real.statuses(submission.message.id) == ["cancelled", "cancelled"]
    depth = real.spool.depth()
    assert (depth.dead_legs, depth.held_legs, depth.finished_messages) == (0, 0, 1)
    real.reconcile()


def test_a_damaged_leg_among_others_has_the_recipients_that_are_left(real: RedisTestStore) -> None:
    for at in range(3):
        submission = real.submission(hops=("a", "b", "c"), recipients=2)
        message = submission.message.id
        real.spool.accept([submission])
        rewrite(real, leg_id(message, at), b"\xff")
        claim = real.claim()
        assert (len(claim.legs), claim.damaged) == (2, 1)
        real.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
        real.pump_for(1)
        expected = ["delivered"] * 6
        expected[2 * at : 2 * at + 2] = ["dead", "dead"]
        assert real.statuses(message) == expected
        stored = real.spool.get(message)
        assert stored is not None
        assert len(stored.legs) == 3
        assert stored.legs[at].hop == "abc"[at]
        assert real.operations.drop([leg_id(message, at)]) == [True]
    assert real.spool.depth().finished_messages == 3
    real.reconcile()


@pytest.mark.parametrize("head", [b"\xff", None])
def test_a_damaged_leg_with_a_damaged_head(real: RedisTestStore, head: bytes | None) -> None:
    message = real.accept(recipients=2)
    rewrite(real, leg_id(message, 0), b"\xff")
    real.put_head(message, head)
    assert real.claim().damaged == 1
    real.pump_for(1)
    assert real.statuses(message) == ["dead"]
    assert real.operations.drop([leg_id(message, 0)]) == [True]
    real.reconcile()


@pytest.mark.parametrize("where", ["ready", "suspended", "deferred", "timed"])
def test_a_leg_of_a_newer_release_is_left_to_it(real: RedisTestStore, where: str) -> None:
    message = real.accept(deliver_by_in_ms=10_000 if where == "timed" else None)
    target = leg_id(message, 0)
    if where == "deferred":
        real.settle(*(settlement(each, Status.DEFERRED, retry_ms=9) for each in real.claim().legs))
    if where == "suspended":
        real.operations.suspend("relay", None, "")
    good = rewrite(real, target, b"\x02of another shape")
    assert real.claim().newer == (where in ("ready", "timed"))
    stored = real.spool.get(message)
    assert stored is not None
    assert stored.legs[0].state is LegState.WAITING
    real.pump_for(20)
    real.operations.resume("relay")
    if where == "suspended":
        assert real.claim().newer == 1
    rewrite(real, target, good)  # The upgrade.
    real.pump_for(62)
    if where == "timed":
        assert real.statuses(message) == ["expired"]
    else:
        (claimed,) = real.claim().legs
        assert claimed.leg_id == target
    depth = real.spool.depth()
    assert depth.ready_legs["transactional"] == depth.deferred_legs["transactional"] == 0
    real.reconcile()


@hypothesis.settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)  # fmt: skip
@hypothesis.given(
    at=st.integers(0, 99), data=st.binary(max_size=3), cut=st.booleans(), leased=st.booleans()
)
def test_no_damage_stops_a_script(
    real: RedisTestStore, at: int, data: bytes, cut: bool, leased: bool
) -> None:
    """Whatever is there instead, the neighbour goes its way and the message can be looked at."""
    message = real.accept(recipients=2)
    if leased:
        real.claim()
    packed = real.client.hget(f"{PREFIX}leg:{message[15]}", leg_id(message, 0))
    assert isinstance(packed, bytes)
    at %= len(packed)
    rewrite(
        real,
        leg_id(message, 0),
        packed[:at] + data + (b"" if cut else packed[at + len(data) :]),
    )
    neighbour = real.accept()
    bounce = late_bounce(1, "mx", 1, 550, "5.1.1", "no such user")
    real.returns.news(
        News("bounced", message, b"m", "app", "transactional", "other", b"", 1, bounce)
    )
    real.claim(start=False)
    real.pump_for(8)
    stored = real.spool.get(message)
    assert stored is not None
    report.message(stored, Routes(Settings()), Told(Settings()))
    for each in real.operations.aside("dead", 100):
        report.set_aside(each, Told(Settings()))
    more = True
    while more:  # What seems to have crashed a worker comes alone.
        claim = real.claim(start=False)
        more = claim.more
        outcomes = [settlement(each, Status.DELIVERED) for each in claim.legs]
        assert real.settle(*outcomes) == [Settled.DONE] * len(outcomes)
    assert real.statuses(neighbour) == ["delivered"]
