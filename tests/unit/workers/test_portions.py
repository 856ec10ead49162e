"""Legs that replace one: by hop, so many recipients in each, some with their own domain only."""

from __future__ import annotations

from shared.model.leg import Leg, LegState
from shared.model.status import Status
from shared.parting import portioned

Q, D = Status.QUEUED, Status.DELIVERED


def parts(legs: tuple[Leg, ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(leg.hop, leg.recipients) for leg in legs]


def leg(*statuses: Status) -> Leg:
    return Leg(LegState.LEASED, "transactional", "mx:?", statuses)


def test_so_many_of_a_hop_in_each() -> None:
    hops = {0: "a", 1: "b", 2: "a", 3: "a", 4: "b", 5: "a", 6: "a"}
    found = portioned(leg(*[Q] * 7), hops, {"a": 2, "b": 9}.__getitem__)
    assert parts(found) == [("a", (0, 2)), ("a", (3, 5)), ("a", (6,)), ("b", (1, 4))]


def test_who_is_done_stays_with_the_first_and_uses_no_place() -> None:
    found = portioned(leg(D, Q, Q, D), {1: "a", 2: "a"}, lambda _: 1)
    assert parts(found) == [("a", (0, 1, 3)), ("a", (2,))]
    assert [each.statuses for each in found] == [(D, Q, D), (Q,)]


def test_domains_are_kept_apart_where_that_is_wanted() -> None:
    hops = {0: "a", 1: "a", 2: "a", 3: "b"}
    found = portioned(leg(*[Q] * 4), hops, lambda _: 9, {0: "x", 1: "y", 2: "x"})
    assert parts(found) == [("a", (0, 2)), ("a", (1,)), ("b", (3,))]


def test_one_that_fits_is_one() -> None:
    (found,) = portioned(leg(Q, Q), {0: "a", 1: "a"}, lambda _: 2)
    assert (found.hop, found.recipients, found.statuses) == ("a", (0, 1), (Q, Q))
