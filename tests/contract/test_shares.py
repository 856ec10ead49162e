"""Destinations share what is scarce, by weight, of however many applications they have mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from shared.hops import DestinationLimit, PoolMembers, shared_part
from shared.model.status import Status
from tests.support.stores import Store, settlement

Given = Counter[tuple[str, str]]
"""Legs by (destination, application)."""


def send(store: Store, hop: str, applications: int, each: int) -> None:
    """Mail of so many applications, so much of each."""
    store.spool.accept(
        [
            store.submission(hops=(hop,), application=f"{hop[-1]}{number}")
            for _ in range(each)
            for number in range(applications)
        ]
    )


def weigh(store: Store, weights: Mapping[str, int]) -> None:
    for hop, weight in weights.items():
        store.run(store.queue().limit(hop, DestinationLimit(weight=weight)))


def given(store: Store, legs: int, limit: int, *, full: bool = True) -> Given:
    """What so many legs are, that are claimed and delivered bit by bit, 20 times a second."""
    found: Given = Counter()
    while found.total() < legs:
        claim = store.claim(limit=limit, quantum=50)
        assert len(claim.legs) == limit or not full, "a claim takes what there is"
        found.update((shared_part(each.leg.hop), each.leg.application) for each in claim.legs)
        store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
        store.clock.advance(0.05)
    return found


def by_destination(found: Given) -> Counter[str]:
    shares: Counter[str] = Counter()
    for (hop, _), count in found.items():
        shares[hop] += count
    return shares


def spread(found: Given, hop: str) -> int:
    """By how many legs a destination's applications differ."""
    counts = [count for (place, _), count in found.items() if place == hop]
    return max(counts) - min(counts)


def warm(store: Store) -> None:
    """The first claim that leaves mail behind tells the next ones how the ring is."""
    given(store, 2, 2)


