"""TLS to MX hosts: what is used without being proved, and what must be (RFC 8461, RFC 7435)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.dns_server import txt
from tests.support.mx_world import ROUTE, World, started, world
from tests.support.smtp_server import USUAL, SmtpServer
from tests.support.system import poll

RECORDS = {
    ("one.test", "MX"): ["10 mx.one.test."],
    ("uno.test", "MX"): ["10 mx.one.test."],
    ("mx.one.test", "A"): ["127.0.0.2"],
}
WITH_POLICY = RECORDS | {
    ("_mta-sts.one.test", "TXT"): [txt("v=STSv1; id=1;")],
    ("mta-sts.one.test", "A"): ["127.0.0.1"],
}
EHLO = {"EHLO": USUAL["EHLO"].replace("250-SIZE", "250-STARTTLS\r\n250-SIZE")}


def text(mode: str = "enforce", host: str = "mx.one.test") -> str:
    return f"version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: 604800\n"


def ca(authority: Authority) -> str:
    return f'ca_file = "{authority.ca_file}"'


def with_tls(here: World, authority: Authority, name: str) -> SmtpServer:
    """A server with a certificate for a name."""
    return here.server("127.0.0.2", answers=dict(EHLO), context=authority.server(name))


def with_policy(here: World, authority: Authority, policy: str) -> None:
    """The policy of one.test."""
    here.policy(authority.server("mta-sts.one.test"), policy)


def verbs(server: SmtpServer) -> set[str]:
    """What a server was asked."""
    return {each.split(" ")[0] for each in server.commands}


def test_tls_is_used_where_it_is_offered_and_the_attempt_says_that_it_proves_nothing(
    tmp_path: Path,
) -> None:
    with world(RECORDS) as here:
        server = with_tls(here, Authority(tmp_path), "other.test")
        with started(here) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "delivered")
            assert len(server.secured) == 1
            note = here.attempts(mail)[0]["note"]
            assert note == "TLS unverified; by mx.one.test [127.0.0.2]"
            server.answers["EHLO"] = USUAL["EHLO"]
            server.hang_up()
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "delivered")
            note = here.attempts(mail)[0]["note"]
            assert note == "no TLS offered, sent in plain text; by mx.one.test [127.0.0.2]"
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


def test_a_server_that_ends_the_session_at_starttls_is_in_trouble_and_nothing_more(
    tmp_path: Path,
) -> None:
    with world(RECORDS) as here:
        server = with_tls(here, Authority(tmp_path), "mx.one.test")
        server.answers["STARTTLS"] = ["421 4.3.2 not now"]
        with started(here) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "delivered")
            assert (server.connections, len(server.secured)) == (2, 1)
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


def test_where_tls_is_required_nothing_is_sent_without_a_proof(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with world(RECORDS) as here:
        server = with_tls(here, authority, "other.test")
        route = ROUTE + 'tls = "required"\n'
        with started(here, direct=ca(authority), route=route) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "deferred")
            assert here.hops(mail) == ["mx:mx.one.test@straight"]
            assert here.last(mail) == (
                451, "4.7.5", "TLS is required: certificate not valid for this host",
            )  # fmt: skip
            assert "MAIL" not in verbs(server)
            server.context = authority.server("mx.one.test")
            here.system.wait_status(mail, "delivered")
            assert len(server.answered()) == len(server.secured) == 1
            assert here.settle_accounts(mail)[:3] == ["accepted", "rerouted", "attempt"]


def test_an_enforced_policy_is_met_by_a_valid_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with world(WITH_POLICY) as here:
        server = with_tls(here, authority, "mx.one.test")
        with_policy(here, authority, text())
        with started(here, direct=ca(authority)) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "delivered")
            assert here.hops(mail)[0].startswith("mx:mx.one.test@+sts~")
            assert len(server.secured) == 1
            assert here.attempts(mail)[0]["note"] == "by mx.one.test [127.0.0.2]"
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


@pytest.mark.parametrize("offered", [True, False])
def test_an_enforced_policy_that_is_not_met_defers_and_holds_nobody_else_up(
    tmp_path: Path, offered: bool
) -> None:
    authority = Authority(tmp_path)
    with world(WITH_POLICY) as here:
        server = with_tls(here, authority, "other.test")
        if not offered:
            server.answers.clear()
        with_policy(here, authority, text())
        with started(here, direct=ca(authority)) as here:
            mail = here.system.send(to=["a@one.test", "b@uno.test"])
            here.wait(mail, "deferred", "delivered")
            why = "certificate not valid for this host" if offered else "the server offers no TLS"
            assert here.attempts(mail)[0]["reply"] == f"MTA-STS: {why}"
            assert [each.recipients for each in server.answered()] == [["b@uno.test"]]
            assert sum(each.startswith("MAIL") for each in server.commands) == 1
            server.answers = dict(EHLO)
            server.context = authority.server("mx.one.test")
            here.wait(mail, "delivered", "delivered")
            assert here.settle_accounts(mail)[:2] == ["accepted", "rerouted"]


def test_a_policy_that_holds_no_longer_is_asked_for_before_anything_is_deferred(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    with world(WITH_POLICY) as here:
        server = with_tls(here, authority, "mx.one.test")
        context = authority.server("mta-sts.one.test")
        policies = here.policy(context, text())
        with started(here, direct=ca(authority)) as here:
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "delivered")
            server.context = authority.server("other.test")
            server.hang_up()
            policies.answer = policies.answer.replace(b"enforce", b"testing")
            here.dns.records["_mta-sts.one.test", "TXT"] = [txt("v=STSv1; id=2;")]
            mail = here.system.send(to="a@one.test")
            here.system.wait_status(mail, "delivered")
            (attempt,) = here.attempts(mail)
            assert attempt["via"] == "mx:mx.one.test"
            assert str(attempt["note"]).startswith("TLS unverified; ")
            assert "MTA-STS policy in testing mode" in str(attempt["note"])
            ledger = here.settle_accounts(mail)
            assert ledger == ["accepted", "rerouted", "rerouted", "attempt"]


def test_a_host_that_the_policy_does_not_name_is_not_asked_at_all(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with world(WITH_POLICY) as here:
        server = with_tls(here, authority, "mx.one.test")
        with_policy(here, authority, text(host="*.elsewhere.test"))
        with started(here, direct=ca(authority)) as here:
            mail = here.system.send(to="a@one.test")
            poll(lambda: here.attempts(mail))
            assert here.last(mail)[:2] == (451, "4.7.0")
            assert server.connections == 0
            assert here.settle_accounts(mail)[:2] == ["accepted", "attempt"]


def test_a_policy_in_testing_mode_holds_nothing_back_and_the_attempt_tells_of_it(
    tmp_path: Path,
) -> None:
    """RFC 8461 section 5: whatever the host proves, and whether the policy names it or not."""
    authority = Authority(tmp_path)
    records = dict(WITH_POLICY)
    for name, host in (("named", "mx.one.test"), ("other", "mx.other.test")):
        records[f"{name}.test", "MX"] = [f"10 {host}."]
        records[f"_mta-sts.{name}.test", "TXT"] = [txt("v=STSv1; id=1;")]
        records[f"mta-sts.{name}.test", "A"] = ["127.0.0.1"]
    records["mx.other.test", "A"] = ["127.0.0.3"]
    with world(records) as here:
        with_tls(here, authority, "wrong.test")
        here.server("127.0.0.3")  # No TLS at all.
        context = authority.server("mta-sts.named.test", "mta-sts.other.test")
        here.policy(context, text("testing"))
        with started(here, direct=ca(authority)) as here:
            mail = here.system.send(to=["a@named.test", "b@other.test"])
            here.system.wait_status(mail, "delivered")
            assert here.hops(mail) == ["mx:mx.one.test", "mx:mx.other.test"]
            noted = "MTA-STS policy in testing mode"
            assert [each["note"] for each in here.attempts(mail)] == [
                f"TLS unverified; by mx.one.test [127.0.0.2]; {noted}",
                f"no TLS offered, sent in plain text; by mx.other.test [127.0.0.3]; {noted}",
            ]
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt", "attempt"]
