"""What operators ask and decide: suspensions, trouble and its probe, flushing, redriving."""

from __future__ import annotations

import msgspec
import pytest

from shared.hops import DestinationLimit, PoolMembers
from shared.model.leg import Attempt, LegState, RecipientReply, pack_history
from shared.model.status import Status
from shared.store.operations import Destination, Outline, Refusal
from shared.store.ports import ChangeKind, Pause, Settled
from tests.support.stores import RedisTestStore, Store, release, settlement


def destination(store: Store, hop: str, name: str = "transactional") -> Destination:
    (found,) = [
        each
        for each in store.operations.destinations()
        if (each.hop, each.message_class) == (hop, name)
    ]
    return found


def hops(store: Store) -> list[str]:
    return [each.leg.hop for each in store.claim(start=False).legs]


def test_a_suspended_hop_waits_and_comes_back(store: Store) -> None:
    store.accept(hops=("ill",))
    store.accept(hops=("well",))
    store.operations.suspend("ill", store.clock.now_ms() + 4000, "maintenance")
    assert hops(store) == ["well"]
    found = destination(store, "ill")
    assert (found.state(store.clock.now_ms()), found.ready) == ("suspended", 1)
    assert found.pause == Pause("suspended", store.clock.now_ms() + 4000, "maintenance")
    store.pump()
    store.pump_for(5)
    assert destination(store, "ill").pause is None
    assert hops(store) == ["ill"]


def test_a_suspension_without_an_end_ends_by_resume_only(store: Store) -> None:
    identifier = store.accept(hops=("ill",))
    store.operations.suspend("ill", None, "")
    assert hops(store) == []
    store.pump()
    store.clock.advance(7200)
    store.pump()
    assert hops(store) == []
    stored = store.spool.get(identifier)
    assert stored is not None
    assert stored.pauses == {"ill": Pause("suspended", None)}
    assert store.operations.resume("ill")
    assert not store.operations.resume("ill")
    assert hops(store) == ["ill"]


def test_a_suspension_whose_time_is_over_is_none(store: Store) -> None:
    for hop in ("past", "to come"):
        store.operations.suspend(hop, store.clock.now_ms() + 4000, "maintenance")
    store.operations.suspend("endless", None, "")
    assert store.spool.depth().suspended_hops == 3
    store.operations.suspend("to come", store.clock.now_ms() + 90_000, "")
    store.clock.advance(4)
    assert store.spool.depth().suspended_hops == 2
    assert not store.operations.resume("past")
    assert store.operations.resume("to come")
    assert store.spool.depth().suspended_hops == 1


def test_the_pump_removes_suspensions_whose_time_is_over(store: Store) -> None:
    store.operations.suspend("a", store.clock.now_ms() + 4000, "maintenance")
    store.operations.suspend("b", None, "")
    store.pump_for(3.5)
    assert [each.hop for each in store.operations.destinations()] == ["a", "b"]
    store.pump_for(0.5)
    assert [each.hop for each in store.operations.destinations()] == ["b"]


def test_trouble_doubles_and_counts_what_breaks_together_once(store: Store) -> None:
    store.accept(hops=("ill",))
    assert [store.trouble("ill"), store.trouble("ill")] == [1000, 0]
    waits = []
    for _ in range(8):
        store.clock.advance(61)
        waits.append(store.trouble("ill", "timed out"))
    assert waits == [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]
    pause = destination(store, "ill").pause
    assert pause is not None
    assert (pause.kind, pause.strikes, pause.reason) == ("trouble", 9, "timed out")
    assert store.spool.depth().counters["relay_troubles"] == 9
    assert store.spool.depth().troubled_hops == 1