@pytest.mark.parametrize(
    ("limit", "applications", "legs"), [(20, 10, 400), (3, 10, 160), (1, 10, 80), (7, 40, 240)]
)
def test_ten_applications_here_get_no_more_than_one_there(
    store: Store, limit: int, applications: int, legs: int
) -> None:
    send(store, "a", applications, legs // applications)
    send(store, "b", 1, legs)
    warm(store)
    found = given(store, legs, limit)
    shares = by_destination(found)
    assert shares["a"] == pytest.approx(shares["b"], rel=0.1)
    assert len(found) == applications + 1
    assert spread(found, "a") <= 2
    store.reconcile()


@pytest.mark.parametrize("limit", [3, 20])
def test_weights_hold_whatever_the_applications(store: Store, limit: int) -> None:
    weigh(store, {"a": 3})
    send(store, "a", 1, 200)
    send(store, "b", 5, 20)
    send(store, "c", 2, 50)
    warm(store)
    found = given(store, 200, limit)
    shares = by_destination(found)
    assert shares["a"] == pytest.approx(120, rel=0.1)
    assert shares["b"] == pytest.approx(40, rel=0.1)
    assert shares["c"] == pytest.approx(40, rel=0.1)
    assert spread(found, "b") <= 2


def test_no_turn_is_longer_than_a_quantum(store: Store) -> None:
    """However many applications the others have, and however long they so would have to wait."""
    weigh(store, {"b": 2})
    send(store, "a", 60, 2)
    send(store, "b", 1, 160)
    warm(store)
    order: list[str] = []
    while len(order) < 120:
        claim = store.claim(limit=8, quantum=12)
        order += [each.leg.hop for each in claim.legs]
        store.settle(*(settlement(each, Status.DELIVERED) for each in claim.legs))
    runs = [len(run) for run in "".join(order).split("a") if run]
    assert max(runs) == 12
    assert order.count("b") == pytest.approx(80, rel=0.1)


def test_a_great_weight_starves_nobody(store: Store) -> None:
    weigh(store, {"a": 30})
    send(store, "a", 1, 400)
    send(store, "b", 6, 5)
    warm(store)
    found = given(store, 372, 12)
    assert by_destination(found)["b"] == pytest.approx(12, abs=3)
    assert spread(found, "b") <= 2


def test_a_pool_is_one_destination_and_so_is_a_relay_of_many_sources(store: Store) -> None:
    pool = PoolMembers("weighted", (("one", 1), ("two", 1)))
    store.run(store.queue().pools({"pool:p": pool}))
    send(store, "pool:p", 4, 50)
    for source in ("gw", "gw@x", "gw@y"):
        send(store, source, 1, 100)
    warm(store)
    shares = by_destination(given(store, 160, 8))
    assert shares["one"] == pytest.approx(40, rel=0.15)
    assert shares["two"] == pytest.approx(40, rel=0.15)
    assert shares["gw"] == pytest.approx(80, rel=0.1)


def test_the_weight_of_all_sites_and_of_one(store: Store) -> None:
    weigh(store, {"mx:*": 2, "mx:big": 6})
    for hop in ("mx:big", "mx:small", "mx:?", "gw"):
        send(store, hop, 1, 250)
    warm(store)
    shares = by_destination(given(store, 300, 10))
    wanted = {"mx:big": 180, "mx:small": 60, "mx:?": 30, "gw": 30}
    assert shares == pytest.approx(wanted, rel=0.1)


def test_who_comes_later_is_counted_soon(store: Store) -> None:
    send(store, "a", 1, 400)
    send(store, "b", 1, 400)
    warm(store)
    assert by_destination(given(store, 40, 10)) == {"a": 20, "b": 20}
    store.spool.accept(
        [store.submission(hops=("a",), application=f"late{n % 9}") for n in range(180)]
    )
    given(store, 40, 10)
    shares = by_destination(given(store, 200, 10))
    assert shares["a"] == pytest.approx(shares["b"], rel=0.1)


def test_what_a_destination_does_not_want_is_for_the_others(store: Store) -> None:
    """A claim is full while there is mail, and nothing stays behind."""
    weigh(store, {"a": 50})
    send(store, "a", 2, 3)
    send(store, "b", 30, 4)
    store.operations.suspend("c", None, "")
    send(store, "c", 2, 2)
    warm(store)
    assert by_destination(given(store, 124, 4)) == {"a": 4, "b": 120}
    assert store.claim().legs == ()
    store.operations.resume("c")
    assert len(store.claim().legs) == 4
    store.reconcile()


def test_a_limited_destination_has_its_rate_and_no_turn_is_lost(store: Store) -> None:
    store.run(store.queue().limit("a", DestinationLimit(per_second=20, weight=9)))
    send(store, "a", 5, 20)
    send(store, "b", 3, 100)
    warm(store)
    began = store.clock.now_ms()
    found = given(store, 250, 5, full=False)
    seconds = (store.clock.now_ms() - began) / 1000
    assert by_destination(found)["a"] == pytest.approx(20 * seconds, rel=0.1)
    assert spread(found, "a") <= 3


def test_a_leg_that_crashed_a_worker_is_alone_and_soon(store: Store) -> None:
    """Turns that have begun go on after it."""
    send(store, "a", 1, 1)
    store.pump()
    (crashed,) = store.claim().legs
    store.pump_for(13)
    send(store, "a", 10, 10)
    send(store, "b", 1, 100)
    claims = [store.claim(limit=6, quantum=50) for _ in range(8)]
    (alone,) = [each for each in claims if each.alone]
    assert [each.leg_id for each in alone.legs] == [crashed.leg_id]
    store.reconcile()


def test_no_claim_is_empty_where_there_is_mail(store: Store) -> None:
    """Also while what was counted is no longer so."""
    send(store, "a", 40, 1)
    send(store, "b", 1, 1)
    send(store, "a", 2, 10)
    for _ in range(61):
        assert len(store.claim(limit=1, quantum=1).legs) == 1
