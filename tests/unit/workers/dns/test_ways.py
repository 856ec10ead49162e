"""Ways: which of a domain's hosts its policy leaves, and that a site stays for a while."""

from __future__ import annotations

import asyncio

import pytest

from shared.clock import ManualClock
from workers.dns.routes import Bounce, Deferral, MxHost, Route, Routed, Target
from workers.dns.sts_policy import Policy
from workers.dns.ways import NO_SUCH_HOST, REMEMBERED_SECONDS, STEADY_SECONDS, Way, Ways

ROUTE = Route("site", (MxHost(10, "a.test", ("1.1.1.1",)), MxHost(20, "b.test", ("1.1.1.2",))))
HOSTS = ("a.test", "b.test")
A, B = Target("a.test", "1.1.1.1"), Target("b.test", "1.1.1.2")


class World:
    """DNS that answers what a test says, and the policy it says."""

    def __init__(self, *policies: Policy | None) -> None:
        self.routed: Routed = ROUTE
        self.policies = list(policies)
        self.asked: list[bool] = []
        self.clock = ManualClock()
        self.ways = Ways(lambda _: self, self, self.clock)

    async def route(self, domain: str) -> Routed:
        """The route there is."""
        return self.routed

    async def hosts(self, domain: str) -> tuple[str, ...] | Deferral:
        """None of these tests asks for names."""
        raise AssertionError(domain)

    async def policy(self, domain: str, *, fresh: bool = False) -> Policy | None:
        """The next one; the last one stays."""
        self.asked.append(fresh)
        return self.policies.pop(0) if len(self.policies) > 1 else self.policies[0]

    def find(self) -> object:
        """The way of a domain."""
        return asyncio.run(self.ways.find("shop.test"))


def enforce(*hosts: str) -> Policy:
    return Policy("enforce", hosts, 86_400)


def test_without_a_policy_every_host_is_in_the_way() -> None:
    assert World(None).find() == Way("site", (A, B), hosts=HOSTS)


def test_a_testing_policy_is_only_noted() -> None:
    assert World(Policy("testing", ("x.test",), 60)).find() == Way(
        "site", (A, B), testing=True, hosts=HOSTS
    )


def test_of_an_enforced_one_the_hosts_it_names_are_left() -> None:
    policy = enforce("b.test")
    found = World(policy).find()
    assert found == Way("site", (B,), policy, hosts=HOSTS)


def test_where_it_names_none_it_is_asked_for_anew_and_then_that_is_a_deferral() -> None:
    world = World(enforce("x.test"))
    assert world.find() == NO_SUCH_HOST
    assert world.asked == [False, True]
    renewed = enforce("a.test")
    assert World(enforce("x.test"), renewed).find() == Way("site", (A,), renewed, hosts=HOSTS)


def test_why_there_is_no_way_is_passed_on_and_no_policy_asked_for() -> None:
    world = World(None)
    world.routed = Bounce(550, "5.1.2", "no")
    assert world.find() == world.routed
    assert world.asked == []


def test_what_a_policy_is_called_rests_on_the_hosts_it_names() -> None:
    names = [
        Way("s", (A,), policy).policy
        for policy in (enforce("a.test", "b.test"), enforce("b.test", "a.test"), enforce("a.test"))
    ]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("sts~")
    assert Way("s", (A,)).policy == ""


def test_a_domain_that_names_other_hosts_each_time_keeps_its_site_for_a_while() -> None:
    world = World(None)
    world.find()
    other = Route("other", (MxHost(10, "c.test", ("1.1.1.3",)),))
    world.routed = other
    world.clock.advance(STEADY_SECONDS - 1)
    assert world.find() == Way("site", (A, B), hosts=HOSTS)
    world.clock.advance(1)
    assert world.find() == Way("other", other.targets(), hosts=("c.test",))


def test_a_way_is_remembered_for_seconds_unless_its_policy_is_another() -> None:
    policy = enforce("a.test")
    world = World(policy)
    found = world.find()
    world.policies = [None]
    world.routed = Bounce(550, "5.1.2", "no")
    assert world.find() == found
    assert isinstance(found, Way)
    assert asyncio.run(world.ways.is_other("shop.test", found))
    assert world.find() == world.routed
    world.routed = ROUTE
    world.find()
    world.clock.advance(REMEMBERED_SECONDS)
    world.routed = Bounce(550, "5.1.2", "no")
    assert world.find() == world.routed


@pytest.mark.parametrize(
    ("now", "other"),
    [(None, True), (Policy("testing", ("a.test",), 60), True), (enforce("a.test"), False)],
)
def test_whether_another_policy_holds_by_now(now: Policy | None, other: bool) -> None:
    world = World(now)
    way = Way("site", (A,), enforce("a.test"))
    assert asyncio.run(world.ways.is_other("shop.test", way)) is other
    assert world.asked == [True]