def test_the_trouble_of_a_site_is_none_of_ours_and_forgotten_with_its_mail(store: Store) -> None:
    store.accept(hops=("mx:ill.test",))
    assert [store.trouble(hop) for hop in ("mx:ill.test", "mx:gone.test", "ill")] == [1000] * 3
    assert store.spool.depth().troubled_hops == 1
    assert store.claim().legs == ()
    store.pump_for(1.5)
    (probe,) = store.claim().legs
    store.pump_for(0.5)
    assert [each.hop for each in store.operations.destinations()] == ["ill", "mx:ill.test"]
    assert store.trouble("mx:ill.test") == 2000  # It was not forgotten while it was probed.
    store.settle(settlement(probe, Status.BOUNCED, answered=False))
    store.pump_for(2.5)
    assert [each.hop for each in store.operations.destinations()] == ["ill"]


def test_one_leg_probes_a_hop_in_trouble(store: Store) -> None:
    store.pump()
    for name in ("transactional", "critical"):
        for _ in range(5):
            store.accept(hops=("ill",), message_class=name)
    store.trouble("ill")
    assert store.claim().legs == store.claim("critical").legs == ()
    store.pump_for(1.5)
    assert destination(store, "ill").state(store.clock.now_ms()) == "probing"
    (probe,) = store.claim().legs
    assert store.claim().legs == store.claim("critical").legs == ()  # All classes share a hop.
    store.pump_for(2)
    store.renew(probe)
    assert store.claim().legs == store.claim("critical").legs == ()
    store.settle(settlement(probe, Status.DELIVERED))
    assert destination(store, "ill").pause is None
    assert (len(store.claim().legs), len(store.claim("critical").legs)) == (4, 5)
    store.reconcile()


def test_what_was_claimed_does_not_start_once_its_hop_stands_still(store: Store) -> None:
    store.pump()
    store.accept(hops=("ill",), hold=True)
    store.accept(hops=("ill",))
    first, second = store.claim(start=False).legs
    assert store.start(first) == [True]
    store.operations.suspend("ill", None, "")
    assert store.start(second) == [False]
    assert store.dot(first)
    store.operations.resume("ill")
    assert store.start(second) == [True]
    store.trouble("ill")
    assert store.start(second) == [False]
    store.settle(settlement(first, Status.DEFERRED, retry_ms=100, answered=False), release(second))
    store.pump_for(1.5)
    (probe,) = store.claim(start=False).legs
    assert store.start(probe) == [True]


def test_a_probe_that_fails_or_is_lost_is_followed_by_another(store: Store) -> None:
    store.pump()
    for _ in range(3):
        store.accept(hops=("ill",))
    store.trouble("ill")
    store.pump_for(1.5)
    (probe,) = store.claim(start=False).legs
    assert store.trouble("ill") == 2000
    store.settle(release(probe))
    store.pump_for(1)
    assert store.claim().legs == ()
    store.pump_for(1.5)
    (probe,) = store.claim(start=False).legs
    store.pump_for(8)  # Its worker is gone.
    (again,) = store.claim(start=False).legs
    assert again.leg.attempts == 0
    assert store.trouble("ill") == 4000


def test_trouble_that_was_told_by_others_lets_a_new_probe_go(store: Store) -> None:
    """The probe of a time before is nobody's any more: its answer clears nothing."""
    store.pump()
    for _ in range(2):
        store.accept(hops=("ill",))
    store.trouble("ill")
    store.pump_for(1.5)
    (old,) = store.claim().legs
    assert store.trouble("ill", "told by a session of before") == 2000
    store.pump_for(3)
    (probe,) = store.claim().legs
    assert probe.leg_id != old.leg_id
    store.settle(settlement(probe, Status.DELIVERED))
    assert destination(store, "ill").pause is None


def test_a_hop_that_answered_lately_does_not_stand_still_for_one_envelope(store: Store) -> None:
    store.pump()
    store.accept(hops=("picky",))
    assert store.trouble("picky", own_commands=True) == 1000
    store.pump_for(1.5)
    store.settle(settlement(store.claim().legs[0], Status.DELIVERED))
    assert store.trouble("picky", own_commands=True) == 0
    store.clock.advance(59)
    assert store.trouble("picky", own_commands=True) == 0
    assert store.spool.depth().counters["relay_troubles"] == 3
    assert destination(store, "picky").pause is None
    store.clock.advance(61)
    assert store.trouble("picky", own_commands=True) == 1000
    store.accept(hops=("ill",))
    store.settle(settlement(store.claim().legs[0], Status.DELIVERED))
    assert store.trouble("ill", "connection refused") == 1000


