"""When a server that calls recipients dead is no longer believed."""

from __future__ import annotations

import random

import pytest

from shared.clock import ManualClock
from workers.brake import (
    LEAST_DEAD,
    MOST_HOPS,
    SPAN_RECIPIENTS,
    SPAN_SECONDS,
    TELL_SECONDS,
    Brake,
    Braked,
)


def brake() -> tuple[Brake, ManualClock]:
    clock = ManualClock()
    return Brake(clock), clock


def believed(found: Brake, count: int, hop: str = "gw1", seconds: float = 0.0) -> int:
    """Call so many dead, one after the other; how many are to be suppressed."""
    total = 0
    for _ in range(count):
        total += found.heard(hop, 0, 1) is None
        if seconds:
            found._clock.advance(seconds)  # type: ignore[attr-defined]
    return total


def test_a_server_that_calls_everybody_dead_is_believed_nineteen_times() -> None:
    found, _ = brake()
    assert believed(found, 1000) == LEAST_DEAD - 1
    assert found.heard("gw1", 0, 1) is not None


def test_what_counts_is_more_than_four_fifths() -> None:
    found, _ = brake()
    found.heard("gw1", 5, 0)
    assert found.heard("gw1", 0, 20) is None, "80 %"
    assert found.heard("gw1", 0, 1) == Braked("gw1", 21, 5, tell=True)
    assert found.heard("gw1", 1, 1) is None, "22 of 28"


def test_who_is_delivered_in_the_same_transaction_counts() -> None:
    found, _ = brake()
    assert found.heard("gw1", 30, 70) is None


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_list_with_many_dead_addresses_goes_on_being_suppressed(share: float) -> None:
    found, clock = brake()
    chance = random.Random(7)
    dead = withheld = 0
    for _ in range(20_000):
        clock.advance(0.1)
        is_dead = chance.random() < share
        braked = found.heard("gw1", not is_dead, is_dead)
        dead += is_dead
        withheld += braked is not None
    assert dead > 5000
    assert withheld <= dead // 1000


@pytest.mark.parametrize("delivered_before", [0, 1, 50, 99, 100, 60_000])
def test_what_was_delivered_before_the_trouble_does_not_hide_it_for_long(
    delivered_before: int,
) -> None:
    """At a busy hop minutes hold tens of thousands: only the last ones tell what it does now."""
    found, _ = brake()
    for _ in range(delivered_before):
        found.heard("gw1", 1, 0)
    assert believed(found, 5000) <= 2 * SPAN_RECIPIENTS


def test_it_is_believed_again_when_it_delivers_again() -> None:
    found, _ = brake()
    believed(found, 5000)
    for _ in range(2 * SPAN_RECIPIENTS):
        found.heard("gw1", 1, 0)
    assert found.heard("gw1", 0, 1) is None


def test_only_the_last_minutes_count() -> None:
    found, clock = brake()
    assert believed(found, 15) == 15
    clock.advance(SPAN_SECONDS)
    assert believed(found, 5) == 4, "the span before counts"
    clock.advance(2 * SPAN_SECONDS)
    assert believed(found, 19) == 19, "the ones before do not"
    slow, _ = brake()
    assert believed(slow, 100, seconds=2 * SPAN_SECONDS / 18) == 100


def test_paths_to_one_server_count_together_and_servers_apart() -> None:
    found, _ = brake()
    assert believed(found, 10, "gw1") == 10
    assert believed(found, 9, "gw1@partner") == 9
    (braked,) = {found.heard("gw1<pool:news", 0, 1)}
    assert braked is not None
    assert braked.hop == "gw1"
    assert found.heard("gw2", 0, 1) is None
    assert believed(found, 19, "mx:mx.shop.test@+sts~0123") == 19
    braked = found.heard("mx:mx.shop.test", 0, 1)
    assert braked is not None
    assert braked.hop == "mx:mx.shop.test"


def test_it_is_told_of_once_a_minute_for_each_server() -> None:
    found, clock = brake()
    hops = ("gw1", "gw2")
    for hop in hops:
        believed(found, LEAST_DEAD - 1, hop)

    def told() -> list[bool]:
        heard = [found.heard(hop, 0, 1) for hop in hops]
        return [each.tell for each in heard if each is not None]

    assert told() == [True, True]
    assert told() == [False, False]
    clock.advance(TELL_SECONDS - 1)
    assert told() == [False, False]
    clock.advance(1)
    assert told() == [True, True]


def test_memory_is_bounded_and_keeps_who_was_heard_of_last() -> None:
    found, _ = brake()
    believed(found, LEAST_DEAD)
    for number in range(3 * MOST_HOPS):
        found.heard(f"mx:mx{number}.test", 1, 0)
        if not number % (MOST_HOPS // 2):
            assert found.heard("gw1", 0, 1) is not None
    assert len(found._hops) == MOST_HOPS
    for number in range(MOST_HOPS):
        found.heard(f"mx:mx{number}.test", 1, 0)
    assert found.heard("gw1", 0, 1) is None, "forgotten"
