"""Names of outcomes: whatever an application is called, its field says so and no other."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.feedback.tokens import OTHER_SITES
from shared.model.message import CLASSES, MessageClass
from shared.store.outcomes import (
    OTHER,
    WHATS,
    What,
    added,
    outcome_counter,
    outcome_field,
    spare_field,
)

names = st.one_of(st.text(st.sampled_from("a |%o\t\x007C"), max_size=9), st.text(max_size=64))


@given(names, names, st.sampled_from(WHATS), st.sampled_from(CLASSES))
def test_a_field_is_read_as_it_was_written(
    application: str, site: str, what: What, message_class: MessageClass
) -> None:
    counter = outcome_counter(application, site, what)
    assert counter.startswith("o|")
    assert not set(" \t\r\n\v\f\0") & set(counter)
    field = outcome_field(message_class, counter)
    assert added([{field: 2}, {field: 3}]) == {(application, message_class, site, what): 5}
    assert added([{spare_field(field): 1}]) == {("", message_class, OTHER, what): 1}


@pytest.mark.parametrize("field", ["", "x", "1|a|b", "1|a|b|c|d", "9|a|b|c", "|a|b|c"])
def test_what_is_no_field_is_passed_over(field: str) -> None:
    assert added([{field: 1, "0|a|b|delivered": 1}]) == {("a", "critical", "b", "delivered"): 1}


def test_words_are_one() -> None:
    assert get_args(What) == WHATS
    assert OTHER == OTHER_SITES
