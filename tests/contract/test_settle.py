"""Settle: outcomes, fences, late ones, and the end of a message."""

from __future__ import annotations

import pytest

from shared.model.leg import LegState
from shared.model.status import Status
from shared.store.ports import Claimed, Settled
from tests.support.stores import Store, release, settlement


def test_delivered_is_final(store: Store) -> None:
    identifier = store.accept()
    (claimed,) = store.claim().legs
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.DONE]
    assert store.statuses(identifier) == ["delivered"]
    stored = store.spool.get(identifier)
    assert stored is not None
    assert stored.legs[0].state is LegState.FINAL
    assert stored.legs[0].attempts == 1
    assert len(stored.legs[0].history) == 1
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_content_goes_with_the_last_leg(store: Store) -> None:
    identifier = store.accept(hops=("a", "b"))

    async def content() -> bytes | None:
        return await store.queue().content(identifier)

    first, second = store.claim().legs
    store.settle(settlement(first, Status.DELIVERED))
    assert store.run(content()) is not None
    assert store.spool.depth().finished_messages == 0
    store.settle(settlement(second, Status.BOUNCED))
    assert store.run(content()) is None
    assert store.spool.depth().finished_messages == 1
    assert store.statuses(identifier) == ["delivered", "bounced"]


def test_the_same_settlement_twice_is_harmless(store: Store) -> None:
    identifier = store.accept()
    (claimed,) = store.claim().legs
    deferral = settlement(claimed, Status.DEFERRED)
    assert store.settle(deferral) == [Settled.DONE]
    before = store.spool.get(identifier), store.ledger()
    assert store.settle(deferral) == [Settled.REFUSED]
    assert (store.spool.get(identifier), store.ledger()) == before


def test_a_deferral_comes_back_by_the_pump(store: Store) -> None:
    identifier = store.accept()
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DEFERRED, retry_ms=30_000))
    assert store.statuses(identifier) == ["deferred"]
    assert store.claim().legs == ()
    store.pump_for(29)
    assert store.claim().legs == ()
    store.pump_for(2)
    (again,) = store.claim().legs
    assert again.leg.attempts == 1
    assert again.leg.crashes == 0


def test_a_deferral_does_not_wait_beyond_the_end(store: Store) -> None:
    identifier = store.accept()
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DEFERRED, retry_ms=10**12))
    stored = store.spool.get(identifier)
    assert stored is not None
    assert stored.legs[0].due_ms == stored.head.give_up_ms


def test_recipients_are_settled_one_by_one(store: Store) -> None:
    identifier = store.accept(recipients=3)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED, Status.DEFERRED, Status.BOUNCED))
    assert store.statuses(identifier) == ["delivered", "deferred", "bounced"]
    store.pump()
    store.pump_for(61)
    (again,) = store.claim().legs
    assert again.leg.open_indices() == (1,)
    store.settle(settlement(again, Status.BOUNCED, Status.DELIVERED, Status.DELIVERED))
    # What was final does not change.
    assert store.statuses(identifier) == ["delivered", "delivered", "bounced"]
    store.reconcile()


def test_a_release_uses_no_attempt_and_keeps_the_place(store: Store) -> None:
    first = store.accept()
    store.accept()
    (claimed,) = store.claim(limit=1).legs
    store.settle(release(claimed))
    again = store.claim(limit=1).legs[0]
    assert again.leg_id[:16] == first
    assert (again.leg.attempts, again.leg.crashes) == (0, 0)


def test_a_delayed_release_waits(store: Store) -> None:
    store.accept()
    (claimed,) = store.claim().legs
    store.settle(release(claimed, retry_ms=5000))
    assert store.claim().legs == ()
    store.pump_for(6)
    assert len(store.claim().legs) == 1


def expire(store: Store) -> None:
    store.pump_for(13)


def test_a_late_delivery_counts_while_nobody_has_claimed(store: Store) -> None:
    identifier = store.accept()
    store.pump()
    (claimed,) = store.claim().legs
    expire(store)
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["delivered"]
    assert store.claim().legs == ()
    assert store.spool.depth().counters["late_delivered"] == 1
    store.reconcile()


