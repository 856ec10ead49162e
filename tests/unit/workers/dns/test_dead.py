"""Addresses that do not answer are passed over for a while, and never for good."""

from __future__ import annotations

from shared.clock import ManualClock
from workers.dns.dead import FIRST_SECONDS, LONGEST_SECONDS, DeadHosts
from workers.dns.routes import Target

ONE, TWO, THREE = (Target("mx.test", f"192.0.2.{number}") for number in (1, 2, 3))


def wait_of(dead: DeadHosts, clock: ManualClock, address: str) -> float:
    """Seconds until an address is tried again."""
    seconds = 0.0
    while dead.is_dead(address):
        clock.advance(1)
        seconds += 1
    return seconds


def test_a_dead_address_is_passed_over_and_the_order_stays() -> None:
    dead = DeadHosts(ManualClock())
    assert dead.usable([ONE, TWO, THREE]) == [ONE, TWO, THREE]
    dead.failed(TWO.address)
    assert dead.usable([ONE, TWO, THREE]) == [ONE, THREE]


def test_when_nothing_else_is_left_all_are_tried_soonest_first() -> None:
    clock = ManualClock()
    dead = DeadHosts(clock)
    dead.failed(ONE.address)
    clock.advance(1)
    dead.failed(TWO.address)
    assert dead.usable([TWO, ONE]) == [ONE, TWO]


def test_the_wait_doubles_up_to_a_bound() -> None:
    clock = ManualClock()
    dead = DeadHosts(clock)
    waits = []
    for _ in range(10):
        dead.failed(ONE.address)
        waits.append(wait_of(dead, clock, ONE.address))
    assert waits[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert waits[-2:] == [LONGEST_SECONDS] * 2


def test_connections_that_fail_together_count_once() -> None:
    clock = ManualClock()
    dead = DeadHosts(clock)
    for _ in range(50):
        dead.failed(ONE.address)
    assert wait_of(dead, clock, ONE.address) == FIRST_SECONDS


def test_one_that_works_again_is_forgotten() -> None:
    clock = ManualClock()
    dead = DeadHosts(clock)
    dead.failed(ONE.address)
    dead.worked(ONE.address)
    assert dead.usable([ONE, TWO]) == [ONE, TWO]
    dead.failed(ONE.address)
    assert wait_of(dead, clock, ONE.address) == FIRST_SECONDS


def test_a_failure_long_ago_is_no_reason_to_wait_longer() -> None:
    clock = ManualClock()
    dead = DeadHosts(clock)
    dead.failed(ONE.address)
    clock.advance(FIRST_SECONDS + LONGEST_SECONDS + 1)
    dead.failed(ONE.address)
    assert wait_of(dead, clock, ONE.address) == FIRST_SECONDS


def test_the_memory_is_bounded() -> None:
    dead = DeadHosts(ManualClock(), capacity=2)
    for target in (ONE, TWO, THREE):
        dead.failed(target.address)
    assert [dead.is_dead(each.address) for each in (ONE, TWO, THREE)] == [False, True, True]
