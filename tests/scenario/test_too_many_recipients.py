"""A server takes so many recipients at once: the others go on in the next one, each once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.mx_world import World, started, world
from tests.support.smtp_server import SmtpServer

RECORDS = {(f"s{n}.test", "MX"): [f"10 mx.s{n}.test."] for n in range(2, 9)} | {
    (f"mx.s{n}.test", "A"): [f"127.0.0.{n}"] for n in range(2, 9)
}
ROUTES = """
[[relay]]
name = "second"
host = "127.0.0.1"
port = {port}
tls = "none"

[[route]]
name = "main"
relay = "main"
recipient_domains = ["main.test"]

[[route]]
name = "second"
relay = "second"
recipient_domains = ["second.test"]

[[route]]
name = "pool"
relays = ["second", "main"]
recipient_domains = ["pool.test"]

[[route]]
name = "direct"
direct = true
"""
SHAPING = """
[site.two]
mx = ["mx.s5.test"]
recipients_per_transaction = 2

[relay.second]
recipients_per_transaction = 2
"""


@pytest.fixture(scope="module")
def second() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="module")
def here(second: SmtpServer) -> Iterator[World]:
    with ExitStack() as stack:
        here = stack.enter_context(world(RECORDS))
        here.server("127.0.0.250")  # For the port.
        routes = ROUTES.format(port=second.port)
        yield stack.enter_context(started(here, route=routes, shaping=SHAPING))


def people(domain: str, count: int = 7) -> list[str]:
    return [f"p{number}@{domain}" for number in range(count)]


def sizes(server: SmtpServer) -> list[int]:
    """Recipients of each transaction, the largest first."""
    return sorted((len(each.recipients) for each in server.answered()), reverse=True)


def delivered(here: World, server: SmtpServer, to: list[str], **fields: str) -> str:
    """A message that everybody gets once, at the first attempt that counts."""
    mail = here.system.send(to=to, **fields)
    here.system.wait_status(mail, "delivered")
    got = [each for captured in server.answered() for each in captured.recipients]
    assert sorted(got) == sorted(to)
    assert {each["attempt_count"] for each in here.system.recipients(mail)} == {1}
    return mail


def asked(server: SmtpServer) -> int:
    return sum(each.startswith("RCPT") for each in server.commands)


@pytest.mark.parametrize(
    ("domain", "hold"), [("s2.test", "resend"), ("s3.test", "hold"), ("main.test", "resend")]
)
def test_the_others_go_on_at_once_and_the_next_message_is_split_beforehand(
    here: World, domain: str, hold: str
) -> None:
    server = here.system.server
    if domain != "main.test":
        server = here.server(f"127.0.0.{domain[1]}")
    server.most_recipients = 3
    mail = delivered(here, server, people(domain), on_uncertain=hold)
    assert (sizes(server), asked(server)) == ([3, 3, 1], 7 + 3 + 1)
    ledger = here.settle_accounts(mail)
    assert [each for each in ledger if each != "rerouted"] == ["accepted", *["attempt"] * 3]
    attempts = here.system.recipients(mail)[-1]["attempts"]
    assert [(each["code"], each["charged"]) for each in attempts] == [(452, False), (250, True)]
    assert "too many recipients for one transaction" in attempts[0]["note"]
    server.messages.clear()
    server.commands.clear()
    mail = delivered(here, server, people(domain), on_uncertain=hold)
    assert (sizes(server), asked(server)) == ([3, 3, 1], 7)
    assert here.settle_accounts(mail).count("attempt") == 3
    server.messages.clear()
    server.most_recipients = 0


def test_who_is_greylisted_beside_them_waits_for_the_schedule(here: World) -> None:
    server = here.server("127.0.0.4", most_recipients=3)
    server.answers["RCPT p1@s4.test"] = ["450 4.7.1 Greylisted"] * 2
    mail = here.system.send(to=people("s4.test"))
    here.system.wait_status(mail, "delivered")
    got = [each for captured in server.answered() for each in captured.recipients]
    assert sorted(got) == people("s4.test")
    counts = [each["attempt_count"] for each in here.system.recipients(mail)]
    assert counts == [1, 3, 1, 1, 1, 1, 1]
    assert here.counters().get("relay_troubles", 0) == 0
    here.settle_accounts(mail)


def test_a_site_gets_as_many_as_shaping_says(here: World) -> None:
    server = here.server("127.0.0.5")
    mail = delivered(here, server, people("s5.test", 5))
    assert sizes(server) == [2, 2, 1]
    assert here.settle_accounts(mail) == ["accepted", "rerouted", *["attempt"] * 3]


@pytest.mark.parametrize("domain", ["second.test", "pool.test"])
def test_a_relay_gets_as_many_as_shaping_says_in_a_pool_too(
    here: World, second: SmtpServer, domain: str
) -> None:
    mail = delivered(here, second, people(domain, 5))
    assert sizes(second) == [2, 2, 1]
    assert here.settle_accounts(mail) == ["accepted", "rerouted", *["attempt"] * 3]
    second.messages.clear()


def test_one_that_has_no_room_and_then_refuses_is_asked_by_the_schedule(here: World) -> None:
    server = here.server("127.0.0.6", most_recipients=1)
    server.answers["."] = ["451 4.3.0 not now"] * 4
    mail = here.system.send(to=people("s6.test", 2))
    here.system.wait_status(mail, "delivered")
    # Both once, then each by itself, which is what was learnt: four refusals, no more.
    assert [each.answered for each in server.messages].count(False) == 4
    assert here.settle_accounts(mail).count("attempt") <= 7