def test_a_late_delivery_is_evidence_under_a_newer_claim(store: Store) -> None:
    identifier = store.accept()
    store.pump()
    (old,) = store.claim().legs
    expire(store)
    (new,) = store.claim().legs
    assert store.settle(settlement(old, Status.DELIVERED)) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["queued"]
    assert "late" in store.ledger()
    assert store.renew(new) == [False]
    assert store.start(new) == [False]
    # It stops, and what is known by then makes it final: nothing is sent again.
    assert store.settle(release(new)) == [Settled.DONE]
    assert store.statuses(identifier) == ["delivered"]
    assert store.claim().legs == ()
    store.reconcile()


def test_late_evidence_for_some_recipients_stops_nobody(store: Store) -> None:
    store.accept(recipients=2)
    store.pump()
    (old,) = store.claim().legs
    expire(store)
    (new,) = store.claim().legs
    late = settlement(old, Status.DELIVERED, Status.DEFERRED)
    assert store.settle(late) == [Settled.REFUSED]
    assert store.renew(new) == [True]


def test_late_evidence_outlives_the_holder(store: Store) -> None:
    identifier = store.accept()
    store.pump()
    (old,) = store.claim().legs
    expire(store)
    store.claim()
    store.settle(settlement(old, Status.DELIVERED))
    expire(store)
    assert store.statuses(identifier) == ["delivered"]
    assert store.ledger() == ["accepted", "crashed", "late"]
    store.reconcile()


def test_a_late_delivery_counts_after_the_newer_claim_deferred(store: Store) -> None:
    identifier = store.accept()
    store.pump()
    (old,) = store.claim().legs
    expire(store)
    (new,) = store.claim().legs
    store.settle(settlement(new, Status.DEFERRED))
    assert store.settle(settlement(old, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["delivered"]
    assert store.spool.depth().deferred_legs["transactional"] == 0
    store.reconcile()


def test_a_late_bounce_is_refused_under_a_newer_claim(store: Store) -> None:
    identifier = store.accept()
    store.pump()
    (old,) = store.claim().legs
    expire(store)
    store.claim()
    assert store.settle(settlement(old, Status.BOUNCED)) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["queued"]


def test_uncertain_is_held(store: Store) -> None:
    identifier = store.accept(hold=True)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.UNCERTAIN))
    stored = store.spool.get(identifier)
    assert stored is not None
    assert stored.legs[0].state is LegState.HELD
    assert store.spool.depth().finished_messages == 0
    store.reconcile()


def stopped_at_the_dot(store: Store, **options: object) -> tuple[bytes, Claimed]:
    """A message to be held whose worker was stopped at the final dot, past its lease."""
    identifier = store.accept(hold=True, **options)
    store.pump()
    (claimed,) = store.claim().legs
    assert store.dot(claimed)
    expire(store)
    assert set(store.statuses(identifier)) == {"uncertain"}
    return identifier, claimed


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.BOUNCED])
def test_a_late_answer_to_the_dot_counts_for_a_held_leg(store: Store, status: Status) -> None:
    identifier, claimed = stopped_at_the_dot(store)
    outcome = settlement(claimed, status, note="late")
    assert store.settle(outcome) == [Settled.LATE]
    assert store.statuses(identifier) == [status.value]
    stored = store.spool.get(identifier)
    assert stored is not None
    assert (stored.legs[0].state, stored.legs[0].cause()) == (LegState.FINAL, "late")
    depth = store.spool.depth()
    assert (depth.held_legs, depth.finished_messages) == (0, 1)
    assert depth.counters.get("late_delivered", 0) == (status is Status.DELIVERED)
    assert store.ledger() == ["accepted", "crashed", "attempt"]
    assert store.settle(outcome) == [Settled.REFUSED]
    assert store.ledger() == ["accepted", "crashed", "attempt"]
    store.reconcile()


