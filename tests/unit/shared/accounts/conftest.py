"""Accounts on the in-memory store, at a clock that moves when told to."""

from __future__ import annotations

import pytest

from shared.accounts import passwords
from tests.unit.shared.accounts.people import Office


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    """A fresh one, where hashes cost little: `test_passwords` looks at what they really cost."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 256)
    monkeypatch.setattr(passwords, "PASSES", 1)
    return Office()
