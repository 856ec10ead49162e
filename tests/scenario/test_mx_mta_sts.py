"""An MTA-STS policy over HTTPS: whose certificate, which address, what kind of answer (B12)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.clock import ManualClock
from shared.outgoing_settings import DnsSettings
from tests.support.certificates import Authority
from tests.support.dns_server import DnsServer, txt
from tests.support.policy_server import PolicyServer, plain
from workers.dns.addresses import AddressRules
from workers.dns.mta_sts import MtaSts
from workers.dns.policy_fetch import PolicyFetcher, policy_context
from workers.dns.resolver import Resolver
from workers.dns.servers import Servers
from workers.dns.sts_policy import NoPolicy, Policy

BODY = b"version: STSv1\nmode: enforce\nmx: *.shop.test\nmax_age: 604800\n"
POLICY = Policy("enforce", ("*.shop.test",), 604_800)
NAME = "mta-sts.shop.test"
RECORDS = {
    ("_mta-sts.shop.test", "TXT"): [txt("v=STSv1; id=1;")],
    (NAME, "A"): ["127.0.0.1"],
}
LOOPBACK = ("127.0.0.0/8",)


class World:
    """DNS, a policy server, and what fetches from them."""

    def __init__(self, directory: Path, *names: str, expired: bool = False) -> None:
        self.authority = Authority(directory)
        self.context = self.authority.server(*(names or (NAME,)), expired=expired)
        self.records = {key: list(value) for key, value in RECORDS.items()}
        self.answer = plain(BODY)
        self.closes = True
        self.allow: Sequence[str] = LOOPBACK
        self.seconds = 20.0
        self.ca_file = self.authority.ca_file
        self.clock = ManualClock()

    def play(self, domain: str = "shop.test") -> bytes | NoPolicy:
        """Fetch the policy once."""

        async def work() -> bytes | NoPolicy:
            async with PolicyServer(self.context, self.answer) as self.server:
                self.server.closes = self.closes
                return await self.fetcher(dns, self.server.port).fetch(domain)

        with DnsServer(self.records) as dns:
            self.asked = dns.asked
            return asyncio.run(work())

    def fetcher(self, dns: DnsServer, port: int) -> PolicyFetcher:
        self.resolver = Resolver(
            Servers(DnsSettings(servers=("127.0.0.1",), port=dns.port)), self.clock
        )
        return PolicyFetcher(
            self.resolver,
            AddressRules(self.allow),
            policy_context(self.ca_file),
            port,
            self.seconds,
        )


def refused(found: bytes | NoPolicy, word: str) -> bool:
    """Whether there is no policy, for a reason with this word in it."""
    return isinstance(found, NoPolicy) and word in found.reason


def test_the_policy_is_asked_for_by_its_hosts_name_at_the_well_known_place(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.play() == BODY
    assert world.server.names == [NAME]
    (request,) = world.server.requests
    assert request.startswith("GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert f"\r\nHost: {NAME}\r\n" in request
    assert "Cookie" not in request


def test_a_certificate_for_all_names_below_the_domain_will_do(tmp_path: Path) -> None:
    assert World(tmp_path, "*.shop.test").play() == BODY


@pytest.mark.parametrize("name", ["shop.test", "mta-sts.evil.test", "*.test", "127.0.0.1"])
def test_a_certificate_for_another_name_is_no_policy(tmp_path: Path, name: str) -> None:
    world = World(tmp_path, name)
    assert refused(world.play(), "certificate")
    assert world.server.requests == []


def test_a_name_that_is_only_the_certificates_common_name_is_no_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.context = world.authority.server("192.0.2.1", common_name=NAME)
    assert refused(world.play(), "certificate")
    assert world.server.requests == []


def test_an_expired_certificate_is_no_policy(tmp_path: Path) -> None:
    world = World(tmp_path, expired=True)
    assert refused(world.play(), "certificate")
    assert world.server.requests == []


def test_an_unknown_authority_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    world = World(tmp_path)
    world.ca_file = Authority(tmp_path / "other").ca_file
    assert refused(world.play(), "certificate")
    assert world.server.requests == []


def test_b12_a_redirect_is_not_followed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.answer = b"HTTP/1.1 302 Found\r\nLocation: https://mta-sts.shop.test/other\r\n\r\n"
    assert refused(world.play(), "302")
    assert world.server.connections == 1


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (plain(BODY).replace(b"text/plain", b"text/html"), "text/plain"),
        (plain(BODY + b"x" * 65_536), "too large"),
        (plain(BODY)[:-5], "not complete"),
        (b"", "not complete"),
        (b"220 mail.shop.test ESMTP\r\n\r\n", "not HTTP"),
    ],
)
def test_what_is_no_complete_plain_200_is_no_policy(
    tmp_path: Path, answer: bytes, word: str
) -> None:
    world = World(tmp_path)
    world.answer = answer
    assert refused(world.play(), word)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", plain(BODY)[:-5]])
def test_a_server_that_stops_in_the_middle_is_given_up_in_time(
    tmp_path: Path, answer: bytes
) -> None:
    world = World(tmp_path)
    world.answer, world.closes, world.seconds = answer, False, 0.5
    assert isinstance(world.play(), NoPolicy)


def test_a_silent_address_leaves_time_for_the_next_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.records[NAME, "A"] = ["127.0.0.2", "127.0.0.1"]
    world.seconds = 2.0
    connected: list[asyncio.StreamWriter] = []

    async def work() -> bytes | NoPolicy:
        async with PolicyServer(world.context, plain(BODY)) as server:
            silent = await asyncio.start_server(
                lambda _, writer: connected.append(writer), "127.0.0.2", server.port
            )
            found = await world.fetcher(dns, server.port).fetch("shop.test")
            silent.close()
            for each in connected:
                each.transport.abort()
            return found

    with DnsServer(world.records) as dns:
        assert asyncio.run(work()) == BODY
    assert len(connected) == 1


def test_dns_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.seconds = 0.3

    async def work() -> bytes | NoPolicy:
        return await world.fetcher(dns, 1).fetch("shop.test")

    with DnsServer(world.records) as dns:
        dns.gate.clear()
        assert refused(asyncio.run(work()), "in time")


def test_nobody_listening_is_no_policy(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.play()

    async def work() -> bytes | NoPolicy:
        return await world.fetcher(dns, world.server.port).fetch("shop.test")

    with DnsServer(RECORDS) as dns:
        assert refused(asyncio.run(work()), "reached")


@pytest.mark.parametrize(
    ("kind", "address"),
    [("A", "127.0.0.1"), ("AAAA", "::ffff:127.0.0.1"), ("A", "169.254.169.254")],
)
def test_b12_a_policy_host_inside_our_network_is_not_connected_to(
    tmp_path: Path, kind: str, address: str
) -> None:
    world = World(tmp_path)
    world.allow = ()
    del world.records[NAME, "A"]
    world.records[NAME, kind] = [address]
    assert refused(world.play(), "no address on the public internet")
    assert world.server.connections == 0


def test_b12_of_several_addresses_only_those_permitted_are_connected_to(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.allow = ("127.0.0.2",)
    world.records[NAME, "A"] = ["127.0.0.1", "127.0.0.2"]
    assert refused(world.play(), "reached")  # The server is at 127.0.0.1 alone.
    assert world.server.connections == 0


def test_b12_the_name_is_looked_up_once_and_the_address_that_was_checked_is_connected_to(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    assert world.play() == BODY  # By its name alone nobody but this DNS server would find it.
    assert world.asked == [f"{NAME} A", f"{NAME} AAAA"]


def test_another_address_is_tried_when_one_is_dead(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.records[NAME, "A"] = ["127.0.0.2", "127.0.0.1"]
    assert world.play() == BODY


def test_a_policy_host_that_is_an_alias_answers_for_the_domain(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.records[NAME, "CNAME"] = ["policies.test."]
    world.records["policies.test", "A"] = world.records.pop((NAME, "A"))
    assert world.play() == BODY


def test_record_policy_and_cache_together(tmp_path: Path) -> None:
    world = World(tmp_path)
    told: list[tuple[str, str]] = []

    async def work() -> None:
        async with PolicyServer(world.context, plain(BODY)) as server:
            fetcher = world.fetcher(dns, server.port)
            sts = MtaSts(
                world.resolver, fetcher, world.clock, on_failure=lambda *what: told.append(what)
            )
            policy = await sts.policy("shop.test")
            assert policy == POLICY
            assert policy.matches("mx1.shop.test")
            assert not policy.matches("mx.evil.test")
            assert await sts.policy("other.test") is None
            dns.records["_mta-sts.shop.test", "TXT"] = [txt("v=STSv1; id=2;")]
            server.answer = b"HTTP/1.1 500 Oops\r\n\r\n"
            assert await sts.policy("shop.test", fresh=True) == POLICY
            assert told == [("shop.test", "the answer is 500")]
            dns.failing["_mta-sts.shop.test"] = "SERVFAIL"
            world.clock.advance(604_799)
            assert await sts.policy("shop.test") == POLICY
            world.clock.advance(1)
            assert await sts.policy("shop.test") is None
            assert len(server.requests) == 2

    with DnsServer(world.records) as dns:
        asyncio.run(work())
