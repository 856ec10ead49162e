"""Limits by window, of routes and of all sites; what operators set; slowing down and recovery."""

from __future__ import annotations

import msgspec
import pytest

from shared.hops import DestinationLimit, PoolMembers
from shared.model.status import Status
from shared.store.limits import Override, pack_limit, unpack_limit
from shared.store.operations import Destination
from shared.store.ports import Claimed
from tests.support.stores import RedisTestStore, Store, release, settlement

MINUTE, HOUR, DAY = 60, 3600, 86_400


def limit(store: Store, key: str, found: DestinationLimit) -> None:
    store.run(store.queue().limit(key, found))


def fill(store: Store, hop: str, count: int, message_class: str = "transactional") -> None:
    for _ in range(count):
        store.accept(hops=(hop,), message_class=message_class)


def taken(store: Store) -> tuple[Claimed, ...]:
    """What may go now; everything is delivered at once."""
    legs = store.claim().legs
    for each in legs:
        store.settle(settlement(each, Status.DELIVERED))
    return legs


def seen(store: Store, hop: str) -> Destination:
    return next(each for each in store.operations.destinations() if each.hop == hop)


def times_of(store: Store, seconds: int) -> list[int]:
    """When each leg went, asking again whenever a claim says so, and not otherwise."""
    end, found = store.clock.now_ms() + seconds * 1000, []
    while store.clock.now_ms() < end:
        claim = store.claim()
        for each in claim.legs:
            found.append(store.clock.now_ms())
            store.settle(settlement(each, Status.DELIVERED))
        if claim.again_ms is None:
            return found
        store.clock.advance(claim.again_ms / 1000)
    return found


def most_in(times: list[int], window_ms: int) -> int:
    return max(sum(at <= other < at + window_ms for other in times) for at in times)


def test_a_limit_of_a_minute_lets_all_of_it_go_at_once_and_no_more_in_any_minute(
    store: Store,
) -> None:
    limit(store, "gw", DestinationLimit(per_minute=10))
    fill(store, "gw", 70)
    times = times_of(store, 4 * MINUTE)
    assert times[9] == times[0]  # Password resets do not wait for an even pace.
    assert most_in(times, 60_000) == 10
    assert len(times) == 40  # Four times ten, in little more than three minutes.
    assert times[-1] - times[0] <= 3 * 61_000


def test_an_hours_and_a_days_limit_hold_beside_a_rate(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_second=10, per_hour=20, per_day=30))
    fill(store, "gw", 70)
    times = times_of(store, DAY + 2 * HOUR)
    assert most_in(times, 1000) <= 12
    assert most_in(times, HOUR * 1000) == 20
    assert most_in(times, DAY * 1000) == 30
    assert len(times) >= 50
    assert seen(store, "gw").used.keys() == {"hour", "day"}


def test_used_windows_are_told(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_minute=5, per_day=100))
    fill(store, "gw", 9)
    assert len(taken(store)) == 5
    assert seen(store, "gw").used == {"minute": 5, "day": 5}
    assert seen(store, "gw").limit == DestinationLimit(per_minute=5, per_day=100)
    store.clock.advance(61)
    assert len(taken(store)) == 4
    assert seen(store, "gw").used == {"minute": 4, "day": 9}


def test_a_release_returns_the_permit_of_a_window(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_hour=1))
    fill(store, "gw", 1)
    (claimed,) = store.claim().legs
    store.settle(release(claimed))
    assert seen(store, "gw").used == {"hour": 0}
    assert len(store.claim().legs) == 1


def test_a_release_returns_no_permit_that_no_longer_counts(store: Store) -> None:
    """Else those that have been used since would count for less."""
    limit(store, "gw", DestinationLimit(per_minute=3, per_hour=20))
    fill(store, "gw", 9)
    held = store.claim().legs
    for _ in range(16):
        store.clock.advance(4)
        store.renew(*held)
    assert len(taken(store)) == 3
    store.settle(*(release(each) for each in held))
    assert seen(store, "gw").used == {"minute": 3, "hour": 3}
    store.accept(hops=("gw",), application="shop")
    assert taken(store) == ()


