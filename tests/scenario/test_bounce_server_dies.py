"""The server for bounces is killed: whoever was not answered comes again, and it counts once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.clock import ManualClock
from shared.feedback.tokens import return_path
from shared.ids import new_message_id
from shared.model.status import Status
from shared.store.ports import Settlement, Verb
from tests.support.redis_server import RedisServer
from tests.support.returns import DOMAIN, KEY, TOKENS, Client, dsn
from tests.support.roles import Role
from tests.support.stores import RedisTestStore, settings


@pytest.fixture
def server() -> Iterator[RedisServer]:
    found = RedisServer().start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def role(server: RedisServer, tmp_path: Path) -> Iterator[Role]:
    found = Role(
        "bounces", server.url, tmp_path / "log",
        POSTHASTE_BOUNCES_DOMAINS=DOMAIN, POSTHASTE_FEEDBACK_KEY=KEY.decode(),
    )  # fmt: skip
    try:
        yield found
    finally:
        while Client.opened:
            Client.opened.pop().close()
        found.release()


def delivered(store: RedisTestStore, recipients: int) -> tuple[bytes, list[str]]:
    """A delivered message's id, and the return path of each recipient."""
    identifier = store.accept(identifier=new_message_id(), recipients=recipients)
    (claimed,) = store.claim().legs
    store.settle(
        Settlement(claimed.leg_id, claimed.fence, Verb.SETTLE, (Status.DELIVERED,) * recipients, 1)
    )
    people = (f"r{number}@example.test" for number in range(recipients))
    tokens = (
        TOKENS.reference(identifier, "app", "transactional", "other", each) for each in people
    )
    return identifier, [return_path(each, DOMAIN) for each in tokens]


def bring(role: Role, path: str, number: int) -> str:
    """Bring a bounce; the reply, empty where there was none."""
    client = Client(role.ports[1])
    client.envelope(path)
    client.send(dsn(f"r{number}@example.test") + b".\r\n")
    return client.reply()[:3]


def test_killed_at_any_moment_it_counts_once(server: RedisServer, role: Role) -> None:
    store = RedisTestStore(settings(server.url), ManualClock(time.time_ns() // 1_000_000))
    delays = (0.0, 0.002, 0.008)
    identifier, paths = delivered(store, len(delays))
    role.start()
    for number, (delay, path) in enumerate(zip(delays, paths, strict=True)):
        client = Client(role.ports[1])
        client.envelope(path)
        client.send(dsn(f"r{number}@example.test") + b".\r\n")
        time.sleep(delay)
        role.stop(signal.SIGKILL)
        client.reply()  # Its 250, or nothing: the sender of a real one keeps it then.
        role.start()
        assert bring(role, path, number) == "250"
        assert bring(role, path, number) == "250"
    assert store.statuses(identifier) == ["bounced"] * len(delays)
    assert store.ledger().count("bounced") == len(delays)
    assert store.ledger().count("suppressed") == len(delays)
    store.close()


def test_killed_before_the_last_dot_nothing_is_known(server: RedisServer, role: Role) -> None:
    store = RedisTestStore(settings(server.url), ManualClock(time.time_ns() // 1_000_000))
    identifier, (path,) = delivered(store, 1)
    role.start()
    client = Client(role.ports[1])
    client.envelope(path)
    client.send(dsn("r0@example.test"))
    role.stop(signal.SIGKILL)
    assert client.reply() == ""
    assert store.statuses(identifier) == ["delivered"]
    role.start()
    assert bring(role, path, 0) == "250"
    assert store.statuses(identifier) == ["bounced"]
    store.close()


def test_a_store_that_stands_still_is_no_250(server: RedisServer, role: Role) -> None:
    """It answers 451 in time; when the store has done it after all, coming again counts once."""
    store = RedisTestStore(settings(server.url), ManualClock(time.time_ns() // 1_000_000))
    identifier, (path,) = delivered(store, 1)
    role.start()
    server.stall()
    try:
        assert bring(role, path, 0) == "451"
    finally:
        server.resume()
    assert bring(role, path, 0) == "250"
    assert store.statuses(identifier) == ["bounced"]
    assert store.ledger().count("bounced") == 1
    store.close()
