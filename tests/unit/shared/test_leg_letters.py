"""Some things of a packed leg are told without unpacking it, and any bytes are survived."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.model.leg import Leg, LegState, letters_of, pack_leg, pack_statuses, siblings_of
from shared.model.status import Status


@given(
    st.lists(st.sampled_from(Status), min_size=1, max_size=300),
    st.text("abc.:@<", min_size=1, max_size=200),
)
def test_they_are_those_of_the_leg(statuses: list[Status], hop: str) -> None:
    leg = Leg(LegState.READY, "bulk", hop, tuple(statuses), legs=len(hop), application="shop")
    assert siblings_of(pack_leg(leg)) == len(hop)
    assert letters_of(pack_leg(leg)) == pack_statuses(leg.statuses)


@given(st.binary(max_size=60))
def test_no_bytes_break_it(packed: bytes) -> None:
    assert len(letters_of(packed)) <= len(packed)
    assert siblings_of(packed) >= 0
