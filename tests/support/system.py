"""The whole system as real processes, against a scripted SMTP server: send, kill, look, wait."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from prometheus_client.parser import text_string_to_metric_families

from shared.settings import Settings, StoreSettings
from shared.store.redis_spool import RedisSpool
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer

QUICK = """
[worker]
lease_seconds = 2.0
lease_margin_seconds = 0.5

[retry]
schedule_seconds = [0.3]
"""
"""Leases and retries short enough for tests; the mechanisms are the same."""


def poll(what: Callable[[], Any], seconds: float = 20) -> Any:
    """What `what` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def samples_in(text: str) -> dict[str, float]:
    """A page of metrics: the name with its labels, these in order of their names -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


class System:
    """A running installation."""

    def __init__(self, facts: dict[str, Any], server: SmtpServer) -> None:
        self.home: Path = facts["home"]
        self.key: str = facts["key"]
        self.http: str = facts["http"]
        self.operator: str = facts["operator"]
        self.exporter: str = facts["exporter"]
        self.workers: list[str] = facts["workers"]
        self.redis_url: str = facts["redis"]
        self.server = server

    def facts(self) -> dict[str, Any]:
        """What up.json says now."""
        found: dict[str, Any] = json.loads((self.home / "up.json").read_text())
        return found

    def pids(self, role: str) -> list[int]:
        """The pids of a role now."""
        found: list[int] = self.facts()["pids"][role]
        return found

    def kill(self, role: str, number: int = signal.SIGKILL) -> int:
        """Signal the first process of a role; its pid."""
        pid = self.pids(role)[0]
        os.kill(pid, number)
        return pid

    def wait_restarted(self, role: str, old: int) -> None:
        """Wait until another process has the role's place."""
        poll(lambda: self.pids(role) and old not in self.pids(role))

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """One request: status, body, headers (lower-case names). Connection errors are raised."""
        parts = urlsplit(self.http)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {
                    "Authorization": f"Bearer {self.key}",
                    "Content-Type": "application/json",
                    **(headers or {}),
                },
            )
            response = connection.getresponse()
            found = json.loads(response.read())
            return response.status, found, {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()

    def samples(self, url: str) -> dict[str, float]:
        """The metrics that a listener tells: name with its labels -> value."""
        status, text = self.page(url, "/metrics")
        assert status == 200
        return samples_in(text)

    def page(self, url: str, path: str) -> tuple[int, str]:
        """A page of an operator's listener, by the listener's URL."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def send(self, **fields: Any) -> str:
        """Send a message that must be accepted; its id."""
        status, body, _ = self.ask("POST", "/v1/messages", message(**fields))
        assert status == 202, body
        return str(body["id"])

    def send_when_back(self, seconds: float = 30, **fields: Any) -> str:
        """Send a message once mail is accepted again."""

        def attempt() -> str:
            status, body, _ = self.ask("POST", "/v1/messages", message(**fields))
            return str(body["id"]) if status == 202 else ""

        return str(poll(attempt, seconds))

    def recipients(self, identifier: str) -> list[dict[str, Any]]:
        """The recipients as the API shows them; none while the store is away."""
        status, body, _ = self.ask("GET", f"/v1/messages/{identifier}")
        if status == 503:
            return []
        assert status == 200, body
        found: list[dict[str, Any]] = body["recipients"]
        return found

    def wait_status(self, identifier: str, status: str, seconds: float = 30) -> None:
        """Wait until every recipient has a status."""
        poll(lambda: {each["status"] for each in self.recipients(identifier)} == {status}, seconds)

    def spool(self) -> RedisSpool:
        """The store, asked directly."""
        return RedisSpool(
            Settings(store=StoreSettings(redis_url=self.redis_url, timeout_seconds=5)),
            connections=2,
        )

    def client(self) -> redis.Redis:
        """A plain client of the store."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=5)

    def ledger(self, identifier: str) -> list[str]:
        """The kinds of a message's events, in order."""
        spool = self.spool()
        try:
            wanted = bytes.fromhex(identifier.removeprefix("msg_"))
            events = spool.events(limit=100_000)
            return [event.kind for event in events if event.leg[:16] == wanted]
        finally:
            spool.close()

    def reconcile(self) -> None:
        """Accepted equals the sum over all statuses."""
        spool = self.spool()
        try:
            depth = spool.depth()
            for name, accepted in depth.accepted.items():
                assert accepted == sum(depth.by_status[name].values())
        finally:
            spool.close()


def message(**fields: Any) -> dict[str, Any]:
    """A message that is valid as it is."""
    return {
        "from": "Shop <orders@shop.test>",
        "to": "customer@example.test",
        "subject": "Your order",
        "text": "Thank you.",
        **fields,
    }


@contextmanager
def running(
    *options: str, server: SmtpServer | None = None, settings: str = QUICK
) -> Iterator[System]:
    """The system, sending to a scripted server."""
    with (
        server or SmtpServer() as smtp,
        installation(
            "--smtp-relay", f"smtp://127.0.0.1:{smtp.port}", "--web", "1",
            *(options or ("--workers", "1")), settings=settings,
        ) as facts,
    ):  # fmt: skip
        yield System(facts, smtp)
