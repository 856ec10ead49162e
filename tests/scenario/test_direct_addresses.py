"""Direct delivery to hosts that are not the usual `MX` with an IPv4 address."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shared.clock import SystemClock
from shared.hops import MxHop
from shared.ids import external
from shared.model.message import Recipient
from shared.store.ports import Accepted
from tests.support.mx_world import ALLOWED, World, started, world
from tests.support.stores import RedisTestStore, settings
from tests.support.system import message

SIX = (*ALLOWED, "::1/128")
DELIVERED = ["accepted", "rerouted", "attempt"]


def need_ipv6() -> None:
    """Skip the test where loopback has no ::1."""
    table = Path("/proc/net/if_inet6")
    if not table.exists() or f"{1:032x} " not in table.read_text():
        pytest.skip("loopback has no ::1 here")


def test_without_mx_a_domain_is_its_own_host() -> None:
    with world({("own.test", "A"): ["127.0.0.2"]}) as here:
        server = here.server("127.0.0.2")
        with started(here) as here:
            mail = here.system.send(to="a@own.test")
            here.system.wait_status(mail, "delivered")
            assert here.hops(mail) == ["mx:own.test"]
            assert [each.recipients for each in server.answered()] == [["a@own.test"]]
            assert here.settle_accounts(mail) == DELIVERED


def test_ipv6_alone_is_enough_and_where_nobody_is_there_ipv4_is_tried() -> None:
    need_ipv6()
    records = {
        ("six.test", "MX"): ["10 mx.six.test."],
        ("mx.six.test", "AAAA"): ["::1"],
        ("both.test", "MX"): ["10 mx.both.test."],
        ("mx.both.test", "AAAA"): ["::1"],
        ("mx.both.test", "A"): ["127.0.0.2"],
    }
    with world(records) as here:
        four = here.server("127.0.0.2")
        with started(here, allow=SIX) as here:
            mail = here.system.send(to="a@both.test")  # Nobody is at ::1 yet.
            here.system.wait_status(mail, "delivered")
            assert "by mx.both.test [127.0.0.2]" in str(here.attempts(mail)[0]["note"])
            assert here.settle_accounts(mail) == DELIVERED
            six = here.server("::1")
            mail = here.system.send(to="a@six.test")
            here.system.wait_status(mail, "delivered")
            assert "by mx.six.test [::1]" in str(here.attempts(mail)[0]["note"])
            assert (len(four.answered()), len(six.answered())) == (1, 1)
            assert six.peers == ["::1"]
            assert here.settle_accounts(mail) == DELIVERED


def put(here: World, *people: str) -> str:
    """A message for people whom the API would refuse, into the store itself."""
    store = RedisTestStore(settings(here.system.redis_url), SystemClock())  # type: ignore[arg-type]  # Real time.
    try:
        submission = store.submission(hops=(MxHop().hop,), recipients=len(people))
        head = msgspec.structs.replace(
            submission.message.head,
            application="default",
            recipients=tuple(Recipient("to", each) for each in people),
        )
        leg = msgspec.structs.replace(submission.legs[0], application="default")
        changed = msgspec.structs.replace(submission.message, head=head)
        (answer,) = store.spool.accept(
            [msgspec.structs.replace(submission, message=changed, legs=(leg,))]
        )
        assert isinstance(answer, Accepted), answer
        return external(answer.message_id)
    finally:
        store.close()


def test_b14_the_api_takes_no_address_literal_and_one_in_the_store_goes_only_where_it_may() -> None:
    need_ipv6()
    with world({}) as here:
        four, six = here.server("127.0.0.5"), here.server("::1")
        with started(here, allow=("127.0.0.5/32", "::1/128")) as here:
            for address in ("a@[127.0.0.5]", "a@[IPv6:::1]"):
                status, body, _ = here.system.ask("POST", "/v1/messages", message(to=[address]))
                told = [(each["pointer"], each["code"]) for each in body["errors"]]
                assert (status, told) == (422, [("/to/0", "bad_address")])
            mail = put(here, "a@[127.0.0.5]", "b@[IPv6:::1]", "c@[127.0.0.6]", "d@[127.0.0]")
            here.wait(mail, "delivered", "delivered", "bounced", "bounced")
            assert [each.recipients for each in four.answered()] == [["a@[127.0.0.5]"]]
            assert [each.recipients for each in six.answered()] == [["b@[IPv6:::1]"]]
            assert here.hops(mail)[:2] == ["mx:ipv4~127.0.0.5", "mx:ipv6~--1"]
            codes = [each["enhanced_code"] for each in here.attempts(mail)]
            assert codes == ["2.0.0", "2.0.0", "5.4.4", "5.1.3"]
            assert here.dns.asked == []
            assert here.settle_accounts(mail)[:2] == ["accepted", "rerouted"]
