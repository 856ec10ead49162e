"""How often one may try, and how long one waits."""

from __future__ import annotations

import pytest

from shared.accounts.throttle import (
    FREE,
    LONGEST_WAIT_MS,
    Throttle,
    by_account,
    by_network,
    wait_after,
)
from shared.clock import ManualClock
from shared.store.memory_records import MemoryRecords
from shared.store.records import ANY, Change

ANN, HERE, THERE = by_account("ann@people.test"), by_network("192.0.2.1"), by_network("192.0.2.2")


class Door:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.records = MemoryRecords(self.clock)
        self.throttle = Throttle(self.records, self.clock)

    def try_times(self, count: int, *subjects: str) -> list[int]:
        return [self.throttle.take("sign_in", *subjects) for _ in range(count)]


def test_b28_five_tries_are_free_and_then_waits_double_up_to_15_minutes() -> None:
    door, waits = Door(), list[int]()
    assert door.try_times(FREE, ANN, HERE) == [0] * FREE
    for _ in range(9):
        wait = door.throttle.take("sign_in", ANN, HERE)
        assert wait > 0
        assert door.throttle.waiting("sign_in", ANN) == wait
        waits.append(wait)
        door.clock.advance(wait - 0.001)
        assert door.throttle.take("sign_in", ANN, HERE) == 1, "tries that wait do not count"
        door.clock.advance(0.001)
        assert door.throttle.take("sign_in", ANN, HERE) == 0
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]


def test_b28_an_account_waits_wherever_one_tries_from_and_an_address_whatever_it_tries() -> None:
    door = Door()
    for number in range(FREE):
        assert door.throttle.take("sign_in", ANN, by_network(f"198.51.100.{number}")) == 0
    assert door.throttle.take("sign_in", ANN, HERE) == 15
    for number in range(FREE):
        assert door.throttle.take("sign_in", by_account(f"{number}@people.test"), THERE) == 0
    assert door.throttle.take("sign_in", by_account("bob@people.test"), THERE) == 15
    assert door.throttle.take("sign_in", by_account("bob@people.test"), HERE) == 0
    assert door.throttle.take("confirm", ANN, THERE) == 0, "each act has its own count"


def test_one_client_of_ipv6_has_a_whole_network() -> None:
    assert by_network("2001:db8::1") == by_network("2001:db8::ffff:1")
    assert by_network("2001:db8::1") != by_network("2001:db8:0:1::1")
    assert by_network("192.0.2.1") != by_network("192.0.2.2")
    assert by_network("") == by_network("")


def test_what_was_right_is_forgotten_and_what_an_address_tried_besides_is_not() -> None:
    door = Door()
    door.try_times(4, ANN, HERE)
    assert door.records.write(door.throttle.forgets("sign_in", ANN))
    door.throttle.give_back("sign_in", HERE)
    assert door.try_times(2, ANN, HERE) == [0, 0]
    assert door.throttle.take("sign_in", by_account("x@people.test"), HERE) == 15


def test_b28_an_own_account_does_not_clear_the_way_for_guesses() -> None:
    door, own = Door(), by_account("mallory@people.test")
    guesses = 0
    for _ in range(10_000):
        wait = door.throttle.take("sign_in", by_account(f"victim{guesses}@people.test"), HERE)
        door.clock.advance(wait)
        guesses += not wait
        if door.throttle.take("sign_in", own, HERE) == 0:
            door.records.write(door.throttle.forgets("sign_in", own))
            door.throttle.give_back("sign_in", HERE)
        if door.clock.now_ms() - ManualClock().now_ms() > 24 * 3600_000:
            break
    assert guesses < 200


def test_every_count_has_an_end() -> None:
    door = Door()
    for number in range(200):
        door.throttle.take("sign_in", by_account(str(number)), by_network(f"198.51.100.{number}"))
    door.try_times(FREE, ANN, HERE)
    door.throttle.give_back("sign_in", HERE)
    assert all(ends is not None for _, ends in door.records._kinds["throttles"].values())
    door.clock.advance(2 * 3600)
    assert door.records.all("throttles") == {}
    assert door.try_times(FREE, ANN, HERE) == [0] * FREE


def test_a_clock_that_is_set_back_keeps_nobody_out() -> None:
    door = Door()
    for _ in range(20):
        door.clock.advance(door.throttle.take("sign_in", ANN, HERE))
    door.throttle.take("sign_in", ANN, HERE)
    door.clock.set_wall_back(30 * 86_400)
    assert door.throttle.take("sign_in", ANN, HERE) == 0
    assert door.throttle.take("sign_in", ANN, HERE) == LONGEST_WAIT_MS // 1000


@pytest.mark.parametrize("packed", [b"", b"\2newer", b"\1\xc1", b"\1\x91\x05"])
def test_a_count_that_cannot_be_read_is_as_after_the_free_tries(packed: bytes) -> None:
    door = Door()
    door.try_times(1, ANN)
    (key,) = door.records.all("throttles")
    door.records.write([Change("throttles", key, packed, ANY)])
    assert door.throttle.take("sign_in", ANN) == 0
    assert door.throttle.take("sign_in", ANN) > 0


def test_waits_have_a_bound_whatever_the_count() -> None:
    assert wait_after(0) == wait_after(FREE - 1) == 0
    assert wait_after(10**9) == LONGEST_WAIT_MS
