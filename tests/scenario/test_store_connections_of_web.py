"""Web's connections to the store: bounded, made anew, and there again after an outage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.store.connection import SyncRedis
from tests.support.redis_server import RedisServer

OUTAGE = 300
"""Commands that fail: more than any library's bound on connections."""


@contextmanager
def connected(server: RedisServer, connections: int = 2) -> Iterator[SyncRedis]:
    store = SyncRedis(server.url, timeout_seconds=0.5, connections=connections)
    try:
        yield store
    finally:
        store.close()


def clients(server: RedisServer) -> int:
    client = server.client()
    try:
        return len(client.client_list()) - 1
    finally:
        client.close()


def test_a_long_outage_ends_when_the_store_is_back(own_redis_server: RedisServer) -> None:
    with connected(own_redis_server) as store:
        assert store.command("PING") == b"PONG"
        own_redis_server.kill()
        for _ in range(OUTAGE):
            with pytest.raises(StoreError):
                store.command("PING")
        own_redis_server.start()
        assert store.command("PING") == b"PONG"
        assert clients(own_redis_server) == 1


def test_a_connection_that_the_server_has_closed_is_made_anew(
    own_redis_server: RedisServer,
) -> None:
    with connected(own_redis_server) as store:
        for _ in range(3):
            assert store.command("PING") == b"PONG"
            own_redis_server.kill()
            own_redis_server.start()


def test_a_late_answer_is_nobody_elses(own_redis_server: RedisServer) -> None:
    with connected(own_redis_server, connections=1) as store:
        assert store.command("ECHO", "first") == b"first"
        own_redis_server.stall()
        with pytest.raises(OutcomeUnknown):
            store.command("ECHO", "late")
        own_redis_server.resume()
        for number in range(5):
            assert store.command("ECHO", str(number)) == str(number).encode()


def test_no_more_connections_than_so_many(own_redis_server: RedisServer) -> None:
    with connected(own_redis_server, connections=3) as store:
        done: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: done.append(store.command("ECHO", "x" * 1000)))
            for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(done) == 40
        assert 1 <= clients(own_redis_server) <= 3


def test_who_waits_for_a_free_connection_is_told_in_time(own_redis_server: RedisServer) -> None:
    with connected(own_redis_server, connections=1) as store:
        store.command("PING")
        own_redis_server.stall()

        def keep_busy() -> None:
            with pytest.raises(OutcomeUnknown):
                store.command("PING")

        busy = threading.Thread(target=keep_busy)
        busy.start()
        began = time.monotonic()
        with pytest.raises(StoreError):
            store.command("PING")
        assert time.monotonic() - began < 5
        busy.join(10)
        own_redis_server.resume()
        assert store.command("PING") == b"PONG"


def test_a_refused_command_of_several_leaves_no_answer_behind(
    own_redis_server: RedisServer,
) -> None:
    with connected(own_redis_server, connections=1) as store:
        with pytest.raises(StoreError):
            store.commands([("NOSUCH",), ("ECHO", "second")])
        assert store.command("ECHO", "mine") == b"mine"
        with pytest.raises(OutcomeUnknown):
            store.commands([("ECHO", "first"), ("NOSUCH",), ("ECHO", "third")])
        assert store.command("ECHO", "mine") == b"mine"


def test_what_cannot_be_connected_to_is_unavailable(own_redis_server: RedisServer) -> None:
    own_redis_server.kill()
    with connected(own_redis_server) as store, pytest.raises(StoreUnavailable):
        store.command("PING")
