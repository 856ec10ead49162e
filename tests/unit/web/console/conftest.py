"""The console for these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.console import ConsoleApi


@pytest.fixture
def console() -> Iterator[ConsoleApi]:
    """A fresh one."""
    found = ConsoleApi()
    yield found
    found.close()
