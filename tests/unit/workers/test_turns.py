"""Turns: applications one after another, the items of one in order."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.turns import Turns


def turns(*items: str) -> Turns[str]:
    """Of items whose first letter is their owner."""
    found: Turns[str] = Turns(lambda item: item[0])
    for item in items:
        found.append(item)
    return found


def drained(line: Turns[str]) -> list[str]:
    return [line.popleft() for _ in range(len(line))]


def test_owners_take_turns() -> None:
    assert drained(turns("a1", "a2", "a3", "b1", "c1", "b2")) == [
        "a1", "b1", "c1", "a2", "b2", "a3",
    ]  # fmt: skip


def test_who_comes_anew_stands_before_whoever_has_just_had_a_turn() -> None:
    line = turns("a1", "a2", "a3")
    assert line.popleft() == "a1"
    line.append("b1")
    line.append("c1")
    assert drained(line) == ["b1", "c1", "a2", "a3"]


def test_who_comes_again_and_again_takes_turns_with_who_is_there() -> None:
    line, got = turns("a1", "a2", "a3", "b1"), []
    for number in range(1, 4):
        got += [line.popleft(), line.popleft()]
        line.append(f"b{number + 1}")
    assert got == ["a1", "b1", "a2", "b2", "a3", "b3"]


def test_what_is_given_back_is_next() -> None:
    line = turns("a1", "b1", "b2")
    line.appendleft("b0")
    assert drained(line) == ["b0", "a1", "b1", "b2"]


def test_one_can_be_taken_out() -> None:
    line = turns("a1", "b1", "a2")
    line.remove("b1")
    assert list(line) == ["a1", "a2"]
    assert drained(line) == ["a1", "a2"]
    assert not line


@settings(max_examples=100, deadline=None, derandomize=True)
@given(items=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), unique=True))
def test_nothing_is_lost_and_each_ones_order_stays(items: list[tuple[str, int]]) -> None:
    line: Turns[tuple[str, int]] = Turns(lambda item: item[0])
    for item in items:
        line.append(item)
    assert len(line) == len(items)
    got = deque(line.popleft() for _ in items)
    for owner in "abc":
        assert [each for each in got if each[0] == owner] == [
            each for each in items if each[0] == owner
        ]