def test_a_route_has_its_limit_over_all_relays_and_sites(store: Store) -> None:
    limit(store, "@news", DestinationLimit(per_minute=4, concurrency=3))
    for hop in ("gw1@news", "gw2@news", "mx:a.test@news", "mx:a.test@news+sts~x"):
        fill(store, hop, 3)
    fill(store, "gw1", 3)
    fill(store, "mx:a.test@+sts~x", 3)
    first = store.claim().legs
    of_route = [each for each in first if "@news" in each.leg.hop]
    assert (len(first), len(of_route)) == (9, 3)
    for each in of_route:
        store.settle(settlement(each, Status.DELIVERED))
    assert len(store.claim().legs) == 1  # The fourth of the minute.
    store.clock.advance(61)
    assert len(store.claim().legs) == 2  # One is still under way.


def test_what_only_asks_dns_has_no_limit(store: Store) -> None:
    limit(store, "@news", DestinationLimit(per_day=1, concurrency=1))
    limit(store, "mx:*", DestinationLimit(per_day=1))
    fill(store, "mx:?@news", 3)
    assert len(taken(store)) == 3
    fill(store, "mx:a.test@news", 3)
    assert len(taken(store)) == 1


def test_each_site_has_the_limit_of_all_sites_unless_it_has_its_own(store: Store) -> None:
    limit(store, "mx:*", DestinationLimit(concurrency=2))
    limit(store, "mx:own.test", DestinationLimit(concurrency=4))
    for hop in ("mx:a.test", "mx:b.test@r", "mx:own.test", "mx:?", "gw"):
        fill(store, hop, 5)
    legs = store.claim().legs
    counts = {hop: [each.leg.hop for each in legs].count(hop) for hop in
              ("mx:a.test", "mx:b.test@r", "mx:own.test", "mx:?", "gw")}  # fmt: skip
    assert counts == {"mx:a.test": 2, "mx:b.test@r": 2, "mx:own.test": 4, "mx:?": 5, "gw": 5}


def test_a_changed_limit_counts_at_once(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_day=1))
    fill(store, "gw", 3)
    assert len(taken(store)) == 1
    assert taken(store) == ()
    limit(store, "gw", DestinationLimit(per_day=2))
    assert len(taken(store)) == 1
    limit(store, "gw", DestinationLimit())
    assert len(taken(store)) == 1
    assert seen(store, "gw").limit == DestinationLimit()


def test_limits_of_many_sites_are_changed_together(store: Store) -> None:
    """All that waits, maybe a hundred thousand queues, is looked at once for a thousand of them."""
    sites = [f"mx:{at}.test" for at in range(1500)]
    store.run(store.queue().limits({site: DestinationLimit(per_day=1) for site in sites}))
    for site in sites[:2]:
        fill(store, site, 2)
    fill(store, "gw", 1)
    assert len(store.claim().legs) == 3
    assert store.claim().more is False
    calls = evals(store)
    store.run(store.queue().limits({site: DestinationLimit(per_day=2) for site in sites}))
    assert evals(store) - calls in (0, 2)
    assert len(store.claim().legs) == 2


def evals(store: Store) -> int:
    """Scripts that a server has run; of the twin 0."""
    if not isinstance(store, RedisTestStore):
        return 0
    stats = store.client.info("commandstats")
    return sum(each["calls"] for name, each in stats.items() if name.startswith("cmdstat_eval"))


def test_an_operator_limits_a_destination_for_a_while(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_minute=5, concurrency=4))
    fill(store, "gw", 20)
    now = store.clock.now_ms()
    override = Override(per_minute=1, until_ms=now + 90_000, reason="asked | to")
    store.operations.set_limit("gw", override)
    there = seen(store, "gw")
    assert there.override == override
    assert there.limit == DestinationLimit(per_minute=1, concurrency=4)
    assert len(taken(store)) == 1
    store.clock.advance(61)
    assert len(taken(store)) == 1
    store.clock.advance(61)
    assert seen(store, "gw").override is None
    assert len(taken(store)) == 4  # One of this minute has gone.


