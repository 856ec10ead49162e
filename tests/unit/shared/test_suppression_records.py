"""The packed entries of the suppression list: whole, in order, and strict."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.message import LAST_MS, NewerFormat, UnknownFormat
from shared.model.suppression import REASONS, Suppression
from shared.store.suppression_records import (
    EMPTY,
    FIELDS,
    HASHES,
    checked_cursor,
    identity_of,
    pack_entry,
    place_of,
    position_of,
    unpack_entries,
    unpack_entry,
)
from shared.store.suppressions import MOST_DETAIL, MOST_SOURCE, bounded

short = st.text(max_size=60)
moments = st.integers(0, LAST_MS - 1)
entries = st.builds(
    Suppression, st.text(max_size=400), short, short, st.sampled_from(REASONS), short, moments,
    st.none() | moments, short,
)  # fmt: skip


@given(st.lists(entries, max_size=5))
def test_entries_come_back_as_they_were(many: list[Suppression]) -> None:
    packed = EMPTY + b"".join(pack_entry(each) for each in many)
    assert unpack_entries(packed) == many


@given(st.lists(entries, min_size=1, max_size=3), st.data())
def test_what_is_cut_or_changed_is_read_or_refused(
    many: list[Suppression], data: st.DataObject
) -> None:
    packed = EMPTY + b"".join(pack_entry(each) for each in many)
    at = data.draw(st.integers(1, len(packed) - 1))
    changed = packed[:at] + bytes((data.draw(st.integers(0, 255)),)) + packed[at + 1 :]
    for each in (packed[:at], changed):
        with suppress(UnknownFormat):
            unpack_entries(each)
    with pytest.raises(UnknownFormat):
        unpack_entry(pack_entry(many[0])[:-1])


def test_a_newer_format_is_told_apart() -> None:
    with pytest.raises(NewerFormat):
        unpack_entries(b"\x02whatever")


def test_another_form_of_entry_is_passed_by() -> None:
    other = b"\x00\x03\x21ab"
    kept = Suppression("a@b.test")
    assert unpack_entries(EMPTY + other + pack_entry(kept) + other) == [kept]


def test_names_have_their_lengths_checked() -> None:
    longest = Suppression("a", "x" * 255, "ü" * 127)
    assert unpack_entry(pack_entry(longest)) == longest
    for bad in (Suppression("a", "x" * 256), Suppression("a", "", "ü" * 128)):
        with pytest.raises(ValueError, match="255 bytes"):
            pack_entry(bad)


def test_what_is_said_is_cut_and_still_text() -> None:
    sign = "\U0001f4ee"
    cut = bounded(Suppression("a@b.test", source=sign * 300, detail=sign * 300))
    assert (cut.source, cut.detail) == (sign * 63, sign * 63)
    cut = bounded(Suppression("a@b.test", source="s" * 300, detail="d" * 300))
    assert (len(cut.source), len(cut.detail)) == (MOST_SOURCE, MOST_DETAIL)
    assert bounded(cut) is cut


@given(st.text(max_size=50))
def test_an_address_has_one_place(address: str) -> None:
    place = place_of(address)
    assert len(place) == 3
    assert int.from_bytes(place[1:], "big") < FIELDS


def test_places_are_used_alike() -> None:
    places = {place_of(f"{number}@example.test") for number in range(20_000)}
    assert len(places) > 19_700  # Of a million.
    assert len({place[0] for place in places}) == HASHES
    assert len({place[1:] for place in places}) > 4000


def test_identities_are_apart_wherever_names_end() -> None:
    names = ("", "a", "b", "ab", "\0")
    found = {identity_of(x, y, z) for x in names for y in names for z in names}
    assert len(found) == len(names) ** 3


@given(entries)
def test_a_position_is_a_cursor_and_goes_by_the_identity_alone(entry: Suppression) -> None:
    position = position_of(entry)
    assert checked_cursor(position) == position
    later = msgspec.structs.replace(entry, reason="bounce", detail="other", at_ms=1)
    assert position_of(later) == position
