"""The API for these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import Api


@pytest.fixture
def api() -> Iterator[Api]:
    """A fresh one."""
    found = Api()
    yield found
    found.close()