def test_what_an_operator_has_set_is_cleared(store: Store) -> None:
    limit(store, "mx:*", DestinationLimit(per_minute=2))
    fill(store, "mx:a.test", 9)
    store.operations.set_limit("mx:*", Override(per_minute=0, concurrency=3))
    assert len(taken(store)) == 3
    assert store.operations.clear_limit("mx:*")
    assert not store.operations.clear_limit("mx:*")
    assert len(taken(store)) == 2  # Without a limit nothing was counted.
    assert taken(store) == ()
    store.clock.advance(61)
    assert len(taken(store)) == 2


def test_every_limit_is_told_with_what_is_used_of_it(store: Store) -> None:
    limit(store, "mx:*", DestinationLimit(per_minute=2))
    limit(store, "gw", DestinationLimit(per_second=9, per_day=8))
    store.operations.set_limit("gw", Override(per_hour=5))
    slow(store, "mx:a.test", 0)
    fill(store, "gw", 1)
    taken(store)
    found = {each.key: each for each in store.operations.limits()}
    assert sorted(found) == ["gw", "mx:*", "mx:a.test"]
    assert found["gw"].effective.limit == DestinationLimit(9, per_hour=5, per_day=8)
    assert found["gw"].used == {"hour": 1, "day": 1}
    assert found["mx:a.test"].effective.slowed is not None
    assert found["mx:a.test"].used == {"minute": 0}
    (other,) = store.operations.limits(["mx:b.test"])
    assert other.effective.limit == DestinationLimit(per_minute=2)


def slow(store: Store, hop: str, first_ms: int = 30_000) -> int:
    async def work() -> int:
        return await store.queue().trouble(hop, "421 4.7.0", first_ms, 900_000, slow=True)

    return store.run(work())


def test_a_slowed_destination_has_half_and_recovers_step_by_step(store: Store) -> None:
    limit(store, "mx:a.test", DestinationLimit(per_second=8, concurrency=5, connections=4))
    fill(store, "mx:a.test", 60)
    assert slow(store, "mx:a.test") == 30_000
    assert store.claim().legs == ()
    assert slow(store, "mx:a.test") == 0  # What broke with it counts once.
    store.clock.advance(30)
    assert len(taken(store)) == 1  # The probe.
    assert slow(store, "mx:a.test") == 60_000  # Twice as long after the second one.
    now = store.clock.now_ms()
    there = seen(store, "mx:a.test")
    assert there.slowed is not None
    assert (there.slowed.steps, there.slowed.until_ms) == (2, now + 60_000 + 2 * 60_000)
    assert there.limit == DestinationLimit(per_second=2, concurrency=2, connections=1)
    store.clock.advance(60)
    assert len(taken(store)) == 1  # The probe again; it was answered.
    rates = []
    for _ in range(3):
        rates.append((seen(store, "mx:a.test").limit.per_second, len(taken(store))))
        store.clock.advance(60)
    assert rates == [(2, 0), (4, 1), (8, 1)]
    assert seen(store, "mx:a.test").slowed is None


def test_without_a_rate_of_its_own_it_has_half_of_what_it_had(store: Store) -> None:
    store.clock.advance(55 - store.clock.now_ms() / 1000 % 60)  # The last seconds of a minute.
    fill(store, "mx:a.test", 120)
    assert len(taken(store)) == 100
    store.clock.advance(10)
    assert len(taken(store)) == 20
    store.clock.advance(5)
    slow(store, "mx:a.test")
    there = seen(store, "mx:a.test")
    assert there.slowed is not None
    assert round(there.limit.per_second, 6) == 6.0  # 120 in 5 and 5 seconds.
    assert there.slowed.per_second == there.limit.per_second


def test_of_one_that_had_little_nobody_knows_what_it_can_take(store: Store) -> None:
    fill(store, "gw", 1)
    assert len(taken(store)) == 1
    store.clock.advance(50)
    slow(store, "gw")
    assert seen(store, "gw").limit.per_second == 0.5
    slow(store, "other")
    assert seen(store, "other").limit.per_second == 0  # It has answered nothing.


