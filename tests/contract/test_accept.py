"""Accept: atomic, idempotent, counted."""

from __future__ import annotations

from shared.compression import unpack_content
from shared.model.leg import LegState
from shared.model.status import Status
from shared.store.ports import Accepted, AcceptKind, Idempotency
from tests.support.stores import Store, settlement


def test_an_accepted_message_can_be_read_back(store: Store) -> None:
    submission = store.submission(hops=("a", "b"), recipients=2)
    store.spool.accept([submission])
    stored = store.spool.get(submission.message.id)
    assert stored is not None
    assert stored.head.recipients == submission.message.head.recipients
    assert [leg.hop for leg in stored.legs] == ["a", "b"]
    assert store.statuses(submission.message.id) == ["queued"] * 4
    assert stored.head.content_bytes > 0
    store.reconcile()


def test_an_unknown_message_is_none(store: Store) -> None:
    assert store.spool.get(bytes(16)) is None
    assert store.spool.content(bytes(16)) is None


def test_content_is_there_until_the_last_leg_is_final(store: Store) -> None:
    submission = store.submission(hops=("a", "b"))
    store.spool.accept([submission])
    identifier = submission.message.id
    packed = store.spool.content(identifier)
    assert packed is not None
    assert unpack_content(packed) == submission.message.content
    (claimed,) = store.claim(limit=1).legs
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.spool.content(identifier) == packed
    store.spool.cancel(identifier)
    assert store.spool.content(identifier) is None


def test_the_same_key_makes_one_message(store: Store) -> None:
    key = Idempotency(b"k" * 16, b"f" * 16)
    first = store.submission(idempotency=key, send_in_ms=5000)
    second = store.submission(idempotency=key)
    answers = store.spool.accept([first, second])
    assert answers == [
        Accepted(AcceptKind.ACCEPTED, first.message.id, True),
        Accepted(AcceptKind.REPLAYED, first.message.id, True),
    ]
    assert store.spool.get(second.message.id) is None
    assert store.spool.depth().accepted["transactional"] == 1


def test_the_same_key_for_another_request_is_a_mismatch(store: Store) -> None:
    store.accept(idempotency=Idempotency(b"k" * 16, b"f" * 16))
    other = store.submission(idempotency=Idempotency(b"k" * 16, b"g" * 16))
    assert store.spool.accept([other]) == [Accepted(AcceptKind.MISMATCH, b"")]
    assert store.spool.get(other.message.id) is None
    store.reconcile()


def test_a_key_is_remembered_for_24_hours(store: Store) -> None:
    key = Idempotency(b"k" * 16, b"f" * 16)
    first = store.accept(idempotency=key)
    store.clock.advance(24 * 3600 - 1)
    (answer,) = store.spool.accept([store.submission(idempotency=key)])
    assert answer == Accepted(AcceptKind.REPLAYED, first, False)


def test_a_scheduled_message_waits(store: Store) -> None:
    identifier = store.accept(send_in_ms=60_000)
    assert store.statuses(identifier) == ["scheduled"]
    assert store.claim().legs == ()
    store.pump()
    store.pump_for(61)
    (claimed,) = store.claim().legs
    assert claimed.leg.state is LegState.LEASED
    assert store.statuses(identifier) == ["queued"]


def test_many_items_are_split_into_scripts_and_answered_in_order(store: Store) -> None:
    submissions = [store.submission() for _ in range(257)]
    answers = store.spool.accept(submissions)
    ids = [answer.message_id for answer in answers if isinstance(answer, Accepted)]
    assert ids == [submission.message.id for submission in submissions]
    assert store.spool.depth().ready_legs["transactional"] == 257


def test_accepting_is_an_event(store: Store) -> None:
    identifier = store.accept()
    (event,) = store.spool.events()
    assert (event.kind, event.leg) == ("accepted", identifier)
    assert store.spool.events(after=event.id) == []
