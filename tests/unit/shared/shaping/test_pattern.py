"""Expressions of rules: what is refused would take long, and nothing that is accepted does."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.shaping.pattern import LONGEST_TEXT, compiled

SLOW = [
    "(a+)+b", "(a*)*b", "(a|aa)+b", "(a|a)*b", "((a+)b?)+c", ".*.*x", "a*a*a*b", "(.{0,60}){3}x",
    "(?:a?){30}b", r"(\w+\s?)*:", "(?=(a+)+)b", "(?>(a|aa)+)b", "(a)?(?(1)a*a*|b)c",
]  # fmt: skip
FINE = [
    ".*x", "too many connections", r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", "a|b|c", "[ab]+c",
    "temporarily .{0,40}deferred", "(?i:busy)", r"\bRL\d+\b", "(?:ab){0,3}c", "x*+y", "",
]  # fmt: skip


@pytest.mark.parametrize("text", SLOW)
def test_what_could_take_long_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match=r"could take very long .* such as \.\{0,40\}"):
        compiled(text)


@pytest.mark.parametrize("text", FINE)
def test_what_cannot_is_accepted(text: str) -> None:
    compiled(text)


@pytest.mark.parametrize("text", ["(", "a{2,1}", "[", "*", "(?P<a>x)(?P<a>y)", "\\", "(?<=a*)b"])
def test_what_is_no_expression_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="is no regular expression"):
        compiled(text)


_ATOMS = st.sampled_from(["a", ".", "[ab]", r"\w", "aa", "b?"])
_REPEATS = st.sampled_from(["", "*", "+", "?", "{0,3}", "{2,9}", "*?", "{0,40}"])
_SIMPLE = st.builds(lambda atom, repeat: atom if "?" in atom else atom + repeat, _ATOMS, _REPEATS)
_GROUPS = st.recursive(
    _SIMPLE,
    lambda inner: st.builds(
        lambda parts, mark, repeat: f"(?:{mark.join(parts)}){repeat}",
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from(["", "|"]),
        _REPEATS,
    ),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(_GROUPS, min_size=1, max_size=4))
def test_nothing_that_is_accepted_takes_long(parts: list[str]) -> None:
    try:
        pattern = compiled("".join(parts) + "X")
    except ConfigError:
        return
    text = "a" * LONGEST_TEXT
    begun = time.process_time()
    assert pattern.search(text) is None
    assert time.process_time() - begun < 1.0, "fifty times what it takes"