def test_resume_lifts_what_replies_have_slowed_down(store: Store) -> None:
    limit(store, "mx:a.test", DestinationLimit(per_second=8))
    fill(store, "mx:a.test", 9)
    slow(store, "mx:a.test")
    assert store.operations.resume("mx:a.test")
    assert (seen(store, "mx:a.test").slowed, seen(store, "mx:a.test").rate) == (None, 8)
    assert store.claim().legs
    slow(store, "mx:a.test")
    store.clock.advance(30)
    store.settle(settlement(store.claim().legs[0], Status.DELIVERED))  # Its probe.
    assert seen(store, "mx:a.test").slowed is not None
    assert store.operations.resume("mx:a.test")
    assert not store.operations.resume("mx:a.test")


def test_a_late_answer_does_not_end_the_pause_of_a_slowed_destination(store: Store) -> None:
    fill(store, "mx:a.test", 4)
    first, second = store.claim(limit=2).legs
    slow(store, "mx:a.test")
    store.settle(settlement(first, Status.DELIVERED))
    assert store.claim().legs == ()
    store.clock.advance(30)
    (probe,) = store.claim().legs
    store.settle(settlement(second, Status.DELIVERED))
    store.settle(settlement(probe, Status.DELIVERED))
    assert len(store.claim().legs) == 1


def test_trouble_of_another_kind_ends_with_any_answer(store: Store) -> None:
    fill(store, "mx:a.test", 4)
    first, _ = store.claim(limit=2).legs
    store.trouble("mx:a.test")
    store.settle(settlement(first, Status.DELIVERED))
    assert len(store.claim().legs) == 2


def test_a_queue_that_waits_goes_on_as_its_destination_recovers(store: Store) -> None:
    limit(store, "mx:a.test", DestinationLimit(per_second=0.02))
    fill(store, "mx:a.test", 4)
    assert len(taken(store)) == 1
    for _ in range(5):
        assert slow(store, "mx:a.test", first_ms=0) == 0
        store.clock.advance(11)
    assert seen(store, "mx:a.test").limit.per_second == 0.02 / 32  # A leg in 27 minutes.
    assert len(times_of(store, 9 * MINUTE)) == 3


def test_a_queue_that_waits_goes_on_when_an_operators_limit_ends(store: Store) -> None:
    fill(store, "gw", 9)
    now = store.clock.now_ms()
    store.operations.set_limit("gw", Override(per_day=1, until_ms=now + 90_000))
    times = times_of(store, 100)
    assert times == [now] + [now + 90_000] * 8


def test_a_higher_rate_counts_at_once(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_second=0.001))
    fill(store, "gw", 5)
    assert len(taken(store)) == 1
    limit(store, "gw", DestinationLimit(per_second=10))
    assert len(times_of(store, 1)) == 4


def test_a_leg_that_is_only_split_uses_no_permit(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_minute=3, per_second=5))
    store.accept(hops=("gw",), recipients=2)
    (claimed,) = store.claim().legs
    halves = tuple(
        msgspec.structs.replace(claimed.leg, recipients=(index,), statuses=(Status.QUEUED,))
        for index in (0, 1)
    )

    async def work() -> bool:
        return await store.queue().split(claimed.leg_id, claimed.fence, halves, {})

    assert store.run(work())
    assert seen(store, "gw").used == {"minute": 0}
    assert len(times_of(store, 1)) == 2


def test_the_limits_of_sites_come_with_the_legs_that_go_there(store: Store) -> None:
    store.accept(hops=("mx:?",))
    (claimed,) = store.claim().legs
    site = DestinationLimit(per_minute=3)

    async def work() -> bool:
        moved = msgspec.structs.replace(claimed.leg, hop="mx:a.test")
        return await store.queue().split(
            claimed.leg_id, claimed.fence, (moved,), {"mx:a.test": site}
        )

    assert store.run(work())
    assert seen(store, "mx:a.test").limit == site


@pytest.mark.parametrize(
    ("urgent", "other", "key"),
    [("mx:a.test@r", "mx:b.test@r", "@r"), ("gw@x", "gw", "gw"), ("pool:p", "gw", "gw")],
)
@pytest.mark.parametrize("most", [{"per_minute": 2}, {"concurrency": 2}])
def test_permits_that_class_critical_waits_for_are_its_own_at_whichever_hop(
    store: Store, urgent: str, other: str, key: str, most: dict[str, int]
) -> None:
    store.run(store.queue().pools({"pool:p": PoolMembers("ordered", (("gw", 1),))}))
    store.limit(key, **most)
    fill(store, other, 6, "bulk")
    legs = store.claim("bulk").legs
    assert len(legs) == 2
    fill(store, urgent, 3, "critical")
    assert store.claim("critical").legs == ()
    assert store.claim("bulk").legs == ()
    store.settle(*(settlement(each, Status.DELIVERED) for each in legs))
    store.clock.advance(61)
    assert store.claim("bulk").legs == ()
    assert len(store.claim("critical").legs) == 2


