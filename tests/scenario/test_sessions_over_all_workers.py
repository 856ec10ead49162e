"""Limits on SMTP sessions hold over all worker processes, whichever start, stop or are killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.settings import Settings, StoreSettings
from shared.store.limits import Override
from shared.store.redis_operations import RedisOperations
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, message, poll

RELAY = """
[[relay]]
name = "main"
host = "127.0.0.1"
port = {port}
tls = "none"
{more}
"""


@contextmanager
def started(server: SmtpServer, workers: int, more: str = "") -> Iterator[System]:
    settings = QUICK + RELAY.format(port=server.port, more=more)
    with installation("--web", "1", "--workers", str(workers), settings=settings) as facts:
        yield System(facts, server)


def limit(system: System, **numbers: Any) -> None:
    """As an operator sets it."""
    store = StoreSettings(redis_url=system.redis_url, timeout_seconds=5)
    operations = RedisOperations(Settings(store=store))
    operations.set_limit("main", Override(**numbers))
    operations.close()


def send(system: System, count: int) -> None:
    status, body, _ = system.ask(
        "POST", "/v1/messages/batch", {"messages": [message() for _ in range(count)]}
    )
    assert status == 202
    assert len(body["results"]) == count


def shares(system: System) -> dict[str, int]:
    """Sessions by process, as the store counts them."""
    found: Any = system.client().hgetall("ph:sessions:main")
    return {name.decode(): int(count) for name, count in found.items()}


@pytest.mark.timeout(180)
def test_workers_share_what_a_relay_allows() -> None:
    with SmtpServer(pause_seconds=0.1) as server, started(server, 2, "idle_seconds = 1") as system:
        limit(system, connections=4)
        send(system, 700)
        poll(lambda: sorted(shares(system).values()) == [2, 2])
        # One stops, and the other takes its places; what starts in its stead gets its share.
        before = set(shares(system))
        stopped = system.kill("worker", signal.SIGTERM)
        poll(lambda: list(shares(system).values()) == [4])
        system.wait_restarted("worker", stopped)
        poll(lambda: sorted(shares(system).values()) == [2, 2], 10)
        after = set(shares(system))
        assert len(before & after) == 1
        # One is killed: its places are free when its lease has ended.
        system.kill("worker")
        killed = time.monotonic()
        poll(lambda: not after <= set(shares(system)), 15)
        poll(lambda: sorted(shares(system).values()) == [2, 2], 10)
        assert time.monotonic() - killed < 15
        assert server.most_open == 4
        server.pause_seconds = 0.0
        server.wait_for(700, 60)
        poll(lambda: not shares(system))
        system.reconcile()


@pytest.mark.timeout(120)
def test_sessions_begin_no_faster_than_allowed_by_all_workers() -> None:
    with SmtpServer() as server, started(server, 3, "messages_per_connection = 1") as system:
        limit(system, connections_per_second=5)
        send(system, 25)
        server.wait_for(25, 60)
        began = server.began
        assert len(began) == 25
        for first, seventh in zip(began, began[6:], strict=False):
            assert seventh - first > 0.6, "1.1 s, but for what sets them up late"
        assert 4.2 < began[-1] - began[0] < 20, "4.8 s, were every permit taken at once"
        system.reconcile()
