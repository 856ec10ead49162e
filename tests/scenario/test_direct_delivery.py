"""Direct delivery: recipients of one message part by the sites that their domains have in DNS."""

from __future__ import annotations

from tests.scenario.test_relays_reload import reload
from tests.support.mx_world import ROUTE, started, world
from tests.support.system import QUICK, message, poll

RECORDS = {
    ("one.test", "MX"): ["10 mx.one.test."],
    ("uno.test", "MX"): ["5 mx.one.test."],
    ("two.test", "MX"): ["10 mx1.two.test.", "20 mx2.two.test."],
    ("mx.one.test", "A"): ["127.0.0.2"],
    ("mx1.two.test", "A"): ["127.0.0.3"],
    ("mx2.two.test", "A"): ["127.0.0.4"],
}


def test_one_message_goes_to_two_sites_and_two_domains_of_one_share_a_transaction() -> None:
    with world(RECORDS) as here:
        one, two = here.server("127.0.0.2"), here.server("127.0.0.3")
        with started(here) as here:
            mail = here.system.send(to=["a@one.test", "b@two.test", "c@uno.test"])
            here.system.wait_status(mail, "delivered")
            assert [each.recipients for each in one.answered()] == [["a@one.test", "c@uno.test"]]
            assert [each.recipients for each in two.answered()] == [["b@two.test"]]
            first, second, third = here.hops(mail)
            assert first == third == "mx:mx.one.test"
            assert second.startswith("mx:mx1.two.test~")
            log = (here.system.home / "log" / "worker-1.log").read_text()
            assert "settle_refused" not in log  # It gave way as it should.
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt", "attempt"]


def test_the_second_host_gets_what_the_first_does_not_want_to_hear_of() -> None:
    with world(RECORDS) as here:
        second = here.server("127.0.0.4")  # Nobody is at 127.0.0.3.
        with started(here) as here:
            mail = here.system.send(to="b@two.test")
            here.system.wait_status(mail, "delivered")
            (attempt,) = here.attempts(mail)
            assert "by mx2.two.test [127.0.0.4]" in str(attempt["note"])
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]
            first = here.server("127.0.0.3", answers={"banner": "421 4.3.2 not now"})
            here.system.wait_status(here.system.send(to="b@two.test"), "delivered")
            assert [len(each.answered()) for each in (first, second)] == [0, 2]


def test_a_banner_of_421_is_a_reason_to_try_the_next_host_a_refused_recipient_is_none() -> None:
    with world(RECORDS) as here:
        first = here.server("127.0.0.3", answers={"banner": ["421 4.3.2 not now"]})
        second = here.server("127.0.0.4", answers={"RCPT": ["450 4.2.1 later"]})
        with started(here) as here:
            mail = here.system.send(to="b@two.test")
            here.system.wait_status(mail, "delivered")
            assert [each["code"] for each in here.attempts(mail)] == [450, 250]
            assert (first.connections, first.commands) == (1, [])
            assert [each.recipients for each in second.answered() if each.raw] == [["b@two.test"]]
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt", "attempt"]


def test_what_dns_says_is_final_bounces_and_the_rest_goes() -> None:
    records = RECORDS | {("null.test", "MX"): ["0 ."], ("private.test", "MX"): ["1 mx.home.test."]}
    records |= {("mx.home.test", "A"): ["10.0.0.1"]}
    with world(records) as here:
        one = here.server("127.0.0.2")
        with started(here) as here:
            people = ["a@null.test", "b@nowhere.test", "c@one.test", "d@private.test"]
            mail = here.system.send(to=people)
            here.wait(mail, "bounced", "bounced", "delivered", "bounced")
            told = [each["enhanced_code"] for each in here.attempts(mail)]
            assert told == ["5.1.10", "5.1.2", "2.0.0", "5.4.4"]
            assert [each.recipients for each in one.answered()] == [["c@one.test"]]
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt", "attempt"]


def test_without_an_answer_of_dns_mail_is_deferred_and_then_goes() -> None:
    with world(RECORDS) as here:
        one = here.server("127.0.0.2")
        here.dns.failing["one.test MX"] = "SERVFAIL"
        with started(here) as here:
            mail = here.system.send(to=["a@one.test", "b@nowhere.test"])
            here.wait(mail, "deferred", "bounced")
            first = here.attempts(mail)[0]
            assert (first["code"], first["enhanced_code"]) == (451, "4.4.3")
            here.dns.failing.clear()
            here.wait(mail, "delivered", "bounced")
            assert len(one.answered()) == 1
            ledger = here.settle_accounts(mail)
            assert ledger[:2] == ["accepted", "attempt"]
            assert ledger[-2:] == ["rerouted", "attempt"]


def test_addresses_inside_our_own_network_are_refused() -> None:
    """B14: whoever owns a domain must not have us connect to what only we can reach."""
    with world(RECORDS) as here:
        one = here.server("127.0.0.2")
        with started(here, allow=()) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "bounced")
            assert here.last(mail)[:2] == (550, "5.4.4")
            assert one.connections == 0
            assert here.settle_accounts(mail) == ["accepted", "attempt"]


