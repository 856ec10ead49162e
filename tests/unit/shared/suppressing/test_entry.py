"""An entry as people write it: what is tidied, and cells that are no formulas."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.suppressing.cells import guarded, unguarded
from shared.suppressing.entry import Asking, address_of, entry_of, tidy_detail, wrong_detail

NOW = 1_800_000_000_000


@given(st.text(max_size=600))
@example('"q"@"r"@s')
@example("a" * 395 + " b@c.test")
@example("a@b.test, " * 60)
def test_a_tidied_detail_is_a_good_one_and_stays_as_it_is(text: str) -> None:
    tidied = tidy_detail(text)
    assert wrong_detail(tidied) == ""
    assert tidy_detail(tidied) == tidied


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("550 5.1.1 <bob@example.com>: unknown\r\n", "550 5.1.1 <[address]>: unknown"),
        ('550 "b c"@example.com unknown', "550 [address] unknown"),
        ("see https://a.test/?to=bob%40example.com", "see https:[address]"),
        ("a\tb\x1b[31m\u202ec", "a b [31m c"),
        ("x" * 101, "x" * 100),
    ],
)
def test_what_servers_say_becomes_a_detail(text: str, tidied: str) -> None:
    assert tidy_detail(text) == tidied


@given(st.text(max_size=9))
@example("'")
@example("''")
def test_a_guarded_cell_is_no_formula_and_comes_back(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    assert guarded(cell)[:1] not in list("=+-@\t\r\n")


def test_names_of_lists_are_compared_in_one_form() -> None:
    fields = {"address": "a@b.test", "list": "Cafe\u0301"}
    entry, _ = entry_of(fields, Asking("shop", "cli", NOW))
    assert entry is not None
    assert entry.list == "Caf\u00e9"


@pytest.mark.parametrize(
    ("text", "address"),
    [("Bob@Example.COM", "bob@example.com"), ("x@bücher.example", "x@xn--bcher-kva.example"),
     (" a@b.test", None), ("a@b.test\n", None), ("=?utf-8?q?a?=@b.test", None)],
)  # fmt: skip
def test_addresses_are_kept_in_their_canonical_form(text: str, address: str | None) -> None:
    assert address_of(text, []) == address
