"""Accounts on the in-memory store, at a clock that moves when told to."""

from __future__ import annotations

import pytest

from tests.unit.shared.accounts.people import Office


@pytest.fixture
def office() -> Office:
    """A fresh one."""
    return Office()