def test_every_other_probe_is_the_newest(store: Store) -> None:
    store.pump()
    first, second, third, last = (store.accept(hops=("ill",)) for _ in range(4))
    probes = []
    for wait in (1.5, 3, 5, 9):
        store.trouble("ill")
        store.pump_for(wait)
        (probe,) = store.claim(start=False).legs
        probes.append(probe.leg_id[:16])
        store.settle(release(probe, 600_000))
    assert probes == [first, last, second, third]


def test_a_release_may_tell_what_was_said(store: Store) -> None:
    identifier = store.accept()
    (claimed,) = store.claim().legs
    said = Attempt(7, "relay", (RecipientReply(0, "f", 554, "5.7.1", "no"),), "n", charged=False)
    store.settle(msgspec.structs.replace(release(claimed, 60_000), history=pack_history((said,))))
    stored = store.spool.get(identifier)
    assert stored is not None
    (leg,) = stored.legs
    assert (leg.attempts, leg.history) == (0, (said,))
    store.clock.advance(61)
    store.pump()
    store.settle(release(store.claim().legs[0]))
    stored = store.spool.get(identifier)
    assert stored is not None
    assert stored.legs[0].history == (said,)


def test_a_verdict_without_an_answer_leaves_the_trouble(store: Store) -> None:
    store.pump()
    store.accept(hops=("ill",))
    store.accept(hops=("ill",))
    store.trouble("ill")
    store.pump_for(1.5)
    (probe,) = store.claim().legs
    store.settle(settlement(probe, Status.DEAD, note="unreadable", answered=False))
    assert destination(store, "ill").pause is not None


def test_a_suspension_stands_over_trouble(store: Store) -> None:
    store.pump()
    store.accept(hops=("ill",))
    store.trouble("ill")
    store.operations.suspend("ill", None, "")
    store.pump_for(5)
    assert hops(store) == []
    assert store.operations.resume("ill")
    assert hops(store) == ["ill"]


def test_a_limited_hop_in_trouble_gets_one_probe(store: Store) -> None:
    async def limit() -> None:
        await store.queue().limit("ill", DestinationLimit(100.0, 5))

    store.pump()
    store.run(limit())
    for _ in range(9):
        store.accept(hops=("ill",))
    store.trouble("ill")
    store.pump_for(1.5)
    (probe,) = store.claim().legs
    store.settle(settlement(probe, Status.DELIVERED))
    assert len(store.claim().legs) == 5


def test_flush_makes_deferred_mail_due_now_the_oldest_first(store: Store) -> None:
    store.pump()
    ids = []
    for _ in range(3):
        ids.append(store.accept(hops=("a",)))
        store.clock.advance(0.1)
    scheduled = store.accept(hops=("a",), send_in_ms=60_000)
    other = store.accept(hops=("b",))
    store.settle(*(settlement(each, Status.DEFERRED) for each in store.claim().legs))
    found = destination(store, "a")
    assert (found.deferred, found.ready, found.in_flight) == (3, 0, 0)
    assert found.oldest_ms == 300
    assert store.operations.flush("a", "transactional", 2) == 2
    assert [each.leg_id[:16] for each in store.claim(start=False).legs] == ids[:2]
    assert store.operations.flush("a", "transactional", 100) == 1
    assert store.operations.flush("a", "transactional", 100) == 0
    assert store.operations.flush("a", "bulk", 100) == 0
    assert store.statuses(scheduled) == ["scheduled"]
    assert store.statuses(other) == ["deferred"]
    store.reconcile()


