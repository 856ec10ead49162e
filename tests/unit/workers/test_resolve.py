"""The stage that resolves: what becomes of a leg, by where its recipients' domains go."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.clock import ManualClock
from shared.model.leg import Leg, LegState
from shared.model.message import Address, Head, Recipient
from shared.model.status import Status
from shared.relays import Relay
from shared.routing import UNDECIDED_HOP, Routes
from shared.settings import Settings
from workers.classify import Verdict
from workers.dns.mx import Family
from workers.dns.routes import Bounce, Deferral, MxHost, Route, Routed
from workers.dns.ways import Ways
from workers.resolve import Onward, Resolve, Resolved
from workers.sites import Sites

ROUTES: dict[str, Routed] = {
    "a.test": Route("a", (MxHost(10, "mx.a.test", ("1.1.1.1",)),)),
    "also-a.test": Route("a", (MxHost(10, "mx.a.test", ("1.1.1.1",)),)),
    "b.test": Route("b", (MxHost(10, "mx.b.test", ("1.1.1.2",)),)),
    "none.test": Bounce(550, "5.1.2", "no such domain"),
    "later.test": Deferral(451, "4.4.3", "no answer"),
}
Q, D = Status.QUEUED, Status.DELIVERED


class Router:
    """DNS of the test."""

    def __init__(self) -> None:
        self.families: set[tuple[Family, ...]] = set()
        self.asked: list[str] = []
        self.named: list[str] = []

    def of(self, families: tuple[Family, ...]) -> Router:
        """The router for some families."""
        self.families.add(families)
        return self

    async def route(self, domain: str) -> Routed:
        """What there is."""
        self.asked.append(domain)
        return ROUTES[domain]

    async def hosts(self, domain: str) -> tuple[str, ...] | Deferral:
        """The names there are."""
        self.named.append(domain)
        found = ROUTES[domain]
        if isinstance(found, Deferral):
            return found
        return tuple(each.name for each in found.hosts) if isinstance(found, Route) else ()


def resolve(
    hop: str,
    *domains: str,
    statuses: tuple[Status, ...] = (),
    router: Router | None = None,
    routes: tuple[dict[str, Any], ...] = (),
    verp: bool = False,
) -> Resolved | None:
    people = tuple(Recipient("to", f"{number}@{domain}") for number, domain in enumerate(domains))
    sender = "x@shop.test"
    head = Head("shop", "transactional", "", Address(sender), sender, people, "", 0)
    leg = Leg(LegState.LEASED, "transactional", hop, statuses or (Q,) * len(people))

    named = [{"name": f"r{number}"} | each for number, each in enumerate(routes)]
    relays = [{"name": name, "host": "127.0.0.1"} for name in ("main", "eu")]
    bounces = {"domains": ["b.shop.test"] if verp else []}
    values = {"relay": relays, "route": named, "bounces": bounces}
    found = Routes(msgspec.convert(values, Settings))

    async def work() -> Resolved | None:
        clock = ManualClock()
        sites = Sites(clock, 0.2)
        sites.apply({"": Relay(tls="opportunistic"), "six": Relay(source_address="2001:db8::1")})
        ways = Ways((router or Router()).of, None, clock)
        return await Resolve(ways, sites, lambda: found).leg(leg, head)

    return asyncio.run(work())


def parts(found: object) -> list[tuple[str, tuple[int, ...]]]:
    assert isinstance(found, tuple)
    return [(leg.hop, leg.recipients) for leg in found]


def test_recipients_part_by_site_and_those_without_a_way_stay_together() -> None:
    found = resolve("mx:?", "a.test", "b.test", "none.test", "also-a.test", "later.test")
    assert parts(found) == [("mx:a", (0, 3)), ("mx:b", (1,)), ("mx:?", (2, 4))]


def test_where_return_paths_are_ours_each_recipient_goes_alone() -> None:
    found = resolve("mx:?", "a.test", "none.test", "also-a.test", verp=True)
    assert parts(found) == [("mx:a", (0,)), ("mx:?", (1,)), ("mx:a", (2,))]
    assert isinstance(resolve("mx:a", "a.test", verp=True), Onward)
    off = ({"direct": True, "verp": "off"},)
    found = resolve("mx:a", "a.test", "also-a.test", verp=True, routes=off)
    assert isinstance(found, Onward)


def test_a_leg_of_its_site_goes_on_and_one_of_another_moves() -> None:
    found = resolve("mx:a", "a.test", "also-a.test")
    assert isinstance(found, Onward)
    assert found.next_hop.direct
    assert parts(resolve("mx:a", "b.test")) == [("mx:b", (0,))]
    assert parts(resolve("mx:a", "a.test", "b.test")) == [("mx:a", (0,)), ("mx:b", (1,))]


def test_a_leg_without_any_way_is_settled_wherever_it_stands() -> None:
    for hop in ("mx:?", "mx:a"):
        found = resolve(hop, "none.test", "later.test")
        assert isinstance(found, Verdict)
        told = [(each.status, each.code, each.enhanced) for each in found.replies]
        assert told == [("b", 550, "5.1.2"), ("f", 451, "4.4.3")]
        assert not found.relay_trouble


def test_recipients_that_are_done_ask_for_nothing_and_are_not_lost() -> None:
    router = Router()
    found = resolve("mx:?", "b.test", "a.test", statuses=(D, Q), router=router)
    assert parts(found) == [("mx:a", (0, 1))]
    assert router.asked == ["a.test"]


def test_each_domain_is_asked_for_once_in_the_family_of_the_source() -> None:
    router = Router()
    assert parts(resolve("mx:?@six", "a.test", "A.test", router=router)) == [("mx:a@six", (0, 1))]
    assert (router.asked, router.families) == (["a.test"], {("AAAA",)})


def test_what_is_none_of_direct_delivery_or_has_no_route_any_more_is_left_alone() -> None:
    assert resolve("relay", "a.test") is None
    assert resolve("mx:?@gone", "a.test") is None


A_BY_RELAY = {"sites": ["*.a.test"], "relay": "eu"}
DIRECT = {"direct": True}
SIX = {"direct": True, "source_address": "2001:db8::1", "name": "six"}


def test_the_site_decides_and_each_recipient_goes_its_own_way() -> None:
    router = Router()
    domains = ("a.test", "b.test", "none.test", "also-a.test", "later.test")
    found = resolve(UNDECIDED_HOP, *domains, router=router, routes=(A_BY_RELAY, DIRECT))
    assert parts(found) == [("eu", (0, 3)), ("mx:b", (1,)), (UNDECIDED_HOP, (2, 4))]
    assert (sorted(router.named), router.asked) == (sorted(domains), ["b.test", "none.test"])


def test_a_direct_route_is_gone_in_the_family_of_its_source() -> None:
    router = Router()
    routes = ({"sites": ["mx.a.test"], **SIX}, DIRECT)
    found = resolve(UNDECIDED_HOP, "a.test", "b.test", router=router, routes=routes)
    assert parts(found) == [("mx:a@six", (0,)), ("mx:b", (1,))]
    assert {("AAAA",), ("AAAA", "A")} <= router.families


def test_whom_no_site_is_known_of_is_settled_as_elsewhere() -> None:
    found = resolve(
        UNDECIDED_HOP, "none.test", "later.test", routes=({"sites": ["*.a.test"], **DIRECT}, DIRECT)
    )
    assert isinstance(found, Verdict)
    told = [(each.status, each.code, each.enhanced) for each in found.replies]
    assert told == [("b", 550, "5.1.2"), ("f", 451, "4.4.3")]


def test_without_a_site_the_next_route_is_asked_and_a_relay_takes_it() -> None:
    assert parts(resolve(UNDECIDED_HOP, "none.test", "a.test", routes=(A_BY_RELAY,))) == [
        ("main", (0,)),
        ("eu", (1,)),
    ]


def test_dns_is_not_asked_when_the_routes_that_wanted_it_are_gone() -> None:
    router = Router()
    assert parts(resolve(UNDECIDED_HOP, "later.test", router=router)) == [("main", (0,))]
    assert (router.named, router.asked) == ([], [])


def test_those_who_are_done_go_along() -> None:
    found = resolve(UNDECIDED_HOP, "b.test", "a.test", statuses=(D, Q), routes=(A_BY_RELAY, DIRECT))
    assert parts(found) == [("eu", (0, 1))]
