"""What a DNS server says becomes a value, with the time that it may be kept."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from shared.clock import ManualClock
from shared.outgoing_settings import DnsSettings
from tests.support.dns_server import DnsServer, txt
from workers.dns.answers import Found, Kind, NoData, NoSuchName, Temporary, Told
from workers.dns.resolver import Resolver
from workers.dns.servers import Servers

RECORDS = {
    ("shop.test", "MX"): ["10 mx.shop.test."],
    ("shop.test", "TXT"): [txt("v=spf1 ", "-all"), txt("ä")],
    ("www.shop.test", "CNAME"): ["Shop.test."],
    ("lost.shop.test", "CNAME"): ["nowhere.test."],
    ("round.test", "CNAME"): ["about.test."],
    ("about.test", "CNAME"): ["round.test."],
    ("large.test", "MX"): [f"{number} mx{number}.a-rather-long-name.test." for number in range(40)],
    **{(f"{number}.chain.test", "CNAME"): [f"{number + 1}.chain.test."] for number in range(20)},
    ("20.chain.test", "MX"): ["10 mx.shop.test."],
}


def servers(server: DnsServer, seconds: float = 10.0) -> Servers:
    settings = DnsSettings(servers=("127.0.0.1",), port=server.port, timeout_seconds=seconds)
    return Servers(settings)


def told(server: DnsServer, name: str, kind: Kind, seconds: float = 10.0) -> Told:
    return asyncio.run(servers(server, seconds).ask(name, kind))


def test_records_are_found_with_their_time_to_live() -> None:
    with DnsServer(RECORDS) as server:
        server.ttls["shop.test", "MX"] = 77
        answer = told(server, "shop.test", "MX")
    assert answer == Told(Found(("10 mx.shop.test.",), "shop.test"), 77)


def test_strings_of_a_txt_record_are_joined_and_decoded() -> None:
    with DnsServer(RECORDS) as server:
        answer = told(server, "shop.test", "TXT").answer
    assert isinstance(answer, Found)
    assert sorted(answer.records) == ["v=spf1 -all", "ä"]


def test_an_alias_is_followed_and_the_shortest_time_counts() -> None:
    with DnsServer(RECORDS) as server:
        server.ttls["www.shop.test", "CNAME"] = 33
        assert told(server, "www.shop.test", "MX") == Told(
            Found(("10 mx.shop.test.",), "shop.test"), 33
        )
        assert told(server, "www.shop.test", "A").answer == NoData("shop.test")
        assert told(server, "lost.shop.test", "A").answer == NoSuchName()


@pytest.mark.parametrize("name", ["round.test", "0.chain.test"])
def test_aliases_without_an_end_are_a_temporary_failure(name: str) -> None:
    with DnsServer(RECORDS) as server:
        assert isinstance(told(server, name, "MX", 1.0).answer, Temporary)
        assert isinstance(told(server, "10.chain.test", "MX").answer, Found)


@pytest.mark.parametrize("soa", [(120, 900), (900, 120)])
def test_a_denial_is_kept_for_the_lesser_of_the_soas_times(soa: tuple[int, int]) -> None:
    with DnsServer(RECORDS) as server:
        server.denial = soa
        assert told(server, "nowhere.test", "MX") == Told(NoSuchName(), 120)
        assert told(server, "shop.test", "A") == Told(NoData("shop.test"), 120)


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
def test_a_server_that_cannot_answer_is_a_temporary_failure(rcode: str) -> None:
    with DnsServer(RECORDS) as server:
        server.failing["shop.test"] = rcode
        assert isinstance(told(server, "shop.test", "MX").answer, Temporary)
        server.failing.clear()
        assert isinstance(told(server, "shop.test", "MX").answer, Found)


def test_a_silent_server_is_a_temporary_failure() -> None:
    with DnsServer(RECORDS) as server:
        server.silent = True
        answer = told(server, "shop.test", "MX", 0.2).answer
    assert answer == Temporary("no DNS server has answered in time")


def test_nobody_listening_is_a_temporary_failure() -> None:
    with DnsServer(RECORDS) as server:
        pass
    assert isinstance(told(server, "shop.test", "MX", 0.5).answer, Temporary)


@pytest.mark.parametrize("first", ["nobody", "silent"])
def test_the_second_server_is_asked_where_the_first_does_not_answer(first: str) -> None:
    with DnsServer(RECORDS) as server, socket.socket(type=socket.SOCK_DGRAM) as silent:
        if first == "silent":
            silent.bind(("127.0.0.3", server.port))
        both = DnsSettings(servers=("127.0.0.3", "127.0.0.1"), port=server.port, timeout_seconds=1)
        answer = asyncio.run(Servers(both).ask("shop.test", "MX")).answer
    assert isinstance(answer, Found)


def test_the_systems_servers_are_read_again_after_a_failure(tmp_path: Path) -> None:
    system = tmp_path / "resolv.conf"
    asked = Servers(DnsSettings(timeout_seconds=0.5), str(system))

    async def trouble() -> str:
        answer = (await asked.ask("shop.test", "MX")).answer
        return answer.reason if isinstance(answer, Temporary) else "none"

    async def work() -> None:
        assert "configured" in await trouble()
        system.write_text("nameserver 127.53.53.53\n")  # Nobody listens there.
        assert "configured" not in await trouble()
        system.write_text("")
        assert "configured" in await trouble()

    asyncio.run(work())


def test_what_does_not_fit_comes_by_tcp() -> None:
    with DnsServer(RECORDS) as server:
        answer = told(server, "large.test", "MX").answer
        assert isinstance(answer, Found)
        assert len(answer.records) == 40
        assert server.by_tcp == ["large.test MX"]


@pytest.mark.parametrize("name", ["a" * 64 + ".test", ".".join(["a" * 60] * 5), "a..test"])
def test_a_name_that_no_zone_can_have_is_not_asked_for(name: str) -> None:
    with DnsServer(RECORDS) as server:
        assert told(server, name, "MX").answer == NoSuchName()
        assert server.asked == []


def test_a_domain_is_asked_about_once_until_its_time_is_over() -> None:
    async def work(server: DnsServer) -> None:
        clock = ManualClock()
        resolver = Resolver(servers(server), clock)
        server.gate.clear()
        asking = [asyncio.create_task(resolver.look_up("shop.test", "MX")) for _ in range(20)]
        while not server.asked:
            await asyncio.sleep(0)
        server.gate.set()
        assert len({await each for each in asking}) == 1
        clock.advance(59.9)
        await resolver.look_up("shop.test", "MX")
        assert server.asked == ["shop.test MX"]
        clock.advance(0.1)
        await resolver.look_up("shop.test", "MX")
        assert server.asked == ["shop.test MX"] * 2

    with DnsServer(RECORDS) as server:
        asyncio.run(work(server))