def test_a_site_that_is_away_stands_still_and_no_other_does() -> None:
    with world(RECORDS) as here:
        one = here.server("127.0.0.2")
        with started(here) as here:
            away = here.system.send(to=["b@two.test", "a@one.test"])
            here.wait(away, "queued", "delivered")
            poll(lambda: here.system.recipients(away)[0]["waiting_for"] == "relay_trouble")
            assert (
                here.system.recipients(away)[0]["waiting_reason"] == "connect: connection refused"
            )
            here.system.wait_status(here.system.send(to="c@uno.test"), "delivered")
            assert len(one.answered()) == 2
            here.server("127.0.0.4")
            here.system.wait_status(away, "delivered")
            assert here.settle_accounts(away) == ["accepted", "rerouted", "attempt", "attempt"]


def test_mail_moves_when_its_domain_has_another_site_by_now() -> None:
    with world(RECORDS) as here:
        here.dns.ttls["one.test", "MX"] = 0
        one = here.server("127.0.0.2", answers={"MAIL": "451 4.3.0 not now"})
        two = here.server("127.0.0.3")
        with started(here) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "deferred")
            here.dns.records["one.test", "MX"] = here.dns.records["two.test", "MX"]
            old = here.system.kill("worker")  # Which keeps a domain's site for a minute.
            here.system.wait_restarted("worker", old)
            here.system.wait_status(mail, "delivered")
            assert not any(each.raw for each in one.answered())
            assert [each.recipients for each in two.answered()] == [["a@one.test"]]
            assert here.settle_accounts(mail).count("rerouted") == 2


def test_a_worker_that_dies_while_it_resolves_loses_nothing() -> None:
    with world(RECORDS) as here:
        one, two = here.server("127.0.0.2"), here.server("127.0.0.3")
        here.dns.gate.clear()
        with started(here) as here:
            mail = here.system.send(to=["a@one.test", "b@two.test", "c@nowhere.test"])
            poll(lambda: "one.test MX" in here.dns.asked)
            here.system.kill("worker")
            here.dns.gate.set()
            here.wait(mail, "delivered", "delivered", "bounced")
            assert [len(each.messages) for each in (one, two)] == [1, 1]
            ledger = here.settle_accounts(mail)
            assert ledger[:3] == ["accepted", "crashed", "rerouted"]
            assert ledger.count("attempt") == 3


def test_a_worker_that_dies_between_the_parts_doubles_none_that_was_answered() -> None:
    with world(RECORDS) as here:
        one, two = here.server("127.0.0.2", answers={".": ["stall"]}), here.server("127.0.0.3")
        with started(here) as here:
            mail = here.system.send(to=["a@one.test", "b@two.test"])
            here.wait(mail, "queued", "delivered")
            one.wait_until(lambda: len(one.messages) == 1)
            here.system.kill("worker")
            here.system.wait_status(mail, "delivered")
            assert [len(each.messages) for each in (one, two)] == [2, 1]
            assert here.settle_accounts(mail).count("crashed") == 1


def test_mail_of_a_site_goes_by_relay_when_nothing_is_direct_any_more() -> None:
    with world(RECORDS) as here, started(here) as here:
        mail = here.system.send(to=["a@one.test", "b@nowhere.test"])
        here.wait(mail, "queued", "bounced")
        poll(lambda: here.system.recipients(mail)[0]["waiting_for"] == "relay_trouble")
        here.settings = here.settings.replace(ROUTE, "").removeprefix(QUICK)
        assert reload(here.system, here.settings).returncode == 0
        here.wait(mail, "delivered", "bounced")
        assert here.hops(mail)[0] == "main"
        assert here.settle_accounts(mail).count("rerouted") == 2


def test_mail_of_many_domains_and_two_workers_arrives_once_each() -> None:
    sites = range(2, 7)
    records: dict[tuple[str, str], list[str]] = {}
    for site in sites:
        records[f"mx{site}.test", "A"] = [f"127.0.0.{site}"]
        for number in range(3):
            records[f"d{site}-{number}.test", "MX"] = [f"10 mx{site}.test."]
    domains = [name for name, kind in records if kind == "MX"]
    with world(records) as here:
        servers = [here.server(f"127.0.0.{site}") for site in sites]
        with started(here, workers=2) as here:
            people = [f"p{number}@{domains[number % 15]}" for number in range(150)]
            batch = {
                "messages": [message(to=people[at : at + 3]) for at in range(0, len(people), 3)]
            }
            status, body, _ = here.system.ask("POST", "/v1/messages/batch", batch)
            assert status == 202
            mails = [each["id"] for each in body["results"]]
            for mail in mails:
                here.system.wait_status(mail, "delivered")
            got = [to for server in servers for mail in server.messages for to in mail.recipients]
            assert sorted(got) == sorted(people)
            for mail in mails[:5]:
                ledger = here.settle_accounts(mail)
                assert (ledger[0], ledger.count("rerouted")) == ("accepted", 1)
