"""Routes that ask for the recipient's site: DNS decides, whatever kind of hop they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.scenario.test_relays_reload import reload
from tests.support.mx_world import World, started, world
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, poll

RECORDS = {
    ("one.test", "MX"): ["10 mx.one.test.", "20 backup.one.test."],
    ("uno.test", "MX"): ["5 mx.one.test."],
    ("mixed.test", "MX"): ["10 mx.one.test.", "20 mx.two.test."],
    ("two.test", "MX"): ["10 mx.two.test."],
    ("null.test", "MX"): ["0 ."],
    ("mx.one.test", "A"): ["127.0.0.2"],
    ("backup.one.test", "A"): ["127.0.0.2"],
    ("mx.two.test", "A"): ["127.0.0.3"],
}
REST = '[[route]]\nname = "rest"\ndirect = true\n'


def one_by(goal: str) -> str:
    return f'[[route]]\nname = "one"\nsites = ["*.one.test"]\n{goal}\n'


@contextmanager
def running(here: World, other: SmtpServer, route: str) -> Iterator[World]:
    """With a second relay, `other`."""
    relay = f'[[relay]]\nname = "other"\nhost = "127.0.0.1"\nport = {other.port}\ntls = "none"\n'
    with started(here, route=relay + route) as here:
        yield here


def relayed(server: SmtpServer) -> list[list[str]]:
    return [each.recipients for each in server.answered()]


def test_each_recipient_goes_where_its_site_leads() -> None:
    """To a relay with a name of its own, or past it; null MX bounces, as it does without."""
    with world(RECORDS) as here, SmtpServer() as other:
        two = here.server("127.0.0.3")
        goal = 'relay = "other"\nehlo_name = "partner.shop.test"'
        with running(here, other, one_by(goal) + REST) as here:
            people = ["a@one.test", "b@two.test", "c@uno.test", "d@null.test"]
            mail = here.system.send(to=people)
            here.wait(mail, "delivered", "delivered", "delivered", "bounced")
            assert relayed(other) == [["a@one.test", "c@uno.test"]]
            assert "EHLO partner.shop.test" in other.commands
            assert relayed(two) == [["b@two.test"]]
            assert relayed(here.system.server) == []
            assert here.hops(mail) == ["other@one", "mx:mx.two.test", "other@one", "mx:?@?"]
            assert here.attempts(mail)[-1]["enhanced_code"] == "5.1.10"
            ledger = here.settle_accounts(mail)
            assert ledger == ["accepted", "rerouted", "attempt", "attempt", "attempt"]


def test_no_route_has_to_be_direct_and_dns_is_waited_for() -> None:
    """A pool for one site; what has none, or hosts elsewhere too, goes by the first relay."""
    with world(RECORDS) as here, SmtpServer() as other:
        here.dns.failing["one.test MX"] = "SERVFAIL"
        with running(here, other, one_by('relays = ["other", "main"]')) as here:
            mail = here.system.send(to=["a@one.test", "b@mixed.test", "c@nowhere.test"])
            here.wait(mail, "deferred", "delivered", "delivered")
            assert relayed(here.system.server) == [["b@mixed.test", "c@nowhere.test"]]
            assert (here.attempts(mail)[0]["code"], here.hops(mail)[0]) == (451, "mx:?@?")
            here.dns.failing.clear()
            here.wait(mail, "delivered", "delivered", "delivered")
            assert relayed(other) == [["a@one.test"]]
            here.settle_accounts(mail)


def test_a_reload_brings_and_takes_such_routes() -> None:
    """What waits for its site goes by the routes as they are then; what has a hop keeps it."""
    with world(RECORDS) as here, SmtpServer() as other, running(here, other, "") as here:
        before = here.system.send(to=["a@one.test"])
        here.system.wait_status(before, "delivered")
        assert here.hops(before) == ["main"]
        bare = here.settings.removeprefix(QUICK)
        assert reload(here.system, bare + one_by('relay = "other"')).returncode == 0
        here.dns.failing["two.test MX"] = "SERVFAIL"

        def sent() -> str:  # By web as it was before, perhaps.
            mail = here.system.send(to=["a@one.test", "b@two.test"])
            poll(lambda: "queued" not in {e["status"] for e in here.system.recipients(mail)})
            return mail if here.hops(mail) != ["main", "main"] else ""

        mail = str(poll(sent))
        here.wait(mail, "delivered", "deferred")
        assert here.hops(mail) == ["other", "mx:?@?"]
        assert reload(here.system, bare).returncode == 0
        here.wait(mail, "delivered", "delivered")
        assert here.hops(mail) == ["other", "main"]
        assert here.settle_accounts(mail).count("rerouted") == 2