def poisoned(store: Store, **options: object) -> bytes:
    """A dead letter: three workers ended while they delivered it."""
    identifier = store.accept(**options)
    store.pump()
    for _ in range(3):
        store.claim()
        store.pump_for(13)
    assert store.statuses(identifier) == ["dead"]
    return identifier


def test_a_dead_letter_tells_why_and_is_kept(store: Store) -> None:
    identifier = poisoned(store)
    store.clock.advance(90 * 86_400)
    store.pump()
    (aside,) = store.operations.aside("dead", 10)
    assert (aside.kind, aside.leg_id[:16]) == ("dead", identifier)
    assert aside.leg.cause() == "poison"
    assert [each.note for each in aside.leg.history] == ["worker ended", "worker ended", "poison"]
    assert aside.addresses() == ["r0@example.test"]
    assert store.operations.aside("uncertain", 10) == []


def test_a_dead_letter_keeps_every_attempt(store: Store) -> None:
    store.pump()
    store.accept()
    for at in range(9):
        (claimed,) = store.claim().legs
        store.settle(settlement(claimed, Status.DEFERRED, retry_ms=100, note=f"try {at}"))
        store.pump_for(1)
    for _ in range(3):
        store.claim()
        store.pump_for(13)
    (aside,) = store.operations.aside("dead", 10)
    notes = [each.note for each in aside.leg.all_attempts()]
    assert notes == [*(f"try {at}" for at in range(9)), "worker ended", "worker ended", "poison"]
    assert aside.leg.attempts == 9


@pytest.mark.store(max_crashes=1)
def test_a_dead_letter_keeps_its_cause_however_often_it_is_requeued(store: Store) -> None:
    store.accept()
    store.pump()
    for times in range(1, 19):
        store.claim()
        store.pump_for(7)
        (aside,) = store.operations.aside("dead", 10)
        assert [each.note for each in aside.leg.history] == ["poison"] * times
        store.operations.requeue([(aside.leg_id, store.clock.now_ms() + 10**9)])
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DEAD, note="lost"))
    (aside,) = store.operations.aside("dead", 10)
    assert aside.leg.cause() == "lost"
    assert (len(aside.leg.history), len(aside.leg.all_attempts())) == (5, 19)


@pytest.mark.store(max_crashes=1)
def test_of_very_many_entries_the_oldest_goes(store: Store) -> None:
    store.accept()
    store.pump()
    (claimed,) = store.claim().legs
    entries = tuple(Attempt(at, "relay", (), "x" * at) for at in range(1, 501))
    store.put_history(claimed.leg_id, entries)
    store.pump_for(7)
    (aside,) = store.operations.aside("dead", 10)
    assert aside.leg.history[:-1] == entries[1:]
    assert aside.leg.cause() == "poison"


def test_requeue_delivers_a_dead_letter_after_its_time_too(store: Store) -> None:
    identifier = poisoned(store)
    store.clock.advance(6 * 86_400)
    store.pump()
    (aside,) = store.operations.aside("dead", 10)
    later = store.clock.now_ms() + 3_600_000
    assert store.operations.requeue([(aside.leg_id, later)] * 2) == [True, False]
    assert store.operations.aside("dead", 10) == []
    assert store.statuses(identifier) == ["queued"]
    (claimed,) = store.claim().legs
    assert (claimed.leg.crashes, claimed.leg.give_up_ms) == (0, later)
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.statuses(identifier) == ["delivered"]
    assert store.ledger()[-3:] == ["dead", "requeued", "attempt"]
    store.reconcile()


