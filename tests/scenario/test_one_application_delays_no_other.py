"""Ten applications, one of which sends a hundred times the mail: the others' goes first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.api_keys import generate
from shared.clock import SystemClock
from shared.model.message import CLASSES
from shared.settings import Settings, StoreSettings
from shared.store.redis_keys import RedisKeys
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, message, poll

BIG = 600
SMALL = 6
OTHERS = 9
RELAY = """
[[relay]]
name = "slow"
host = "127.0.0.1"
port = {port}
tls = "none"
"""


def keys(system: System) -> dict[str, dict[str, str]]:
    """By application, the headers by which it signs in."""
    stored = RedisKeys(Settings(store=StoreSettings(redis_url=system.redis_url)))
    found = {}
    for application in ("big", *(f"small{number}" for number in range(OTHERS))):
        text, key = generate(application, (), CLASSES, SystemClock(), ("send",))
        stored.add(key)
        found[application] = {"Authorization": f"Bearer {text}"}
    stored.close()
    return found


def send(system: System, headers: dict[str, str], subject: str, count: int) -> None:
    batch = [message(subject=subject) for _ in range(count)]
    status, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": batch}, headers=headers)
    assert status == 202
    assert all("id" in each for each in body["results"])


@contextmanager
def started(server: SmtpServer, relay: str, settings: str = "") -> Iterator[System]:
    with installation(
        "--web", "1", "--workers", "1",
        settings=QUICK + RELAY.format(port=server.port) + relay + settings,
    ) as facts:  # fmt: skip
        yield System(facts, server)


def order(server: SmtpServer) -> list[str]:
    return [each.header("Subject") for each in server.answered()]


def check(system: System, server: SmtpServer) -> None:
    """The big one's backlog stands there first; then the others come."""
    signed_in = keys(system)
    send(system, signed_in.pop("big"), "big", BIG)
    poll(lambda: len(server.answered()) >= 10, 30)
    for application, headers in signed_in.items():
        send(system, headers, application, SMALL)
    began = len(server.answered())
    poll(lambda: sum(each != "big" for each in order(server)) == OTHERS * SMALL, 90)
    poll(lambda: len(server.answered()) == BIG + OTHERS * SMALL, 150)
    found = order(server)
    last = max(at for at, each in enumerate(found) if each != "big")
    left = found[last:].count("big")
    assert left >= BIG // 2, (began, last, left)
    system.reconcile()


@pytest.mark.timeout(300)
def test_on_a_slow_relay() -> None:
    """It answers one message after another: in a worker's hands there is much of the big one's."""
    slow = SmtpServer(on_message=lambda _: time.sleep(0.03))
    with slow as server, started(server, "connections = 2\n") as system:
        check(system, server)


@pytest.mark.timeout(300)
def test_on_a_relay_with_a_rate() -> None:
    with SmtpServer() as server, started(server, "rate = 40\n") as system:
        check(system, server)
