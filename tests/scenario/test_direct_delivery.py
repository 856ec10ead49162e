"""Direct delivery: recipients of one message part by the sites that their domains have in DNS."""

from __future__ import annotations

from tests.support.mx_world import started, world

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
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt", "attempt"]
