"""The console for these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.accounts import passwords
from tests.support.console import ConsoleApi


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they really cost is looked at by `tests/unit/shared/accounts/test_passwords.py`."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 256)
    monkeypatch.setattr(passwords, "PASSES", 1)


@pytest.fixture
def console(_cheap_hashes: None) -> Iterator[ConsoleApi]:
    """A fresh one."""
    found = ConsoleApi()
    yield found
    found.close()
