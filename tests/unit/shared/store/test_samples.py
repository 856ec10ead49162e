"""From samples to what happened in each minute, with gaps, clocks put back, and stores put back."""

from __future__ import annotations

from shared.store.samples import Figures, Sample, minutes

MINUTE = 60_000
BEGAN = 1_000 * MINUTE


def sample(minute: float, delivered: int, **fields: int) -> Sample:
    """One of class transactional, so many minutes later."""
    figures = Figures(accepted=delivered + 5, delivered=delivered, **fields)
    return Sample(BEGAN + int(minute * MINUTE), (Figures(), figures, Figures(delivered=1)))


def test_a_minute_is_the_difference_and_what_there_is() -> None:
    found = minutes([sample(0.01, 10, dead=3), sample(1.0, 25, dead=2, ready=7)])
    assert [each.at_ms for each in found] == [BEGAN]
    total = found[0].total()
    assert total == Figures(accepted=15, delivered=15, dead=2, ready=7)


def test_minutes_without_a_worker_are_gaps() -> None:
    found = minutes([sample(0, 1), sample(1, 2), sample(4, 9), sample(5, 10)])
    assert [each.at_ms // MINUTE - 1000 for each in found] == [0, 1, 2, 3, 4]
    known = [total.delivered if (total := each.total()) else None for each in found]
    assert known == [1, None, None, None, 1]


def test_of_none_and_of_one_there_is_nothing_to_tell() -> None:
    assert minutes([]) == []
    assert minutes([sample(0, 1)]) == []


def test_a_clock_that_was_put_back_tells_what_comes_after() -> None:
    far = sample(900, 2)  # It was wrong for a moment, and does not hide what comes then.
    found = minutes([sample(4, 0), sample(5, 1), far, sample(5.5, 3), sample(6, 6)])
    assert [(each.at_ms - BEGAN, each.total()) for each in found] == [
        (4 * MINUTE, Figures(accepted=1, delivered=1)),
        (5 * MINUTE, Figures(accepted=3, delivered=3)),
    ]


def test_a_gap_of_more_than_a_day_is_not_drawn() -> None:
    found = minutes([sample(0, 1), sample(1, 2), sample(3000, 3), sample(3001, 5)])
    assert [each.at_ms // MINUTE - 1000 for each in found] == [3000]


def test_nothing_is_below_zero_when_a_store_was_put_back() -> None:
    (minute,) = minutes([sample(0, 100), sample(1, 3)])
    assert minute.total() == Figures()
