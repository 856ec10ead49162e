"""Sites come and go by the hundred thousands: what was kept of one goes when its mail has gone."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.hops import DestinationLimit
from shared.model.status import Status
from shared.store.limits import Override
from tests.support.stores import RedisTestStore, Store, settlement

DAY = 86_400
SITES = [f"mx:{number}.test" for number in range(70)]


def deliver_all(store: Store) -> None:
    while store.spool.depth().ready_legs["transactional"]:
        for each in store.claim().legs:
            store.settle(settlement(each, Status.DELIVERED))
        store.clock.advance(1)


def pumped(store: Store) -> None:
    for _ in range(20):
        store.pump()


def resolved(store: Store, site: str, limit: DestinationLimit) -> None:
    """A message whose domain turned out to be of this site, delivered."""
    store.accept(hops=("mx:?",))
    (claimed,) = store.claim().legs
    moved = msgspec.structs.replace(claimed.leg, hop=site)

    async def work() -> bool:
        return await store.queue().split(claimed.leg_id, claimed.fence, (moved,), {site: limit})

    assert store.run(work())
    deliver_all(store)


def kept_of_sites(store: RedisTestStore) -> list[Any]:
    """Keys and fields that are named after one and stay until somebody removes them."""
    found = []
    for key in store.client.keys("ph:*"):
        if store.client.ttl(key) > 0:
            continue
        names = [key]
        if store.client.type(key) == b"hash":
            names += store.client.hkeys(key)
        found += [(key, each) for each in names if b".test" in each]
    return found


def test_nothing_is_kept_of_sites_whose_mail_has_gone(store: Store) -> None:
    store.limit("mx:*", per_second=2.0, concurrency=1, per_minute=9, per_day=50)
    for site in SITES:
        store.accept(hops=(site,))
        store.accept(hops=(site,), application="shop")
    for site in SITES[:9]:
        store.trouble(site, slow=True)
        store.clock.advance(0.1)
    now = store.clock.now_ms()
    for site in SITES[-9:]:
        store.operations.set_limit(site, Override(concurrency=2, until_ms=now + 60_000))
    deliver_all(store)
    for site in SITES[:9] * 2:
        store.accept(hops=(site,), message_class="critical", deliver_by_in_ms=DAY * 1000)
    for each in store.claim("critical").legs:
        store.settle(settlement(each, Status.DELIVERED))
    for site in SITES[:9]:
        store.operations.suspend(site, None, "gone")
    assert store.claim("critical").legs == ()
    store.clock.advance(DAY + 1)
    pumped(store)
    store.clock.advance(DAY)
    pumped(store)
    if isinstance(store, RedisTestStore):
        for site in SITES[:9]:
            store.operations.resume(site)
        assert kept_of_sites(store) == []


def test_a_sites_own_limit_is_forgotten_a_month_after_its_last_mail(store: Store) -> None:
    own = DestinationLimit(per_minute=3)
    resolved(store, "mx:a.test", own)
    for _ in range(3):
        store.clock.advance(20 * DAY)
        pumped(store)
        (found,) = store.operations.limits(["mx:a.test"])
        assert found.effective.limit == own
        resolved(store, "mx:a.test", own)
    store.clock.advance(32 * DAY)
    pumped(store)
    if isinstance(store, RedisTestStore):
        assert not store.client.exists("ph:shaping")


def test_what_relays_routes_and_all_sites_have_is_kept(store: Store) -> None:
    keys = ("gw", "@news", "mx:*")
    for key in keys:
        store.limit(key, per_day=5)
    store.operations.set_limit("mx:own.test", Override(per_day=3))
    store.clock.advance(400 * DAY)
    pumped(store)
    found = {each.key: each.effective.limit.per_day for each in store.operations.limits()}
    assert found == {"gw": 5, "@news": 5, "mx:*": 5, "mx:own.test": 3}


def test_legs_of_a_route_that_an_older_release_did_not_count_are_counted_again(
    store: Store,
) -> None:
    store.limit("@r", concurrency=2)
    for _ in range(3):
        store.accept(hops=("gw@r",))
    assert len(store.claim(limit=1).legs) == 1
    if isinstance(store, RedisTestStore):  # It has reaped some leases.
        store.client.hset("ph:flying", mapping={"@r": 5, "@gone": 1})
        assert store.claim().legs == ()
        store.clock.advance(2)
        store.pump()
        assert store.client.hgetall("ph:flying") == {b"gw": b"1", b"@r": b"1"}
        store.client.hdel("ph:flying", "@r")  # It has claimed them.
        store.clock.advance(61)
        store.pump()
        assert store.client.hgetall("ph:flying") == {b"gw": b"1", b"@r": b"1"}
    assert len(store.claim().legs) == 1
