"""The order in which hosts and addresses are tried, and bounds on how many."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from shared.clock import ManualClock
from workers.dns.addresses import AddressRules
from workers.dns.answers import Found, Kind, NoData, NoSuchName, Temporary, Told
from workers.dns.mx import MOST_ADDRESSES, MOST_HOSTS, Family, MxRouter, OwnHost
from workers.dns.resolver import Resolver
from workers.dns.routes import Deferral, Route


class Zone:
    """An upstream with these records."""

    def __init__(self, records: dict[tuple[str, str], list[str]]) -> None:
        self.records = records
        self.asked: list[str] = []

    async def ask(self, name: str, kind: Kind) -> Told:
        self.asked.append(f"{name} {kind}")
        found = self.records.get((name, kind))
        return Told(Found(tuple(found), name) if found else NoSuchName(), 60)


def routes(zone: Zone, times: int, families: tuple[Family, ...] = ("AAAA", "A")) -> list[Route]:
    """A domain's route, as often as asked for; all from one cache."""

    async def work() -> list[Route]:
        resolver = Resolver(zone, ManualClock())
        router = MxRouter(resolver, AddressRules(), OwnHost(), random.Random(7), families)
        found = [await router.route("a.test") for _ in range(times)]
        return [each for each in found if isinstance(each, Route)]

    found = asyncio.run(work())
    assert len(found) == times
    return found


EQUALS = Zone(
    {
        ("a.test", "MX"): ["20 last.test.", "10 one.test.", "10 two.test.", "5 first.test."],
        ("first.test", "A"): ["1.1.1.1"],
        ("one.test", "A"): ["1.1.1.2"],
        ("two.test", "A"): ["1.1.1.3"],
        ("last.test", "A"): ["1.1.1.4"],
    }
)


def test_hosts_go_by_preference_and_equals_take_turns_from_one_cached_answer() -> None:
    orders = Counter(tuple(host.name for host in each.hosts) for each in routes(EQUALS, 200))
    assert set(orders) == {
        ("first.test", "one.test", "two.test", "last.test"),
        ("first.test", "two.test", "one.test", "last.test"),
    }
    assert min(orders.values()) > 60
    assert EQUALS.asked.count("a.test MX") == 1


def test_the_site_is_the_same_whatever_the_order() -> None:
    assert len({each.site for each in routes(EQUALS, 50)}) == 1


def test_families_take_turns_so_that_two_addresses_try_both() -> None:
    zone = Zone(
        {
            ("a.test", "MX"): ["10 mx.test."],
            ("mx.test", "A"): ["1.1.1.1", "1.1.1.2", "1.1.1.3"],
            ("mx.test", "AAAA"): ["2606:4700::1", "2606:4700::2"],
        }
    )
    seen = [each.hosts[0].addresses for each in routes(zone, 50)]
    for addresses in seen:
        assert [":" in each for each in addresses] == [True, False, True, False, False]
    assert {addresses[1] for addresses in seen} == {"1.1.1.1", "1.1.1.2", "1.1.1.3"}


@pytest.mark.parametrize(("families", "kinds"), [(("A",), {"A"}), (("A", "AAAA"), {"A", "AAAA"})])
def test_only_families_that_this_host_has_are_asked_for(
    families: tuple[Family, ...], kinds: set[str]
) -> None:
    zone = Zone({("a.test", "MX"): ["10 mx.test."], ("mx.test", "A"): ["1.1.1.1"],
                 ("mx.test", "AAAA"): ["2606:4700::1"]})  # fmt: skip
    (route,) = routes(zone, 1, families)
    assert {each.split()[1] for each in zone.asked[1:]} == kinds
    assert route.targets()[0].address == "1.1.1.1"


def test_a_domain_with_hundreds_of_hosts_and_addresses_costs_a_few_questions() -> None:
    hosts = [f"mx{number}.test" for number in range(300)]
    zone = Zone({("a.test", "MX"): [f"10 {host}." for host in hosts]})
    for host in hosts:
        zone.records[host, "A"] = [f"1.1.{number}.1" for number in range(200)]
    (route,) = routes(zone, 1, ("A",))
    assert len(zone.asked) == 1 + MOST_HOSTS
    assert len(route.hosts) == MOST_HOSTS
    assert {len(host.addresses) for host in route.hosts} == {MOST_ADDRESSES}


class Answer:
    """An upstream that answers this."""

    def __init__(self, told: object) -> None:
        self.told = told
        self.asked: list[str] = []

    async def ask(self, name: str, kind: Kind) -> Told:
        self.asked.append(f"{name} {kind}")
        return Told(self.told, 60)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("domain", "told", "hosts"),
    [
        ("Shop.test", Found(("10 MX.one.test.", "20 two.test."), "shop.test"),
         ("mx.one.test", "two.test")),
        ("shop.test", NoData("alias.test"), ("alias.test",)),
        ("shop.test", NoSuchName(), ()),
        ("shop.test", Found(("0 .",), "shop.test"), ()),
        ("shop.test", Temporary("no answer"), Deferral(451, "4.4.3", "no answer")),
        ("a..b", NoSuchName(), ()),
        ("[192.0.2.1]", NoSuchName(), ("[192.0.2.1]",)),
    ],
)  # fmt: skip
def test_the_names_of_a_domains_hosts_take_one_question_at_most(
    domain: str, told: object, hosts: object
) -> None:
    zone = Answer(told)
    resolver = Resolver(zone, ManualClock())
    router = MxRouter(resolver, AddressRules(), OwnHost(), random.Random(7))
    assert asyncio.run(router.hosts(domain)) == hosts
    assert set(zone.asked) <= {"shop.test MX"}
