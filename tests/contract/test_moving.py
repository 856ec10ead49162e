"""Mail that waits at one hop is moved to another one: what goes along, and what stays."""

from __future__ import annotations

import pytest

from shared.hops import DestinationLimit
from shared.model.leg import Leg, leg_id
from shared.model.status import Status
from shared.moving import BY_ROUTES, Moved, Moving, move
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.parting import parted
from shared.routing import Routes
from shared.settings import Settings
from shared.store.operations import Destination, Line, Move
from shared.store.ports import Settled
from tests.support.stores import RedisTestStore, Store, release, settlement

RELAYS = tuple(RelaySettings(name=name, url="smtp://127.0.0.1:1") for name in ("old", "new"))
ROUTES = Routes(Settings(relay=RELAYS))


def moved(store: Store, hop: str = "old", to: str = "new", **options: object) -> Moved:
    moving = Moving(hop, to, **options)  # type: ignore[arg-type]
    return move(store.operations, store.operations.destinations(), moving, ROUTES)


def destination(store: Store, hop: str, name: str = "transactional") -> Destination:
    rows = store.operations.destinations()
    found = [each for each in rows if (each.hop, each.message_class) == (hop, name)]
    return found[0] if found else Destination(hop=hop, message_class="transactional")


def leg(store: Store, message_id: bytes, number: int = 0) -> Leg:
    stored = store.spool.get(message_id)
    assert stored is not None
    return stored.legs[number]


def deferred(store: Store, count: int = 1, **options: object) -> list[bytes]:
    """Messages whose first attempt was deferred, for a minute."""
    ids = [store.accept(hops=("old",), **options) for _ in range(count)]
    store.settle(*(settlement(each, Status.DEFERRED) for each in store.claim().legs))
    return ids


def test_what_is_ready_goes_in_its_order_and_leaves_nothing_behind(store: Store) -> None:
    store.pump()
    ids = [store.accept(hops=("old",)) for _ in range(150)]
    store.operations.suspend("old", None, "")
    assert store.claim().legs == ()
    told = moved(store)
    assert (told.chosen, told.moved, told.stay, told.stand_still) == (150, 150, 0, [])
    found = destination(store, "old")
    assert (found.ready, found.deferred, found.applications) == (0, 0, ())
    assert destination(store, "new").ready == 150
    legs = store.claim(limit=200, quantum=200).legs
    assert [each.leg_id[:16] for each in legs] == ids
    assert {each.leg.hop for each in legs} == {"new"}
    store.settle(*(settlement(each, Status.DELIVERED) for each in legs))
    assert store.ledger().count("moved") == 150
    store.operations.resume("old")
    assert store.claim().legs == ()
    assert moved(store).chosen == 0
    store.reconcile()


def test_a_deferred_leg_keeps_time_attempts_and_end(store: Store) -> None:
    store.pump()
    (identifier,) = deferred(store)
    before = leg(store, identifier)
    assert moved(store).moved == 1
    after = leg(store, identifier)
    assert (after.hop, after.due_ms, after.attempts) == ("new", before.due_ms, 1)
    assert after.give_up_ms == before.give_up_ms
    assert [each.note for each in after.history] == ["", "moved; to new"]
    assert (destination(store, "old").deferred, destination(store, "new").deferred) == (0, 1)
    store.pump_for(59)
    assert store.claim().legs == ()
    store.pump_for(2)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.ledger() == ["accepted", "attempt", "moved", "attempt"]
    store.reconcile()


def test_what_is_moved_now_is_due(store: Store) -> None:
    store.pump()
    deferred(store)
    assert moved(store, now=True).moved == 1
    assert [each.leg.hop for each in store.claim().legs] == ["new"]


def test_a_leased_leg_and_scheduled_mail_stay(store: Store) -> None:
    store.pump()
    store.accept(hops=("old",))
    store.accept(hops=("old",), send_in_ms=5000)
    (claimed,) = store.claim().legs
    assert moved(store).chosen == 0
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.DONE]
    store.pump_for(6)
    assert [each.leg.hop for each in store.claim().legs] == ["old"]


@pytest.mark.parametrize("suspended", [False, True])
def test_a_queue_that_was_moved_away_is_a_queue_no_longer(store: Store, suspended: bool) -> None:
    store.accept(hops=("old",), message_class="critical")
    if suspended:
        store.operations.suspend("old", None, "")
        assert store.claim("critical").legs == ()
        store.operations.suspend("old", 1, "")  # It is over, and nobody has looked yet.
    assert moved(store).moved == 1
    store.operations.resume("old")
    assert [each.hop for each in store.operations.destinations()] == ["new"]


def read(store: Store, line: Line) -> list[Move]:
    """What would move a line's only entry."""
    (entry,) = store.operations.line(line, 0, 10)
    assert entry.leg is not None
    return [Move(entry.leg_id, entry.leg, (entry.leg,))]


