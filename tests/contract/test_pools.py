"""Pools: several relays take the legs of one queue, and one that is in trouble is passed by."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from shared.hops import DestinationLimit, PoolMembers, member_of, queue_of
from shared.model.status import Status
from shared.store.ports import Claimed
from tests.support.stores import Store, release, settlement

POOL = "pool:p"
ORDERED = PoolMembers("ordered", (("one", 1), ("two", 1)))
WEIGHTED = PoolMembers("weighted", (("one", 3), ("two", 1)))


@pytest.fixture
def pooled(store: Store) -> Store:
    """A store with an ordered pool, and a live worker."""
    store.pump()
    store.run(store.queue().pools({POOL: ORDERED}))
    return store


def send(store: Store, count: int = 1) -> None:
    for _ in range(count):
        store.accept(hops=(POOL,))


def takers(store: Store, limit: int = 100) -> list[str]:
    """Who has the legs of a claim; each is settled as delivered."""
    claim = store.claim(limit=limit)
    if claim.legs:
        store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
    assert {queue_of(each.leg.hop) for each in claim.legs} <= {POOL}
    return [member_of(each.leg.hop) for each in claim.legs]


def test_the_first_that_may_gets_an_ordered_pools_mail(pooled: Store) -> None:
    send(pooled, 6)
    assert takers(pooled, 2) == ["one"] * 2
    pooled.operations.suspend("one", None, "")
    assert takers(pooled, 2) == ["two"] * 2
    pooled.operations.resume("one")
    assert takers(pooled, 2) == ["one"] * 2
    pooled.reconcile()


def test_trouble_of_the_first_costs_nobody_a_second(pooled: Store) -> None:
    send(pooled, 3)
    first = pooled.claim(limit=1).legs[0]
    assert pooled.trouble("one") == 1000
    pooled.settle(release(first))
    assert takers(pooled) == ["two"] * 3
    assert [each.hop for each in pooled.operations.destinations() if each.pause] == ["one"]


def test_one_leg_probes_the_first_while_the_others_go_on(pooled: Store) -> None:
    pooled.trouble("one")
    pooled.pump_for(1.5)
    send(pooled, 4)
    assert sorted(takers(pooled)) == ["one", "two", "two", "two"]
    send(pooled, 4)
    assert takers(pooled) == ["one"] * 4


def test_a_pool_waits_when_all_its_members_stand_still(pooled: Store) -> None:
    send(pooled, 2)
    identifier = pooled.accept(hops=(POOL,))
    for name in ("one", "two"):
        pooled.trouble(name)
    assert takers(pooled) == []
    stored = pooled.spool.get(identifier)
    assert stored is not None
    assert stored.pauses[POOL].kind == "trouble"
    pooled.pump_for(1.5)
    assert sorted(takers(pooled)) == ["one", "two"]
    assert takers(pooled) == ["one"]


def test_a_pool_goes_on_as_soon_as_one_of_its_members_may(pooled: Store) -> None:
    for name in ("one", "two"):
        pooled.operations.suspend(name, None, "")
    send(pooled, 2)
    assert takers(pooled) == []
    pooled.operations.resume("two")
    assert takers(pooled) == ["two"] * 2


def test_a_pool_can_be_suspended_as_a_whole(pooled: Store) -> None:
    send(pooled, 2)
    (claimed,) = pooled.claim(limit=1, start=False).legs
    pooled.operations.suspend(POOL, None, "")
    assert pooled.start(claimed) == [False]
    assert takers(pooled) == []
    pooled.settle(release(claimed))
    pooled.operations.resume(POOL)
    assert takers(pooled) == ["one"] * 2


def test_what_may_have_arrived_stays_with_the_member(pooled: Store) -> None:
    send(pooled)
    (claimed,) = pooled.claim().legs
    uncertain = msgspec.structs.replace(
        settlement(claimed, Status.DEFERRED, retry_ms=1000), pinned=True
    )
    pooled.settle(uncertain)
    pooled.trouble("one")
    pooled.pump_for(1.2)
    send(pooled)
    got = {queue_of(each.leg.hop) for each in pooled.claim().legs}
    assert got == {"one", POOL}  # It is the probe, and the other one goes by "two".


def test_a_deferral_goes_back_to_the_pool(pooled: Store) -> None:
    send(pooled)
    (claimed,) = pooled.claim().legs
    pooled.settle(settlement(claimed, Status.DEFERRED, retry_ms=1000))
    pooled.operations.suspend("one", None, "")
    assert pooled.operations.flush(POOL, "transactional", 5) == 1
    assert takers(pooled) == ["two"]


def test_a_killed_workers_leg_goes_back_to_the_pool(pooled: Store) -> None:
    send(pooled)
    pooled.claim()
    assert [each.in_flight for each in pooled.operations.destinations()] == [1]
    pooled.operations.suspend("one", None, "")
    pooled.pump_for(15)
    assert takers(pooled) == ["two"]
    assert [each.in_flight for each in pooled.operations.destinations()] == [0] * 2
    pooled.reconcile()


def test_weights_share_the_mail(store: Store) -> None:
    store.pump()
    store.run(store.queue().pools({POOL: WEIGHTED}))
    send(store, 400)
    shares: Counter[str] = Counter()
    while got := takers(store, 10):
        shares.update(got)
    assert shares == {"one": 300, "two": 100}


def test_a_member_that_was_away_does_not_catch_up(store: Store) -> None:
    store.pump()
    store.run(store.queue().pools({POOL: WEIGHTED}))
    store.operations.suspend("two", None, "")
    send(store, 200)
    while takers(store, 10):
        pass
    store.operations.resume("two")
    send(store, 80)
    shares: Counter[str] = Counter()
    while got := takers(store, 10):
        shares.update(got)
    assert shares == {"one": 60, "two": 20}


def test_a_member_without_permits_leaves_the_mail_to_the_others_of_a_weighted_pool(
    store: Store,
) -> None:
    store.pump()
    store.run(store.queue().pools({POOL: WEIGHTED}))
    store.run(store.queue().limit("one", DestinationLimit(per_second=20)))
    send(store, 30)
    shares: Counter[str] = Counter()
    while got := takers(store, 10):
        shares.update(got)
    assert shares == {"one": 2, "two": 28}


def test_an_ordered_pool_waits_for_the_permits_of_its_first(pooled: Store) -> None:
    pooled.run(pooled.queue().limit("one", DestinationLimit(per_second=20)))
    send(pooled, 5)
    assert takers(pooled) == ["one"] * 2
    assert takers(pooled) == []
    pooled.pump_for(0.5)
    assert takers(pooled) == ["one"] * 2


def test_a_hop_that_comes_back_from_trouble_gets_a_ramp(store: Store) -> None:
    store.pump()
    for _ in range(200):
        store.accept(hops=("ill",))
    store.trouble("ill")
    store.pump_for(1.5)
    (probe,) = store.claim().legs
    store.settle(settlement(probe, Status.DELIVERED))
    claimed: list[Claimed] = []
    for most in (10, 20, 40, 80):  # In flight; twice as many each second.
        while more := store.claim(limit=100).legs:
            claimed += more
        assert len(claimed) == most
        store.pump_for(1)
    store.settle(*(settlement(each, Status.DELIVERED) for each in claimed))
    store.pump_for(9)
    rest: list[Claimed] = []
    while more := store.claim(limit=100).legs:
        rest += more
    assert len(rest) == 200 - 1 - 80


def test_a_hop_that_is_in_trouble_again_soon_goes_on_where_it_was(store: Store) -> None:
    store.pump()
    store.accept(hops=("ill",))
    assert store.trouble("ill") == 1000
    store.pump_for(1.5)
    assert store.trouble("ill") == 2000
    store.pump_for(2.5)
    (probe,) = store.claim().legs
    store.settle(settlement(probe, Status.DELIVERED))
    assert store.trouble("ill") == 4000
    store.pump_for(4.5)
    store.accept(hops=("ill",))
    (probe,) = store.claim().legs
    store.settle(settlement(probe, Status.DELIVERED))
    store.pump_for(61)
    assert store.trouble("ill") == 1000


def test_without_the_pool_its_legs_are_claimed_as_they_are(pooled: Store) -> None:
    """The worker routes them anew: nobody delivers to a pool that is not there."""
    send(pooled)
    pooled.run(pooled.queue().pools({}))
    (claimed,) = pooled.claim().legs
    assert claimed.leg.hop == POOL
