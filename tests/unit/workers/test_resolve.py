"""The stage that resolves: what becomes of a leg, by where its recipients' domains go."""

from __future__ import annotations

import asyncio

from shared.clock import ManualClock
from shared.model.leg import Leg, LegState
from shared.model.message import Address, Head, Recipient
from shared.model.status import Status
from shared.relays import Relay
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

    def of(self, families: tuple[Family, ...]) -> Router:
        """The router for some families."""
        self.families.add(families)
        return self

    async def route(self, domain: str) -> Routed:
        """What there is."""
        self.asked.append(domain)
        return ROUTES[domain]


def resolve(
    hop: str, *domains: str, statuses: tuple[Status, ...] = (), router: Router | None = None
) -> Resolved | None:
    people = tuple(Recipient("to", f"{number}@{domain}") for number, domain in enumerate(domains))
    head = Head("shop", "transactional", "", Address("x@shop.test"), "", people, "", 0)
    leg = Leg(LegState.LEASED, "transactional", hop, statuses or (Q,) * len(people))

    async def work() -> Resolved | None:
        clock = ManualClock()
        sites = Sites(clock, 0.2)
        sites.apply({"": Relay(tls="opportunistic"), "six": Relay(source_address="2001:db8::1")})
        ways = Ways((router or Router()).of, None, clock)
        return await Resolve(ways, sites).leg(leg, head)

    return asyncio.run(work())


def parts(found: object) -> list[tuple[str, tuple[int, ...]]]:
    assert isinstance(found, tuple)
    return [(leg.hop, leg.recipients) for leg in found]


def test_recipients_part_by_site_and_those_without_a_way_stay_together() -> None:
    found = resolve("mx:?", "a.test", "b.test", "none.test", "also-a.test", "later.test")
    assert parts(found) == [("mx:a", (0, 3)), ("mx:b", (1,)), ("mx:?", (2, 4))]


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