def test_a_requeue_begins_the_schedule_anew_and_keeps_the_history(store: Store) -> None:
    store.pump()
    identifier = store.accept()
    for at in range(7):
        (claimed,) = store.claim().legs
        store.settle(settlement(claimed, Status.DEFERRED, retry_ms=100, note=f"try {at}"))
        store.pump_for(1)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DEAD, note="unreadable"))
    (aside,) = store.operations.aside("dead", 10)
    assert aside.leg.attempts == 8
    store.operations.requeue([(aside.leg_id, store.clock.now_ms() + 10**6)])
    now = store.clock.now_ms()
    assert store.spool.reschedule(identifier, now, now + 10**6).kind is ChangeKind.TOO_LATE
    (claimed,) = store.claim().legs
    assert claimed.leg.attempts == 0
    store.settle(settlement(claimed, Status.DEFERRED, retry_ms=100, note="after"))
    store.pump_for(1)
    stored = store.spool.get(identifier)
    assert stored is not None
    notes = [each.note for each in stored.legs[0].all_attempts()]
    assert notes == [*(f"try {at}" for at in range(7)), "unreadable", "after"]
    assert stored.legs[0].attempts == 9
    (claimed,) = store.claim().legs
    assert claimed.leg.attempts == 1


def test_what_is_requeued_expires_on_a_suspended_hop_too(store: Store) -> None:
    overdue = poisoned(store, deliver_by_in_ms=60_000)
    store.clock.advance(61)
    in_time = poisoned(store, deliver_by_in_ms=90_000)
    store.operations.suspend("relay", None, "")
    ahead = store.accept()  # Nothing is found at the head of the queue.
    store.pump_for(2)
    for aside in store.operations.aside("dead", 10):
        deliver_by = aside.head.deliver_by_ms
        assert deliver_by is not None
        assert store.operations.requeue([(aside.leg_id, deliver_by)]) == [True]
    store.pump()
    assert (store.statuses(overdue), store.statuses(in_time)) == (["expired"], ["queued"])
    store.pump_for(90)
    assert (store.statuses(in_time), store.statuses(ahead)) == (["expired"], ["queued"])
    store.reconcile()


def test_drop_cancels_what_is_set_aside(store: Store) -> None:
    identifier = poisoned(store)
    (aside,) = store.operations.aside("dead", 10)
    assert store.operations.drop([aside.leg_id, b"\0" * 18]) == [True, False]
    assert store.statuses(identifier) == ["cancelled"]
    assert store.ledger()[-2:] == ["dead", "dropped"]
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_held_as_uncertain_is_resent_or_dropped_only_by_hand(store: Store) -> None:
    ids = [store.accept(hold=True, recipients=2) for _ in range(2)]
    legs = store.claim().legs
    lost = [
        settlement(each, Status.DELIVERED, Status.UNCERTAIN, note="connection lost")
        for each in legs
    ]
    store.settle(*lost)
    store.clock.advance(30 * 86_400)
    store.pump()
    second, first = store.operations.aside("uncertain", 10)
    assert (first.leg.cause(), first.leg.state) == ("connection lost", LegState.HELD)
    assert first.addresses() == ["r1@example.test"]
    store.operations.requeue([(first.leg_id, store.clock.now_ms() + 1000)])
    store.operations.drop([second.leg_id])
    assert store.statuses(ids[0]) == ["delivered", "queued"]
    assert store.statuses(ids[1]) == ["delivered", "cancelled"]
    assert store.spool.depth().held_legs == 0
    (again,) = store.claim().legs
    assert again.leg.open_indices() == (1,)
    store.reconcile()


def test_set_aside_is_listed_in_pages_the_last_first(store: Store) -> None:
    ids = [store.accept() for _ in range(5)]
    store.settle(*(settlement(each, Status.DEAD) for each in store.claim().legs))
    found, place = [], None
    while page := store.operations.aside("dead", 2, place):
        assert len(page) <= 2
        found += [each.leg_id[:16] for each in page]
        place = (page[-1].since_ms, page[-1].leg_id)
    assert found == ids[::-1]