def test_class_critical_is_not_waited_for_where_it_waits_for_something_else(store: Store) -> None:
    store.limit("@r", per_minute=2)
    fill(store, "b@r", 9, "bulk")
    fill(store, "a@r", 2, "critical")
    assert len(store.claim("bulk").legs) == 2
    assert store.claim("critical").legs == ()
    store.limit("a", per_day=1)
    fill(store, "a", 1)
    assert len(store.claim().legs) == 1
    store.clock.advance(61)
    assert store.claim("critical").legs == ()  # Its own relay has had enough for today.
    assert len(store.claim("bulk").legs) == 2
    store.limit("a")
    assert store.claim("critical").legs == ()
    store.clock.advance(61)
    assert store.claim("bulk").legs == ()
    store.operations.suspend("a@r", store.clock.now_ms() + 900, "by hand")
    store.accept(hops=("a@r",), message_class="critical", application="shop")
    assert store.claim("critical").legs == ()
    store.clock.advance(0.02)
    assert len(store.claim("bulk").legs) == 2


def test_a_claim_ends_where_it_finds_nothing_but_queues_that_wait(store: Store) -> None:
    """Else one of a hundred thousand sites would hold up the store for seconds."""
    limit(store, "@r", DestinationLimit(per_day=1))
    store.spool.accept([store.submission(hops=(f"mx:{at}.test@r",)) for at in range(410)])
    fill(store, "gw", 1)
    claims = [store.claim() for _ in range(4)]
    assert [(len(each.legs), each.more) for each in claims] == [
        (1, True), (0, True), (1, False), (0, False)
    ]  # fmt: skip
    assert claims[2].legs[0].leg.hop == "gw"
    store.clock.advance(DAY + 3600)
    assert sum(len(store.claim().legs) for _ in range(5)) == 1


def test_what_is_set_for_all_sites_holds_where_what_was_set_for_one_has_ended(
    store: Store,
) -> None:
    now = store.clock.now_ms()
    store.operations.set_limit("mx:*", Override(per_day=1))
    store.operations.set_limit("mx:a.test", Override(per_day=2, until_ms=now + 1000))
    store.clock.advance(1)
    fill(store, "mx:a.test", 5)
    assert seen(store, "mx:a.test").limit.per_day == 1
    assert len(taken(store)) == 1


def test_clearing_what_nobody_has_set_asks_nobody_again(store: Store) -> None:
    limit(store, "gw", DestinationLimit(per_day=1))
    fill(store, "gw", 2)
    assert len(taken(store)) == 1
    assert not store.operations.clear_limit("gw")
    assert seen(store, "gw").wakes_ms is not None
    store.operations.set_limit("gw", Override(per_day=1))
    assert seen(store, "gw").wakes_ms is None
    assert taken(store) == ()
    store.operations.set_limit("gw", Override(per_day=1))
    assert seen(store, "gw").wakes_ms is not None


def test_a_limit_is_read_as_it_was_written() -> None:
    for found in (DestinationLimit(), DestinationLimit(20, 1, 2, 3, 4, 5, 0.5, 6)):
        assert unpack_limit(pack_limit(found)) == found


def test_workers_of_an_older_release_keep_limits_of_their_own(store: Store) -> None:
    """They read three numbers there, and break with a queue in hand on any other text."""
    if isinstance(store, RedisTestStore):
        store.client.hset("ph:limits", "gw", "1000.0|1.5|0")
        limit(store, "gw", DestinationLimit(per_minute=2))
        fill(store, "gw", 3)
        assert len(taken(store)) == 2
        slow(store, "gw")
        assert store.client.hgetall("ph:limits") == {b"gw": b"1000.0|1.5|0"}
