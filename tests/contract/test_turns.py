"""Applications take turns at a hop, by weight: who sends much delays nobody else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from shared.hops import DestinationLimit, PoolMembers, member_of
from shared.model.leg import leg_id
from shared.model.message import MessageClass
from shared.model.status import Status
from shared.store.operations import Destination
from shared.store.ports import Claim
from shared.store.scripts import PREFIX
from tests.support.stores import RedisTestStore, Store, release, settlement

POOL = "pool:p"


def send(
    store: Store, application: str, count: int = 1, hop: str = "gw", **options: object
) -> None:
    for _ in range(count):
        store.accept(hops=(hop,), application=application, **options)


def limit(store: Store, hop: str = "gw", per_second: float = 0.0, concurrency: int = 0) -> None:
    store.run(store.queue().limit(hop, DestinationLimit(per_second, concurrency)))


def weigh(store: Store, **weights: int) -> None:
    store.run(store.queue().weights(weights))


def whose(claim: Claim) -> list[str]:
    return [each.leg.application for each in claim.legs]


def delivered(store: Store, **options: Any) -> list[str]:
    """Claim, and deliver what was claimed: whose it was."""
    claim = store.claim(**options)
    store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
    return whose(claim)


def by_permits(store: Store, most: int) -> list[str]:
    """Whose mail goes as permits come, in order."""
    found: list[str] = []
    while len(found) < most:
        claim = store.claim()
        store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
        found += whose(claim)
        if claim.again_ms is None:
            return found
        store.clock.advance(claim.again_ms / 1000)
    return found


def destination(store: Store, hop: str = "gw", name: str = "transactional") -> Destination:
    found = {(each.hop, each.message_class): each for each in store.operations.destinations()}
    return found[hop, name]  # type: ignore[index]


def test_who_sends_much_delays_nobody(store: Store) -> None:
    send(store, "big", 200)
    for number in range(9):
        send(store, f"small{number}", 2)
    first = delivered(store, limit=50)
    assert Counter(first)["big"] == 5
    assert len(first) == 5 + 9 * 2
    while got := delivered(store, limit=50):
        assert set(got) == {"big"}
    store.reconcile()


def test_all_that_wait_are_in_one_claim(store: Store) -> None:
    """Of a small one, too: the first does not take all of its room."""
    for name in ("a", "b", "c", "d"):
        send(store, name, 30)
    assert Counter(delivered(store, limit=8)) == {"a": 2, "b": 2, "c": 2, "d": 2}


def test_weights_hold(store: Store) -> None:
    weigh(store, heavy=3)
    send(store, "light", 200)
    send(store, "heavy", 200)
    store.claim(limit=2, quantum=1)  # Now they know of each other.
    shares: Counter[str] = Counter()
    for _ in range(10):
        shares.update(delivered(store, limit=20, quantum=10))
    assert 3 * shares["light"] == pytest.approx(shares["heavy"], rel=0.1)
    weigh(store)
    shares.clear()
    for _ in range(3):
        shares.update(delivered(store, limit=10, quantum=10))
    assert shares["light"] == shares["heavy"]


def test_a_hundredfold_weight_starves_nobody(store: Store) -> None:
    weigh(store, heavy=100)
    send(store, "heavy", 500)
    send(store, "light", 10)
    got: list[str] = []
    while len(got) < 500:
        got += delivered(store, limit=50, quantum=50)
    assert 3 <= got[:420].count("light") <= 6


def test_permits_go_round(store: Store) -> None:
    limit(store, per_second=10)
    send(store, "big", 100)
    for name in ("a", "b", "c"):
        send(store, name, 3)
    got = by_permits(store, 13)
    assert got.count("big") == 4
    assert max(at for at, each in enumerate(got) if each != "big") <= 12
    assert by_permits(store, 6) == ["big"] * 6


def test_permits_go_by_weight(store: Store) -> None:
    limit(store, per_second=10)
    weigh(store, heavy=4)
    for name in ("heavy", "light"):
        send(store, name, 60)
    shares = Counter(by_permits(store, 50))
    assert shares["heavy"] == pytest.approx(40, abs=2)


def test_bursts_of_permits_are_shared(store: Store) -> None:
    limit(store, per_second=200)
    for name in ("a", "b"):
        send(store, name, 100)
    store.claim()  # One has the first burst: they do not know of each other yet.
    shares = Counter(by_permits(store, 100))
    assert abs(shares["a"] - shares["b"]) <= 2


def test_who_comes_and_goes_does_not_take_every_permit(store: Store) -> None:
    limit(store, per_second=10)
    send(store, "zealous", 40)
    got: list[str] = []
    while len(got) < 20:
        send(store, "app")  # Again, as soon as its last mail has gone.
        got += by_permits(store, 1)
    assert got.count("zealous") >= 8


def test_concurrency_is_shared(store: Store) -> None:
    limit(store, concurrency=2)
    send(store, "big", 50)
    claim = store.claim()
    send(store, "a", 10)
    send(store, "b", 10)
    shares: Counter[str] = Counter()
    for _ in range(15):
        store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
        claim = store.claim()
        shares.update(whose(claim))
    assert sum(shares.values()) == 30
    assert max(shares.values()) - min(shares.values()) <= 2


def test_a_pools_members_take_turns_of_all(store: Store) -> None:
    store.pump()
    store.run(store.queue().pools({POOL: PoolMembers("weighted", (("one", 3), ("two", 1)))}))
    send(store, "big", 200, POOL)
    for name in ("a", "b"):
        send(store, name, 8, POOL)
    took: Counter[str] = Counter()
    shares: Counter[str] = Counter()
    for _ in range(2):
        claim = store.claim(limit=12, quantum=10)
        store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
        took.update(member_of(each.leg.hop) for each in claim.legs)
        shares.update(whose(claim))
    assert shares == {"big": 8, "a": 8, "b": 8}
    assert took == {"one": 16, "two": 8}
    store.reconcile()


def test_a_limited_pool_shares_its_permits(store: Store) -> None:
    store.run(store.queue().pools({POOL: PoolMembers("ordered", (("one", 1), ("two", 1)))}))
    limit(store, "one", per_second=10)
    send(store, "big", 50, POOL)
    send(store, "a", 5, POOL)
    got = by_permits(store, 11)
    assert got.count("a") == 5


def test_a_suspended_hops_applications_all_wait_and_come_back(store: Store) -> None:
    for name in ("a", "b", "c"):
        send(store, name)
    store.operations.suspend("gw", store.clock.now_ms() + 4000, "maintenance")
    assert store.claim().legs == ()
    found = destination(store)
    assert (found.ready, found.state(store.clock.now_ms())) == (3, "suspended")
    assert found.applications == (("a", 1), ("b", 1), ("c", 1))
    store.operations.suspend("gw", None, "longer")
    store.pump_for(6)
    assert store.claim().legs == ()
    assert store.operations.resume("gw")
    assert sorted(delivered(store)) == ["a", "b", "c"]
    assert destination(store).ready == 0
    store.reconcile()


def test_one_leg_probes_for_all_applications(store: Store) -> None:
    store.pump()
    store.trouble("gw")
    for name in ("a", "b", "c"):
        send(store, name, 2)
    assert store.claim().legs == ()
    store.pump_for(1.5)
    (probe,) = store.claim().legs
    assert store.claim().legs == ()
    store.settle(settlement(probe, Status.DELIVERED))
    assert len(store.claim().legs) == 5


def test_another_application_probes_next(store: Store) -> None:
    store.pump()
    store.trouble("gw")
    for name in ("a", "b", "c"):
        send(store, name, 3)
    store.claim()
    probed = []
    for wait in (1.5, 2.5, 4.5):
        store.pump_for(wait)
        (probe,) = store.claim().legs
        probed.append(probe.leg.application)
        store.trouble("gw")
        store.settle(release(probe))
    assert sorted(probed) == ["a", "b", "c"]


@pytest.mark.parametrize("why", ["suspended", "trouble"])
def test_what_has_had_its_time_expires_at_a_hop_that_stands_still(store: Store, why: str) -> None:
    store.pump()
    for name in ("a", "b", ""):
        send(store, name, 2, deliver_by_in_ms=None)
        send(store, name)
    if why == "suspended":
        store.operations.suspend("gw", None, "")
    else:
        store.trouble("gw")
    assert store.claim().legs == ()
    store.clock.advance(6 * 86_400)
    store.pump()
    assert store.ledger().count("expired") == 9
    assert store.spool.depth().ready_legs["transactional"] == 0
    assert destination(store).ready == 0
    store.reconcile()
    send(store, "a")
    assert destination(store).ready == 1


def test_a_flush_is_of_all_applications(store: Store) -> None:
    for name in ("a", "b"):
        send(store, name)
    store.settle(*(settlement(each, Status.DEFERRED) for each in store.claim().legs))
    assert destination(store).deferred == 2
    assert store.operations.flush("gw", "transactional", 10) == 2
    assert sorted(whose(store.claim())) == ["a", "b"]


def test_critical_mail_of_any_application_is_first_on_a_limited_hop(store: Store) -> None:
    critical: MessageClass = "critical"
    limit(store, per_second=20)
    send(store, "big", 20)
    assert len(store.claim().legs) == 2
    send(store, "small", message_class=critical)
    store.clock.advance(0.2)
    assert store.claim().legs == ()
    assert whose(store.claim(critical)) == ["small"]
    store.clock.advance(0.1)
    assert len(store.claim().legs) == 2


def test_a_leg_that_crashed_a_worker_is_alone_whosever_it_is(store: Store) -> None:
    limit(store, per_second=100)
    send(store, "a")
    store.pump()
    store.claim()
    store.pump_for(13)
    send(store, "b", 3)
    claims = [store.claim() for _ in range(6)]
    alone = [each for each in claims if each.alone]
    assert [whose(each) for each in alone] == [["a"]]
    assert sum(len(each.legs) for each in claims) == 4


def test_a_split_leg_keeps_its_application(store: Store) -> None:
    send(store, "a", recipients=1)
    (claimed,) = store.claim().legs
    part = claimed.leg
    assert store.run(store.queue().split(claimed.leg_id, claimed.fence, [part]))
    assert whose(store.claim()) == ["a"]


def test_destinations_show_sums_over_applications(store: Store) -> None:
    send(store, "a", 2)
    store.clock.advance(5)
    send(store, "b", 3)
    found = destination(store)
    assert (found.ready, found.oldest_ms) == (5, 5000)
    assert found.applications == (("b", 3), ("a", 2))
    limit(store, per_second=1)
    store.claim()
    assert destination(store).wakes_ms is not None
    assert [each.hop for each in store.operations.destinations()] == ["gw"]


# -- from the release before ------------------------------------------------------------------


def test_mail_of_the_release_before_goes_its_way(store: Store) -> None:
    """Its records and its places in the ring name a hop and no application."""
    send(store, "big", 50, named=False)
    send(store, "a", 2)
    send(store, "b", 2)
    got = delivered(store, limit=12)
    assert Counter(got) == {"": 4, "a": 2, "b": 2}
    while got := delivered(store):
        assert set(got) == {""}
    store.reconcile()


def test_mail_of_the_release_before_shares_permits(store: Store) -> None:
    limit(store, per_second=10)
    send(store, "big", 20, named=False)
    assert store.claim().legs
    send(store, "a", 5)
    assert by_permits(store, 10).count("a") == 5
    store.operations.suspend("gw", None, "")
    store.claim()
    assert destination(store).ready > 0
    store.operations.resume("gw")
    store.clock.advance(1)
    assert len(store.claim().legs) == 1
    store.reconcile()


def test_a_record_of_the_release_before_is_kept_as_it_is(store: Store) -> None:
    submission = store.submission(named=False)
    store.spool.accept([submission])
    if isinstance(store, RedisTestStore):
        identifier = leg_id(submission.message.id, 0)
        packed = store.client.hget(f"{PREFIX}leg:{identifier[15]}", identifier)
        assert isinstance(packed, bytes)
        assert b"|" not in packed
        assert store.client.lrange(f"{PREFIX}ring:1", 0, -1) == [b"relay"]
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DEFERRED, retry_ms=1000))
    store.pump_for(2)
    (again,) = store.claim().legs
    assert (again.leg.hop, again.leg.application) == ("relay", "")
    store.settle(settlement(again, Status.DELIVERED))
    store.reconcile()