def test_a_leg_that_was_claimed_since_it_was_read_stays(store: Store) -> None:
    store.pump()
    deferred(store)
    line = Line("old", "transactional", "app")
    store.operations.flush("old", "transactional", 1)
    wanted = read(store, line)
    (claimed,) = store.claim().legs
    assert store.operations.move(line, wanted) == [False]
    store.settle(settlement(claimed, Status.DEFERRED))
    assert store.operations.move(line, wanted) == [False]
    store.operations.flush("old", "transactional", 1)
    assert store.operations.move(line, wanted) == [False]  # It is there, and not as it was read.
    assert store.operations.move(line, read(store, line)) == [True]


def test_a_recipient_who_has_his_mail_by_now_keeps_it(store: Store) -> None:
    store.pump()
    identifier = store.accept(hops=("old",), recipients=2)
    (late,) = store.claim(start=False).legs
    store.pump_for(13)
    (again,) = store.claim(start=False).legs
    store.settle(release(again))
    line = Line("old", "transactional", "app")
    wanted = read(store, line)
    store.settle(settlement(late, Status.DELIVERED, Status.DEFERRED))
    assert store.operations.move(line, wanted) == [False]
    assert store.operations.move(line, read(store, line)) == [True]
    assert store.statuses(identifier) == ["delivered", "queued"]


def test_what_may_have_arrived_stays_unless_it_is_said(store: Store) -> None:
    store.pump()
    for number in range(3):
        store.accept(hops=("old",))
        (claimed,) = store.claim().legs
        lost = settlement(claimed, Status.UNCERTAIN if number else Status.DEFERRED)
        statuses = (Status.DEFERRED,)  # As a worker settles it for `on_uncertain: resend`.
        store.settle(type(lost)(lost.leg_id, lost.fence, lost.verb, statuses, 1, lost.history,
                                lost.event, 60_000))  # fmt: skip
    told = moved(store)
    assert (told.chosen, told.moved, told.stay) == (3, 1, 2)
    assert destination(store, "old").deferred == 2
    assert moved(store, uncertain=True).moved == 2


def test_what_ended_a_worker_may_have_arrived(store: Store) -> None:
    store.pump()
    store.accept(hops=("old",))
    store.claim()
    store.pump_for(13)
    assert destination(store, "old").ready == 1
    assert (moved(store).stay, moved(store, uncertain=True).moved) == (1, 1)


def test_a_late_report_of_an_older_claim_counts_only_when_it_was_delivered(store: Store) -> None:
    store.pump()
    ids = [store.accept(hops=("old",)) for _ in range(2)]
    first, second = store.claim(start=False).legs
    store.pump_for(13)
    assert moved(store).moved == 2
    assert store.renew(first, second) == [False, False]
    late = [settlement(first, Status.DEFERRED), settlement(second, Status.DELIVERED)]
    assert store.settle(*late) == [Settled.REFUSED, Settled.LATE]
    assert [store.statuses(each) for each in ids] == [["queued"], ["delivered"]]
    (claimed,) = store.claim().legs
    assert claimed.leg_id[:16] == ids[0]
    store.reconcile()


def test_only_a_class_only_an_application_only_so_many(store: Store) -> None:
    store.pump()
    for name in ("shop", "news"):
        deferred(store, 2, application=name)
    for name in ("shop", "news"):
        store.accept(hops=("old",), application=name)
        store.accept(hops=("old",), application=name, message_class="bulk")
    told = moved(store, application="shop", message_class="transactional", dry_run=True)
    assert (told.chosen, told.movable, told.moved) == (3, 3, 0)
    assert moved(store, application="shop", message_class="transactional").moved == 3
    assert {each.leg.application for each in store.claim().legs if each.leg.hop == "new"} == {
        "shop"
    }
    assert moved(store, most=1).moved == 1
    assert moved(store).moved == 3
    store.reconcile()


def test_an_id_that_is_left_in_a_queue_is_not_claimed_there(store: Store) -> None:
    store.pump()
    identifier = store.accept(hops=("old",))
    other = store.accept(hops=("old",))
    now = store.clock.now_ms()
    store.spool.reschedule(identifier, now + 1000, now + 10**8)  # Its id stays in the queue.
    store.pump_for(2)
    store.operations.suspend("old", None, "")
    told = moved(store)
    assert (told.chosen, told.moved) == (2, 2)
    store.operations.resume("old")
    legs = store.claim().legs
    assert {(each.leg_id[:16], each.leg.hop) for each in legs} == {
        (identifier, "new"), (other, "new"),
    }  # fmt: skip
    assert destination(store, "old").in_flight == 0
    assert destination(store, "new").in_flight == 2


