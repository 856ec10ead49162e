"""Fixtures for every test: real servers of their own, and the twins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.embedded import server_binary
from shared.errors import ConfigError
from tests.support.redis_server import RedisServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first: they mostly wait, and the others run beside them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def need_redis() -> None:
    """Skip with a reason when there is no server binary; with CI=true that is a failure."""
    try:
        server_binary()
    except ConfigError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """A server shared by the tests of one module; each test uses names of its own."""
    need_redis()
    server = RedisServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def distribution_redis_server() -> Iterator[RedisServer]:
    """The system's own redis-server, the oldest that is supported on Debian 12 (7.0)."""
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not on PATH")
    server = RedisServer(binary=Path(found)).start()
    yield server
    server.stop()


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """A server of this test alone, to be killed, stalled or filled."""
    need_redis()
    server = RedisServer().start()
    yield server
    server.stop()