def test_a_late_deferral_of_a_held_leg_is_tried_again(store: Store) -> None:
    """The server has answered the dot with 4xx: it did not take the message."""
    identifier, claimed = stopped_at_the_dot(store)
    assert store.settle(settlement(claimed, Status.DEFERRED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["deferred"]
    store.pump_for(61)
    assert len(store.claim().legs) == 1
    store.reconcile()


def test_a_late_release_leaves_a_leg_held(store: Store) -> None:
    identifier, claimed = stopped_at_the_dot(store)
    assert store.settle(release(claimed)) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["uncertain"]
    assert store.spool.depth().held_legs == 1


def test_a_held_leg_is_answered_recipient_by_recipient(store: Store) -> None:
    identifier, claimed = stopped_at_the_dot(store, recipients=2)
    store.settle(settlement(claimed, Status.DELIVERED, Status.UNCERTAIN))
    assert store.statuses(identifier) == ["delivered", "uncertain"]
    assert store.spool.depth().held_legs == 1
    store.reconcile()


def test_an_older_claims_250_counts_for_a_leg_that_a_newer_one_left_held(store: Store) -> None:
    identifier = store.accept(hold=True, recipients=2)
    store.pump()
    (old,) = store.claim().legs
    expire(store)
    (new,) = store.claim().legs
    store.settle(settlement(new, Status.UNCERTAIN, note="connection lost"))
    (since,) = [each.since_ms for each in store.operations.aside("uncertain", 1)]
    store.clock.advance(1)
    assert store.settle(settlement(old, Status.BOUNCED)) == [Settled.REFUSED]
    assert store.settle(settlement(old, Status.DEFERRED)) == [Settled.REFUSED]
    assert store.settle(settlement(old, Status.DELIVERED, Status.DEFERRED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["delivered", "uncertain"]
    (aside,) = store.operations.aside("uncertain", 1)
    assert aside.since_ms == since
    assert store.settle(settlement(old, Status.DELIVERED, note="late")) == [Settled.LATE]
    assert store.statuses(identifier) == ["delivered", "delivered"]
    stored = store.spool.get(identifier)
    assert stored is not None
    notes = [each.note for each in stored.legs[0].history]
    assert notes == ["worker ended", "connection lost", "", "late"]
    store.reconcile()


def test_after_a_requeue_a_late_250_counts_and_a_late_bounce_does_not(store: Store) -> None:
    identifier, claimed = stopped_at_the_dot(store)
    (aside,) = store.operations.aside("uncertain", 1)
    store.operations.requeue([(aside.leg_id, store.clock.now_ms() + 10**6)])
    assert store.settle(settlement(claimed, Status.BOUNCED)) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["queued"]
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["delivered"]
    assert store.claim().legs == ()
    store.reconcile()


def test_after_a_drop_a_late_250_is_evidence(store: Store) -> None:
    identifier, claimed = stopped_at_the_dot(store)
    (aside,) = store.operations.aside("uncertain", 1)
    store.operations.drop([aside.leg_id])
    outcome = settlement(claimed, Status.DELIVERED)
    assert store.settle(settlement(claimed, Status.BOUNCED), outcome) == [Settled.REFUSED] * 2
    assert store.statuses(identifier) == ["cancelled"]
    event = store.spool.events()[-1]
    assert (event.kind, event.payload) == ("late", outcome.event)
    assert store.spool.depth().counters["late_refused"] == 1
    store.reconcile()


def test_a_dead_letter_takes_a_late_bounce_and_no_late_deferral(store: Store) -> None:
    identifier = store.accept()
    store.pump()
    for _ in range(3):
        (claimed,) = store.claim().legs
        expire(store)
    assert store.settle(settlement(claimed, Status.DEFERRED)) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["dead"]
    assert store.settle(settlement(claimed, Status.BOUNCED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["bounced"]
    assert store.spool.depth().dead_legs == 0
    assert "late_delivered" not in store.spool.depth().counters
    store.reconcile()
