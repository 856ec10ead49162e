"""Claim: a quantum each in turn, limits, leases, alone after a crash."""

from __future__ import annotations

from shared.hops import DestinationLimit
from shared.model.leg import LegFlag
from shared.model.status import Status
from shared.store.ports import Settled
from tests.support.stores import Store, release, settlement


def limit(store: Store, hop: str, **values: float) -> None:
    async def work() -> None:
        await store.queue().limit(
            hop,
            DestinationLimit(values.get("per_second", 0), int(values.get("concurrency", 0))),
        )

    store.run(work())


def test_destinations_take_turns(store: Store) -> None:
    for _ in range(30):
        store.accept(hops=("big",))
    store.accept(hops=("small",))
    claim = store.claim(limit=20, quantum=10)
    assert [each.leg.hop for each in claim.legs] == ["big"] * 10 + ["small"]
    assert claim.more
    assert {each.leg.hop for each in store.claim(limit=20, quantum=10).legs} == {"big"}


def test_a_claim_carries_what_a_delivery_needs(store: Store) -> None:
    store.accept(text="the text")
    claim = store.claim()
    (claimed,) = claim.legs
    assert claimed.fence == 1
    assert claimed.leg.flags == LegFlag(0)
    assert claimed.content is not None
    assert claimed.head.sender.email == "a@a.test"
    assert not claim.more
    assert store.claim().legs == ()


def test_large_content_is_fetched_apart(store: Store) -> None:
    text = "".join(chr(33 + (at * at) % 90) for at in range(300_000))
    identifier = store.accept(text=text)
    (claimed,) = store.claim().legs

    async def content() -> bytes | None:
        return await store.queue().content(identifier)

    if claimed.content is None:
        assert store.run(content())


def test_a_rate_limits_what_a_claim_takes(store: Store) -> None:
    limit(store, "slow", per_second=20)
    for _ in range(10):
        store.accept(hops=("slow",))
    assert len(store.claim().legs) == 2
    assert store.claim().legs == ()
    store.clock.advance(0.5)
    store.pump()
    assert len(store.claim().legs) == 2


def test_a_release_returns_its_permit(store: Store) -> None:
    limit(store, "slow", per_second=1)
    store.accept(hops=("slow",))
    (claimed,) = store.claim().legs
    assert store.settle(release(claimed)) == [Settled.DONE]
    (again,) = store.claim().legs
    assert again.leg.attempts == 0


def test_concurrency_is_shared_by_the_classes(store: Store) -> None:
    limit(store, "narrow", concurrency=2)
    for _ in range(3):
        store.accept(hops=("narrow",))
    first = store.claim().legs
    assert len(first) == 2
    store.accept(hops=("narrow",), message_class="critical")
    assert store.claim("critical").legs == ()
    store.settle(settlement(first[0], Status.DELIVERED))
    assert len(store.claim("critical").legs) == 1


def test_a_relays_limits_are_shared_by_the_sources_it_is_reached_from(store: Store) -> None:
    limit(store, "gw", per_second=20, concurrency=3)
    for _ in range(3):
        store.accept(hops=("gw",))
        store.accept(hops=("gw@eu",))
    store.accept(hops=("gate",))
    first = store.claim().legs
    assert sorted(each.leg.hop for each in first) == ["gate", "gw", "gw"]  # Two permits.
    store.clock.advance(0.5)
    store.pump()
    assert len(store.claim().legs) == 1  # Two more, but one free place.
    held = next(each for each in first if each.leg.hop == "gw")
    store.settle(settlement(held, Status.DELIVERED))
    store.clock.advance(1)
    store.pump()
    assert len(store.claim().legs) == 1


def test_critical_mail_has_the_next_permits_of_a_limited_hop(store: Store) -> None:
    limit(store, "slow", per_second=20)
    for _ in range(5):
        store.accept(hops=("slow",))
    assert len(store.claim().legs) == 2
    store.accept(hops=("slow",), message_class="critical")
    store.clock.advance(0.2)
    assert store.claim().legs == ()  # Bulk, or whatever else, does not take them.
    assert len(store.claim("critical").legs) == 1
    store.clock.advance(0.1)
    assert len(store.claim().legs) == 2


def test_critical_mail_of_another_hop_keeps_nobody_back(store: Store) -> None:
    limit(store, "slow", per_second=20)
    store.accept(hops=("slow",))
    store.accept(hops=("fast",), message_class="critical")
    assert len(store.claim().legs) == 1


def test_a_claim_tells_when_the_next_permit_comes(store: Store) -> None:
    limit(store, "slow", per_second=4)
    for _ in range(3):
        store.accept(hops=("slow",))
    claim = store.claim()
    # Half a permit early, as it may be taken late.
    assert (len(claim.legs), claim.again_ms) == (1, 125)
    store.clock.advance(0.124)
    assert (store.claim().legs, store.claim().again_ms) == ((), 1)
    store.clock.advance(0.001)
    assert len(store.claim().legs) == 1  # Nobody has pumped: the claim looks itself.
    assert store.claim().again_ms == 250


def test_hops_that_share_a_limit_take_turns(store: Store) -> None:
    limit(store, "gw", per_second=10)
    for name in ("gw", "gw@a", "gw@b"):
        for _ in range(10):
            store.accept(hops=(name,))
    taken: list[str] = []
    while len(taken) < 12:
        claim = store.claim()
        taken += [each.leg.hop for each in claim.legs]
        assert claim.again_ms is not None
        store.clock.advance(claim.again_ms / 1000)
    assert {taken.count(name) for name in ("gw", "gw@a", "gw@b")} == {4}


def test_a_high_rate_is_claimed_in_halves_of_its_burst(store: Store) -> None:
    limit(store, "fast", per_second=100)
    for _ in range(40):
        store.accept(hops=("fast",))
    taken = [len(store.claim(quantum=50).legs)]
    for _ in range(4):
        again = store.claim(quantum=50).again_ms
        assert again is not None
        store.clock.advance(again / 1000)
        taken.append(len(store.claim(quantum=50).legs))
    assert taken == [10, 5, 5, 5, 5]


def test_a_release_returns_the_permit_that_sources_share(store: Store) -> None:
    limit(store, "gw", per_second=1)
    store.accept(hops=("gw@eu",))
    (claimed,) = store.claim().legs
    assert store.settle(release(claimed)) == [Settled.DONE]
    assert len(store.claim().legs) == 1


def test_a_leg_that_crashed_a_worker_is_claimed_alone(store: Store) -> None:
    store.accept()
    store.pump()
    store.claim()
    store.pump_for(13)  # The lease runs out.
    store.accept()
    store.accept()
    first, second = store.claim(), store.claim()
    assert first.alone
    assert len(first.legs) == 1
    assert first.legs[0].leg.crashes == 1
    assert not second.alone
    assert len(second.legs) == 2


def test_a_suspect_behind_others_goes_back(store: Store) -> None:
    store.accept()
    store.pump()
    (suspect,) = store.claim().legs
    store.accept()
    store.pump_for(13)
    first = store.claim()
    assert [each.leg_id == suspect.leg_id for each in first.legs] == [False]
    second = store.claim()
    assert second.alone
    assert second.legs[0].leg_id == suspect.leg_id
