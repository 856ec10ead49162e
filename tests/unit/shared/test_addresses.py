"""The form by which two addresses are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import canonical, mailbox


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob@example.com", "bob@example.com"),
        ("BOB+News@example.com", "bob+news@example.com"),
        ("Ünal@example.com", "ünal@example.com"),
        ("u\u0308nal@example.com", "\u00fcnal@example.com"),  # Two characters, and one.
    ],
)
def test_b9_case_and_normal_form_make_no_difference(one: str, other: str) -> None:
    assert canonical(mailbox(one) or "") == canonical(mailbox(other) or "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bob@example.com", "bob+news@example.com"),
        ("b.ob@gmail.com", "bob@gmail.com"),
        ("straße@example.com", "strasse@example.com"),
        ("\u0456van@example.com", "ivan@example.com"),  # Cyrillic, and Latin.
    ],
)
def test_b9_everything_else_does(one: str, other: str) -> None:
    assert canonical(mailbox(one) or "") != canonical(mailbox(other) or "")


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs")), min_size=1, max_size=20))
def test_it_is_its_own_form(local: str) -> None:
    once = canonical(f"{local}@example.com")
    assert canonical(once) == once
