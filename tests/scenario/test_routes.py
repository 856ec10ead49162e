"""Routes with real relays: each recipient goes where the first route that matches sends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.scenario.test_relays_reload import reload
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, poll

ROUTES = """
[[route]]
name = "partner"
relay = "other"
recipient_domains = ["partner.test"]
source_address = "127.0.0.2"
ehlo_name = "partner-mail.shop.test"

[[route]]
name = "bulk"
relay = "other"
classes = ["bulk"]
"""


def relays(first: SmtpServer, second: SmtpServer) -> str:
    return "".join(
        f'[[relay]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {server.port}\ntls = "none"\n'
        for name, server in (("main", first), ("other", second))
    )


@contextmanager
def started(first: SmtpServer, settings: str) -> Iterator[System]:
    with installation("--web", "1", "--workers", "1", settings=QUICK + settings) as facts:
        yield System(facts, first)


def hops(system: System, identifier: str) -> list[str]:
    return [each["destination"] for each in system.recipients(identifier)]


def addressees(server: SmtpServer) -> list[list[str]]:
    return [[each.partition("@")[2] for each in mail.recipients] for mail in server.answered()]


def test_recipients_of_one_message_part() -> None:
    with (
        SmtpServer() as main,
        SmtpServer() as other,
        started(main, relays(main, other) + ROUTES) as system,
    ):
        mail = system.send(to=["a@example.test", "b@partner.test", "c@example.test"])
        system.wait_status(mail, "delivered")
        assert hops(system, mail) == ["main", "other@partner", "main"]
        assert addressees(main) == [["example.test", "example.test"]]
        assert addressees(other) == [["partner.test"]]
        assert other.peers == ["127.0.0.2"]
        assert "EHLO partner-mail.shop.test" in other.commands
        bulk = system.send(**{"class": "bulk"})
        system.wait_status(bulk, "delivered")
        assert hops(system, bulk) == ["other"]
        assert other.peers[-1] == "127.0.0.1"
        assert system.ledger(mail).count("attempt") == 2
        names = {row["destination"] for row in system.ask("GET", "/v1/destinations")[1]["data"]}
        assert names == {"main", "other", "other@partner"}
        system.reconcile()


def test_mail_of_a_hop_that_is_gone_is_routed_anew() -> None:
    with (
        SmtpServer() as main,
        SmtpServer() as other,
        started(main, relays(main, other) + ROUTES) as system,
    ):
        other.answers["EHLO"] = "421 4.3.2 not now"
        mail = system.send(to=["a@partner.test", "b@partner.test"])
        poll(lambda: system.recipients(mail)[0]["waiting_for"] == "relay_trouble")
        done = reload(system, relays(main, other).partition('[[relay]]\nname = "other"')[0])
        assert done.returncode == 0
        system.wait_status(mail, "delivered")
        assert hops(system, mail) == ["main", "main"]
        assert "rerouted" in system.ledger(mail)
        system.reconcile()
