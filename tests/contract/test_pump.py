"""The pump: leases, crashes, stalls, tickets, and what is forgotten."""

from __future__ import annotations

import msgspec
import pytest

from shared.model.leg import LegState, pack_history
from shared.model.status import Status
from tests.support.stores import Store, release, settlement


def crash(store: Store, times: int = 1) -> None:
    """Claim and let the lease run out, again and again."""
    store.pump()
    for _ in range(times):
        assert store.claim().legs
        store.pump_for(13)


def test_an_expired_lease_comes_back(store: Store) -> None:
    identifier = store.accept()
    crash(store)
    assert store.ledger() == ["accepted", "crashed"]
    (again,) = store.claim().legs
    assert (again.fence, again.leg.crashes) == (2, 1)
    assert store.statuses(identifier) == ["queued"]


def test_three_crashes_make_a_dead_letter(store: Store) -> None:
    identifier = store.accept()
    crash(store, 3)
    assert store.statuses(identifier) == ["dead"]
    assert store.claim().legs == ()
    assert store.ledger() == ["accepted", "crashed", "crashed", "crashed", "dead"]
    assert store.spool.depth().dead_legs == 1
    store.reconcile()


def test_a_suspect_that_has_not_started_is_no_crash(store: Store) -> None:
    store.accept()
    crash(store)
    store.claim(start=False)
    store.pump_for(13)
    (again,) = store.claim().legs
    assert again.leg.crashes == 1


def test_a_late_delivery_saves_a_dead_letter(store: Store) -> None:
    identifier = store.accept()
    crash(store, 2)
    (claimed,) = store.claim().legs
    store.pump_for(13)
    assert store.statuses(identifier) == ["dead"]
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.statuses(identifier) == ["delivered"]
    assert store.spool.depth().dead_legs == 0
    store.reconcile()


def test_what_had_not_started_is_no_crash(store: Store) -> None:
    store.accept()
    store.pump()
    store.claim(start=False)
    store.pump_for(13)
    (again,) = store.claim().legs
    assert again.leg.crashes == 0


def test_releases_and_deferrals_are_no_crashes(store: Store) -> None:
    store.accept()
    for _ in range(5):
        (claimed,) = store.claim().legs
        store.settle(release(claimed))
        (claimed,) = store.claim().legs
        store.settle(settlement(claimed, Status.DEFERRED, retry_ms=1))
        store.pump_for(1)
    (claimed,) = store.claim().legs
    assert (claimed.leg.crashes, claimed.leg.attempts) == (0, 5)


def test_a_renewed_lease_does_not_expire(store: Store) -> None:
    store.accept()
    store.pump()
    (claimed,) = store.claim().legs
    for _ in range(10):
        store.pump_for(2)
        assert store.renew(claimed) == [True]
    assert store.claim().legs == ()


def test_a_reaped_leg_can_be_taken_back(store: Store) -> None:
    store.accept()
    store.pump()
    (claimed,) = store.claim().legs
    store.pump_for(13)
    assert store.renew(claimed) == [True]
    assert store.claim().legs == ()
    store.settle(settlement(claimed, Status.DELIVERED))
    store.reconcile()


def test_nothing_is_reaped_after_a_stall(store: Store) -> None:
    store.accept()
    store.pump()
    store.pump_for(7)
    store.claim()
    store.clock.advance(20)  # Nobody could renew meanwhile.
    assert store.pump().reaping_paused
    store.pump_for(5)
    assert store.spool.depth().leased_legs["transactional"] == 1
    store.pump_for(2)
    assert store.spool.depth().leased_legs["transactional"] == 0


def test_nothing_is_reaped_after_a_step_back(store: Store) -> None:
    store.accept()
    store.pump_for(8)
    store.claim()
    store.pump_for(1)
    store.clock.set_wall_back(2)
    assert store.pump().reaping_paused


def test_a_message_to_hold_that_was_at_its_dot_is_uncertain(store: Store) -> None:
    identifier = store.accept(hold=True)
    store.pump()
    (claimed,) = store.claim().legs
    assert store.dot(claimed)
    store.pump_for(13)
    assert store.statuses(identifier) == ["uncertain"]
    assert store.claim().legs == ()
    store.reconcile()


