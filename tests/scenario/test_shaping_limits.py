"""What shaping.toml says of sites and routes holds over all workers, and a reload changes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from shared.settings import Settings, StoreSettings
from shared.store.operations import Destination
from shared.store.redis_operations import RedisOperations
from tests.support.mx_world import World, started, world
from tests.support.smtp_server import SmtpServer
from tests.support.system import message, poll

RECORDS = {(f"s{n}.test", "MX"): [f"10 mx.s{n}.test."] for n in range(2, 9)} | {
    (f"mx.s{n}.test", "A"): [f"127.0.0.{n}"] for n in range(2, 9)
}
ROUTES = """
[[route]]
name = "news"
direct = true
tags = ["news"]

[[route]]
name = "straight"
direct = true
"""
SHAPING = """
[site.few]
mx = ["mx.s2.test"]
messages_per_connection = 3

[site.limited]
mx = ["mx.s3.test"]
per_day = {per_day}

[site.free]
mx = ["mx.s4.test"]
connections = 0

[route.news]
per_minute = 4
"""


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with world(RECORDS) as here:
        here.server("127.0.0.250")  # For the port.
        shaping = SHAPING.format(per_day=5)
        with started(here, route=ROUTES, shaping=shaping, workers=2) as here:
            yield here


def batch(here: World, domain: str, count: int, **fields: object) -> list[str]:
    mails = [message(to=f"p{number}@{domain}", **fields) for number in range(count)]
    status, body, _ = here.system.ask("POST", "/v1/messages/batch", {"messages": mails})
    assert status == 202, body
    return [each["id"] for each in body["results"]]


def seen(here: World, hop: str) -> Destination | None:
    """A destination as operators' tools see it."""
    store = StoreSettings(redis_url=here.system.redis_url, timeout_seconds=5)
    operations = RedisOperations(Settings(store=store))
    try:
        return next((each for each in operations.destinations() if each.hop == hop), None)
    finally:
        operations.close()


def is_kept_back(here: World, hop: str, ready: int) -> bool:
    """Whether so many legs wait for a permit, and nothing is under way."""
    row = seen(here, hop)
    return row is not None and (row.ready, row.in_flight, row.wakes_ms is None) == (ready, 0, False)


def taken(*servers: SmtpServer) -> int:
    return sum(len(each.answered()) for each in servers)


def test_a_session_ends_after_so_many_messages(here: World) -> None:
    server = here.server("127.0.0.2")
    for _ in range(12):
        here.system.wait_status(here.system.send(to="a@s2.test"), "delivered")
    assert server.connections >= 4  # Two workers with a session each would do.


def test_a_limit_of_a_site_holds_over_all_workers_until_a_reload_raises_it(here: World) -> None:
    server = here.server("127.0.0.3")
    mails = batch(here, "s3.test", 12)
    poll(lambda: is_kept_back(here, "mx:mx.s3.test", 7))
    assert taken(server) == 5
    row = seen(here, "mx:mx.s3.test")
    assert row is not None
    assert (row.limit.per_day, row.used) == (5, {"day": 5})
    assert here.system.recipients(mails[-1])[0]["status"] == "queued"
    (here.system.home / "shaping.toml").write_text(SHAPING.format(per_day=100))
    command = [sys.executable, "-P", "-m", "shared.cli.main", "reload"]
    subprocess.run([*command, "--home", str(here.system.home)], check=True, timeout=60)
    for mail in mails:
        here.system.wait_status(mail, "delivered")
    assert taken(server) == 12
    assert here.settle_accounts(mails[-1]) == ["accepted", "rerouted", "attempt"]


def test_a_site_without_limits_does_not_have_that_of_every_site(here: World) -> None:
    free, other = here.server("127.0.0.4"), here.server("127.0.0.5")
    free.answers["."] = other.answers["."] = "stall"
    mails = [batch(here, f"s{number}.test", 1) for number in (4, 5)]
    found = []
    for hop in ("mx:mx.s4.test", "mx:mx.s5.test"):
        row = poll(partial(seen, here, hop))
        found.append((row.limit.connections, row.limit.concurrency))
    assert found == [(0, 0), (10, 20)]
    free.release()
    other.release()
    for (mail,) in mails:
        here.system.wait_status(mail, "delivered")


def test_a_limit_of_a_route_holds_over_its_sites_and_for_nothing_else(here: World) -> None:
    servers = here.server("127.0.0.6"), here.server("127.0.0.7")
    mails = batch(here, "s6.test", 3, tags=["news"])
    for mail in mails:
        here.system.wait_status(mail, "delivered")
    batch(here, "s7.test", 5, tags=["news"])
    poll(lambda: is_kept_back(here, "mx:mx.s7.test@news", 4))
    assert taken(*servers) == 4
    here.system.wait_status(here.system.send(to="a@s7.test"), "delivered")
    assert here.settle_accounts(mails[0]) == ["accepted", "rerouted", "attempt"]
