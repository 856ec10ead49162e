"""Web instances restarted one after the other behind nginx, under load: no request fails."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.settings import Settings, StoreSettings
from shared.store.redis_spool import RedisSpool
from tests.support.front import Front, front
from tests.support.redis_server import RedisServer
from tests.support.roles import Role, key_for
from tests.support.system import message, poll

ROUNDS = 3
CLIENTS = 8


class Clients:
    """Threads that send over connections that stay open; every answer is kept."""

    def __init__(self, balancer: Front, key: str) -> None:
        self._front = balancer
        self._key = key
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        self.accepted: list[str] = []
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)
        ]

    def start(self) -> None:
        """Send from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End when the requests under way have their answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def count(self) -> int:
        """How many were accepted so far."""
        with self._lock:
            return len(self.accepted)

    def wait_for(self, more: int) -> None:
        """Wait until that many more were accepted."""
        enough = self.count() + more
        poll(lambda: self.count() >= enough, 60)

    def _send(self, number: int) -> None:
        connection = self._front.connect()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        body = json.dumps(message(subject=f"client {number}"))
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v1/messages", body, headers)
                response = connection.getresponse()
                found = response.read()
                what, identifier = str(response.status), json.loads(found).get("id")
            except (OSError, http.client.HTTPException) as error:
                what, identifier = type(error).__name__, None
                connection.close()
            with self._lock:
                self.answers[what] += 1
                if identifier:
                    self.accepted.append(identifier)
        connection.close()


@pytest.fixture
def instances(own_redis_server: RedisServer, tmp_path: Path) -> Iterator[list[Role]]:
    """Two, on one store."""
    found = [
        Role(
            "web", own_redis_server.url, tmp_path / f"web{number}.log", POSTHASTE_WEB_PROCESSES="2"
        )
        for number in (1, 2)
    ]
    for each in found:
        each.start()
    yield found
    for each in found:
        each.release()


@pytest.mark.timeout(300)
def test_rolling_restart_behind_nginx(own_redis_server: RedisServer, instances: list[Role]) -> None:
    at = " ".join(f"127.0.0.1:{each.port}" for each in instances)
    key = key_for(own_redis_server.url)
    with front(at, NGINX_RATE_PER_KEY="100000r/s", NGINX_RATE_PER_ADDRESS="100000r/s") as balancer:
        clients = Clients(balancer, key)
        clients.start()
        try:
            for _ in range(ROUNDS):
                for each in instances:
                    clients.wait_for(200)
                    each.stop()
                    each.start()
            clients.wait_for(200)
        finally:
            clients.stop()
        served = {line.split('"upstream":"')[1].split('"')[0]
                  for line in balancer.access_log().splitlines()}  # fmt: skip
    assert dict(clients.answers) == {"202": len(clients.accepted)}
    assert len(set(clients.accepted)) == len(clients.accepted)
    assert {f"127.0.0.1:{each.port}" for each in instances} <= served  # Both have taken part.
    spool = RedisSpool(Settings(store=StoreSettings(redis_url=own_redis_server.url)))
    try:
        for identifier in clients.accepted:
            assert spool.get(bytes.fromhex(identifier.removeprefix("msg_"))) is not None
        assert sum(spool.depth().accepted.values()) == len(clients.accepted)
    finally:
        spool.close()