def test_deliver_by_holds_on_a_suspended_hop(store: Store) -> None:
    store.pump()
    timed = store.accept(hops=("ill",), deliver_by_in_ms=5000)
    other = store.accept(hops=("ill",))
    store.operations.suspend("ill", None, "")
    assert store.claim().legs == ()
    store.pump_for(6)
    assert (store.statuses(timed), store.statuses(other)) == (["expired"], ["queued"])
    assert store.ledger() == ["accepted", "accepted", "expired"]
    store.reconcile()


def test_mail_on_a_suspended_hop_gives_up_in_the_end(store: Store) -> None:
    identifier = store.accept(hops=("ill",))
    store.operations.suspend("ill", None, "")
    store.claim()
    store.clock.advance(5 * 86_400 + 1)
    store.pump()
    assert store.statuses(identifier) == ["expired"]
    newer = store.accept(hops=("ill",))
    store.operations.resume("ill")
    (claimed,) = store.claim().legs
    assert claimed.leg_id[:16] == newer
    store.reconcile()


def test_a_claim_expires_what_has_had_its_time(store: Store) -> None:
    old = store.accept()
    store.clock.advance(5 * 86_400 + 1)
    new = store.accept()
    assert [each.leg_id[:16] for each in store.claim().legs] == [new]
    assert store.statuses(old) == ["expired"]
    store.reconcile()


def test_a_claim_expires_a_bounded_number(store: Store) -> None:
    for _ in range(201):
        store.accept()
    store.clock.advance(5 * 86_400 + 1)
    claim = store.claim(limit=1000, quantum=1000)
    assert (claim.legs, claim.more) == ((), True)
    assert store.ledger().count("expired") == 200
    assert store.claim(limit=1000, quantum=1000).more is False
    assert store.ledger().count("expired") == 201
    store.reconcile()


def test_what_has_a_new_time_expires_by_that(store: Store) -> None:
    later, sooner = (store.accept(hops=("ill",), deliver_by_in_ms=at) for at in (2000, 60_000))
    store.operations.suspend("ill", None, "")
    now = store.clock.now_ms()
    store.spool.reschedule(later, now, now + 10_000)
    store.spool.reschedule(sooner, now, now + 5000)
    store.pump_for(4)
    assert (store.statuses(later), store.statuses(sooner)) == (["queued"], ["queued"])
    store.pump_for(2)
    assert (store.statuses(later), store.statuses(sooner)) == (["queued"], ["expired"])
    store.pump_for(5)
    assert store.statuses(later) == ["expired"]
    store.reconcile()


def test_what_a_worker_holds_expires_when_it_is_given_back(store: Store) -> None:
    store.pump()
    identifier = store.accept(deliver_by_in_ms=2000)
    (claimed,) = store.claim().legs
    store.pump_for(3)
    assert store.statuses(identifier) == ["queued"]
    store.settle(release(claimed, 250))
    store.pump_for(2)
    assert store.statuses(identifier) == ["expired"]
    assert store.claim().legs == ()
    store.reconcile()


def test_the_rate_of_a_destination_is_that_of_the_last_minute(store: Store) -> None:
    for _ in range(4):
        store.accept(hops=("a",))
    first, *rest = store.claim().legs
    store.settle(*(settlement(each, Status.DELIVERED) for each in rest))
    assert destination(store, "a").per_minute >= 3
    assert destination(store, "a").in_flight == 1
    store.settle(release(first))
    store.clock.advance(180)
    assert destination(store, "a").per_minute == 0
    assert destination(store, "a").state(store.clock.now_ms()) == "active"