def test_a_deferred_leg_whose_id_is_left_in_a_queue_is_not_claimed_there(store: Store) -> None:
    store.pump()
    identifier, ahead = store.accept(hops=("old",)), store.accept(hops=("old",))
    legs = {each.leg_id[:16]: each for each in store.claim(start=False).legs}
    store.pump_for(13)  # Both are ready again, and the worker reports after all.
    store.settle(settlement(legs[identifier], Status.DEFERRED, retry_ms=1000))
    assert moved(store, most=1).moved == 1
    store.pump_for(2)
    found = {each.leg_id[:16]: each.leg.hop for each in store.claim().legs}
    assert found == {identifier: "new", ahead: "old"}
    assert [destination(store, hop).in_flight for hop in ("old", "new")] == [1, 1]


def test_a_limited_queue_that_is_moved_waits_no_longer(store: Store) -> None:
    async def limit() -> None:
        await store.queue().limit("old", DestinationLimit(1.0, 0))

    store.pump()
    store.run(limit())
    for _ in range(5):
        store.accept(hops=("old",))
    assert len(store.claim().legs) == 1
    assert moved(store).moved == 4
    assert len(store.claim().legs) == 4
    store.pump_for(3)
    assert store.claim().more is False
    store.accept(hops=("old",))
    assert [each.leg.hop for each in store.claim().legs] == ["old"]


ROUTED = Routes(
    Settings(
        relay=RELAYS,
        route=(RouteSettings(name="r1", relay="new", recipient_domains=("example.test",)),),
    )
)


@pytest.mark.parametrize("timed", [False, True])
def test_by_the_routes_a_leg_parts_into_several(store: Store, timed: bool) -> None:
    store.pump()
    deadline = 30_000 if timed else None
    identifier = store.accept(hops=("old",), recipients=3, deliver_by_in_ms=deadline)
    (claimed,) = store.claim().legs
    store.settle(
        settlement(claimed, Status.DELIVERED, Status.DEFERRED, Status.DEFERRED, retry_ms=1000)
    )
    line = Line("old", "transactional")
    (entry,) = store.operations.line(line, 0, 10, heads=True)
    assert entry.leg is not None
    assert entry.head is not None
    parts = tuple(
        type(entry.leg)(entry.leg.state, "transactional", hop, statuses, indices, application="app")
        for hop, statuses, indices in (
            ("new", (Status.DELIVERED, Status.DEFERRED), (0, 1)),
            ("other", (Status.DEFERRED,), (2,)),
        )
    )
    assert store.operations.move(line, [Move(entry.leg_id, entry.leg, parts)]) == [True]
    assert store.statuses(identifier) == ["delivered", "deferred", "deferred"]
    assert [leg(store, identifier, each).hop for each in (0, 1)] == ["new", "other"]
    if timed:
        store.operations.suspend("other", None, "")
        store.pump_for(31)
        assert store.statuses(identifier) == ["delivered", "expired", "expired"]
    else:
        store.pump_for(2)
        legs = store.claim().legs
        assert {(each.leg.hop, each.leg.open_indices()) for each in legs} == {
            ("new", (1,)), ("other", (2,)),
        }  # fmt: skip
        store.settle(*(settlement(each, Status.DELIVERED) for each in legs))
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_by_the_routes_only_what_they_send_elsewhere_goes(store: Store) -> None:
    store.pump()
    ids = [store.accept(hops=(hop,)) for hop in ("old", "old", "new")]
    rows = store.operations.destinations()
    told = move(store.operations, rows, Moving("old", BY_ROUTES), ROUTED)
    assert (told.moved, told.same) == (2, 0)
    told = move(store.operations, store.operations.destinations(), Moving("new", BY_ROUTES), ROUTED)
    assert (told.moved, told.same) == (0, 3)
    assert {leg(store, each).hop for each in ids} == {"new"}


def test_a_head_that_cannot_be_read_stays_where_it_is_by_the_routes(store: Store) -> None:
    store.pump()
    identifier = store.accept(hops=("old",))
    store.put_head(identifier, b"\x01\xc1")
    told = move(store.operations, store.operations.destinations(), Moving("old", BY_ROUTES), ROUTED)
    assert (told.moved, told.same) == (0, 1)
    assert moved(store).moved == 1


def test_a_leg_parts_only_where_the_first_one_can_count_them(store: Store) -> None:
    """A script that breaks in the middle would leave it in no queue."""
    if not isinstance(store, RedisTestStore):
        return
    identifier = store.accept(hops=("other", "old"), recipients=2)
    store.client.hset(f"ph:leg:{identifier[15]}", leg_id(identifier, 0), b"\x01damaged")
    line = Line("old", "transactional", "app")
    (entry,) = store.operations.line(line, 0, 9)
    assert entry.leg is not None
    parts = parted(entry.leg, ["new", "old"])
    assert store.operations.move(line, [Move(entry.leg_id, entry.leg, parts)], now=True) == [False]
    assert [each.leg_id for each in store.claim().legs] == [entry.leg_id]
