"""Each contract test runs over the in-memory twin, the embedded server and the system's Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.clock import ManualClock
from tests.support.redis_server import RedisServer
from tests.support.stores import MemoryTestStore, RedisTestStore, Store, settings


@pytest.fixture(params=["memory", "valkey", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of this test alone."""
    options = request.node.get_closest_marker("store")
    used = dict(options.kwargs) if options else {}
    if request.param == "memory":
        yield MemoryTestStore(settings(**used), ManualClock())
        return
    name = "redis_server" if request.param == "valkey" else "distribution_redis_server"
    server: RedisServer = request.getfixturevalue(name)
    server.client().flushall()  # This module's own server.
    found = RedisTestStore(settings(server.url, **used), ManualClock())
    yield found
    found.close()