def test_a_destination_keeps_what_it_last_refused_something_with(store: Store) -> None:
    store.pump()
    for hop in ("a", "b"):
        store.accept(hops=(hop,))
    store.accept(hops=("a",))
    first, *others = store.claim().legs
    said = msgspec.structs.replace(settlement(first, Status.DEFERRED), refusal="450 4.2.0 later")
    assert store.settle(said) == [Settled.DONE]
    at = store.clock.now_ms()
    store.clock.advance(5)
    store.settle(*(settlement(each, Status.DELIVERED) for each in others))
    assert destination(store, first.leg.hop).refusal == Refusal(at, "450 4.2.0 later")
    assert [each.refusal for each in store.operations.destinations()].count(None) == 1
    if isinstance(store, RedisTestStore):
        (key,) = store.client.keys("ph:refusals:*")
        assert store.client.pttl(key) > 0
    kept = {first.leg.hop: Refusal(at, "450 4.2.0 later")}
    assert store.operations.refusals([first.leg.hop, "nobody"]) == kept
    store.clock.advance(2 * 86_400)
    assert destination(store, first.leg.hop).refusal is None
    assert store.operations.refusals([first.leg.hop]) == {}


def test_what_stops_a_destination_is_kept_though_the_leg_only_goes_back(store: Store) -> None:
    store.run(store.queue().pools({"pool:p": PoolMembers("ordered", (("a", 1),))}))
    store.pump()
    store.accept(hops=("pool:p",))
    (claimed,) = store.claim().legs
    given = release(claimed, refusal="421 4.7.0 too many connections")
    assert store.settle(given) == [Settled.DONE]
    assert store.settle(msgspec.structs.replace(given, refusal="again")) == [Settled.REFUSED]
    store.run(store.queue().trouble("a", "banner: 421 4.7.0", 1000, 1000))
    kept = {each.hop: each.refusal for each in store.operations.destinations()}
    assert kept == {
        "pool:p": None, "a": Refusal(store.clock.now_ms(), "421 4.7.0 too many connections"),
    }  # fmt: skip


def test_what_the_member_of_a_pool_refuses_is_its_own(store: Store) -> None:
    store.run(store.queue().pools({"pool:p": PoolMembers("ordered", (("a", 1),))}))
    store.pump()
    store.accept(hops=("pool:p",))
    (claimed,) = store.claim().legs
    store.settle(msgspec.structs.replace(settlement(claimed, Status.DEFERRED), refusal="550 no"))
    found = {
        each.hop: each.refusal and each.refusal.text for each in store.operations.destinations()
    }
    assert found == {"pool:p": None, "a": "550 no"}


def _busy(store: Store) -> None:
    """Destinations in every state, a pool among them."""
    members = PoolMembers("ordered", (("one", 1), ("two", 1)))
    store.run(store.queue().pools({"pool:p": members}))
    store.pump()
    for hop in ("a", "a", "late", "gone", "mx:ill.test", "pool:p"):
        store.accept(hops=(hop,))
    store.accept(hops=("a",), message_class="bulk", application="news")
    store.accept(hops=("a",), message_class="bulk", application="shop")
    for claimed in store.claim(limit=4).legs:
        if claimed.leg.hop == "late":
            store.settle(settlement(claimed, Status.DEFERRED))
        if claimed.leg.hop == "gone":
            store.settle(settlement(claimed, Status.DELIVERED))
    store.operations.suspend("one", None, "repair")
    store.operations.suspend("two", store.clock.now_ms() + 60_000, "repair")
    store.operations.suspend("bare", None, "")
    store.trouble("mx:ill.test")


def test_outlines_tell_what_destinations_tell(store: Store) -> None:
    _busy(store)
    found = store.operations.destinations()
    assert {each.state(store.clock.now_ms()) for each in found} == {
        "active", "idle", "suspended", "backing_off",
    }  # fmt: skip
    names = Outline.__struct_fields__
    assert [msgspec.structs.asdict(each) for each in store.operations.outlines()] == [
        {name: getattr(each, name) for name in names} for each in found
    ]


@pytest.mark.parametrize(
    "hops", [(), ("a",), ("pool:p",), ("late", "gone", "mx:ill.test"), ("bare", "two", "nobody")]
)
def test_some_destinations_are_those_among_all(store: Store, hops: tuple[str, ...]) -> None:
    _busy(store)
    expected = [each for each in store.operations.destinations() if each.hop in hops]
    assert bool(expected) == bool(hops)
    assert store.operations.destinations(hops) == expected
