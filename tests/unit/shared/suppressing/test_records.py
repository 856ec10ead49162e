"""CSV record by record: one bad row costs one row, however the stream is cut."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.suppressing.records import MOST_RECORD_BYTES, Broken, Records


def read(data: bytes, size: int = 7, columns: int | None = None) -> list[tuple[int, object]]:
    """(line, cells or the code of what is wrong), in pieces of `size`."""
    records = Records(data[at : at + size] for at in range(0, len(data), size))
    if columns:
        records.plausible = lambda cells: len(cells) == columns
    return [(each.line, each.code if isinstance(each, Broken) else each.cells) for each in records]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a,b", [(1, ["a", "b"])]),
        (b"\xef\xbb\xbfa,b\n", [(1, ["a", "b"])]),
        (b"a\r\nb\nc\rd", [(1, ["a"]), (2, ["b"]), (3, ["c"]), (4, ["d"])]),
        (b'"a,""b""", c\n', [(1, ['a,"b"', "c"])]),
        (b'"two\r\nlines",c\nd,e', [(1, ["two\r\nlines", "c"]), (3, ["d", "e"])]),
        (b"a\n\n,\nb", [(1, ["a"]), (2, [""]), (3, ["", ""]), (4, ["b"])]),
        ("ü,\u2028\x0b,\x85".encode(), [(1, ["ü", "\u2028\x0b", "\x85"])]),
        (b"a\0b\nc", [(1, "nul_byte"), (2, ["c"])]),
        (b"\xffa\nc", [(1, "bad_encoding"), (2, ["c"])]),
        (b'a,"b"x\nc,d', [(1, "bad_quotes"), (2, ["c", "d"])]),
        (b'"a,b\nc,d\ne,f', [(1, "bad_quotes"), (2, ["c", "d"]), (3, ["e", "f"])]),
        (
            b'"a,b\nc,d\n"e,f\ng',
            [(1, "bad_quotes"), (2, ["c", "d"]), (3, "bad_quotes"), (4, ["g"])],
        ),
        (b'a,5" b\nc,d\ne,5" f', [(1, "bad_quotes"), (2, ["c", "d"]), (3, "bad_quotes")]),
    ],
)
def test_records(data: bytes, expected: list[object]) -> None:
    for size in (1, 2, 3, len(data) or 1):
        assert read(data, size) == expected


def test_a_mark_that_closes_somewhere_else_costs_its_own_row_only() -> None:
    """`plausible` says that what lies between two stray marks is no record."""
    data = b'"a,b\nc,d\ne,"\nf,g'
    assert read(data, columns=2) == [(1, "bad_quotes"), (2, ["c", "d"]), (3, "bad_quotes"),
                                     (4, ["f", "g"])]  # fmt: skip


@pytest.mark.parametrize("quoted", [b'"', b""])
def test_a_field_of_a_megabyte_is_named_and_costs_nothing_else(quoted: bytes) -> None:
    data = b"a,b\n" + quoted + b"x" * 1_000_000 + quoted + b",c\r\nd,e\r\n"
    assert read(data, 65_536) == [(1, ["a", "b"]), (2, "row_too_long"), (3, ["d", "e"])]
    assert read(b"x" * 200_000, 65_536) == [(1, "row_too_long")]
    assert read(b"x" * (MOST_RECORD_BYTES - 1) + b"\n", 9999)[0][1] != "row_too_long"


def test_a_mark_that_nobody_closes_costs_one_row_of_many() -> None:
    data = b'a,"b\n' + b"c,d\n" * 50_000
    found = read(data, 65_536, columns=2)
    assert (found[0], len(found)) == ((1, "bad_quotes"), 50_001)
    assert found[-1] == (50_001, ["c", "d"])


def test_memory_is_bounded() -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(300):
            yield b'"' + b"x" * 65_535

    tracemalloc.start()
    try:
        assert len(list(Records(pieces()))) == 1
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9)


@given(
    rows=st.lists(st.lists(TEXTS, min_size=2, max_size=3), max_size=9),
    end=st.sampled_from(["\r\n", "\n"]),
    size=st.integers(1, 9),
)  # fmt: skip
def test_what_the_standard_library_writes_is_read(
    rows: list[list[str]], end: str, size: int
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    assert [cells for _, cells in read(text.getvalue().encode(), size)] == rows


@given(st.binary(max_size=60), st.integers(1, 9))
def test_no_bytes_break_it(data: bytes, size: int) -> None:
    whole = read(data, len(data) or 1)
    assert read(data, size) == whole
    lines = [line for line, _ in whole]
    assert lines == sorted(set(lines))