def test_what_was_known_at_the_dot_is_the_evidence(store: Store) -> None:
    identifier = store.accept(hold=True, recipients=3)
    store.pump()
    (claimed,) = store.claim().legs
    queued = Status.QUEUED
    assert store.dot(claimed, queued, Status.BOUNCED, queued)
    assert store.statuses(identifier) == ["queued", "bounced", "queued"]
    store.pump_for(13)
    assert store.statuses(identifier) == ["uncertain", "bounced", "uncertain"]
    stored = store.spool.get(identifier)
    assert stored is not None
    (attempt,) = stored.legs[0].history
    assert (attempt.note, attempt.bytes_sent) == ("worker ended at the final dot", 77)
    assert not store.dot(claimed)
    store.reconcile()


def test_the_dot_is_the_holders_only(store: Store) -> None:
    store.accept(hold=True)
    store.pump()
    (old,) = store.claim(start=False).legs
    store.pump_for(13)
    (new,) = store.claim().legs
    assert not store.dot(old)
    assert store.dot(new)


def test_a_dot_that_did_not_come_leaves_nothing(store: Store) -> None:
    identifier = store.accept(hold=True)
    (claimed,) = store.claim().legs
    assert store.dot(claimed)
    store.settle(msgspec.structs.replace(release(claimed), history=pack_history(())))
    stored = store.spool.get(identifier)
    assert stored is not None
    assert (stored.legs[0].history, stored.legs[0].attempts) == ((), 0)
    (again,) = store.claim().legs
    store.settle(settlement(again, Status.DELIVERED))
    assert store.statuses(identifier) == ["delivered"]


def test_ready_mail_has_tickets_and_no_more_than_workers_use(store: Store) -> None:
    for _ in range(100):
        store.accept()
    store.pump("w1")
    assert store.spool.depth().counters["tickets_minted"] == 2
    store.pump("w2")
    assert store.spool.depth().counters["tickets_minted"] == 4


def test_no_tickets_for_mail_that_may_not_go(store: Store) -> None:
    store.accept(send_in_ms=60_000)
    store.pump()
    assert "tickets_minted" not in store.spool.depth().counters


@pytest.mark.store(retention_seconds=60)
def test_finished_messages_are_forgotten_after_a_while(store: Store) -> None:
    identifier = store.accept(hops=("a", "b"))
    for claimed in store.claim().legs:
        store.settle(settlement(claimed, Status.DELIVERED))
    store.pump_for(59)
    assert store.spool.get(identifier) is not None
    store.pump_for(2)
    assert store.spool.get(identifier) is None
    store.reconcile()


@pytest.mark.store(retention_messages=3)
def test_at_most_so_many_finished_messages_are_kept(store: Store) -> None:
    ids = [store.accept() for _ in range(5)]
    for claimed in store.claim().legs:
        store.settle(settlement(claimed, Status.DELIVERED))
    assert store.pump().forgotten == 2
    assert [store.spool.get(each) is None for each in ids] == [True, True, False, False, False]


@pytest.mark.store(events_max=10)
def test_events_are_capped_and_the_loss_is_counted(store: Store) -> None:
    for _ in range(15):
        store.accept()
    assert store.pump().events_trimmed == 5
    assert len(store.spool.events()) == 10
    assert store.spool.depth().counters["events_trimmed"] == 5


def test_the_pump_moves_a_bounded_number_at_a_time(store: Store) -> None:
    store.spool.accept([store.submission(send_in_ms=1000) for _ in range(600)])
    store.clock.advance(2)
    first = store.pump()
    assert (first.due, first.more) == (500, True)
    assert store.pump().due == 100


def test_workers_that_fall_silent_are_not_live(store: Store) -> None:
    store.pump("w1")
    store.pump("w2")
    assert store.spool.depth().live_workers == 2
    store.pump_for(4, "w1")
    assert store.spool.depth().live_workers == 1


def test_workers_that_were_all_killed_are_not_live(store: Store) -> None:
    store.pump("w1")
    store.pump("w2")
    store.clock.advance(3)
    assert store.spool.depth().live_workers == 2
    store.clock.advance(0.1)
    assert store.spool.depth().live_workers == 0


def test_a_dead_letter_keeps_its_content(store: Store) -> None:
    identifier = store.accept()
    crash(store, 3)

    async def content() -> bytes | None:
        return await store.queue().content(identifier)

    assert store.run(content()) is not None
    stored = store.spool.get(identifier)
    assert stored is not None
    assert stored.legs[0].state is LegState.DEAD
