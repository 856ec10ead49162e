"""Pools of sites: made on demand, bounded, dropped when idle, each with its own settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from shared.clock import ManualClock
from shared.hops import MxHop
from shared.relays import Relay
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from workers import sites as module
from workers.dns.dead import DeadHosts
from workers.dns.routes import Target
from workers.sites import IDLE_SECONDS, MOST_TRIED, SitePlaces, Sites
from workers.smtp import Pool
from workers.smtp.places import Place

TARGETS = (Target("mx.test", "127.0.0.2"),)


def play(work: Callable[[Sites, ManualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = ManualClock()
        sites = Sites(clock, 0.2)
        sites.apply({"": Relay(tls="opportunistic"), "own": Relay(tls="required", dkim="off")})
        await work(sites, clock)
        await sites.close()

    asyncio.run(run())


def pool(sites: Sites, site: str, route: str = "", policy: str = "") -> Pool:
    found = sites.next_hop(MxHop(site, route, policy), TARGETS).transport
    assert isinstance(found, Pool)
    return found


def test_a_pool_is_as_its_route_and_policy_say() -> None:
    async def work(sites: Sites, clock: ManualClock) -> None:
        assert pool(sites, "a.test") is pool(sites, "a.test")
        assert pool(sites, "a.test").relay.tls == "opportunistic"
        assert pool(sites, "a.test", "own").relay.tls == "required"
        strict = pool(sites, "a.test", policy="sts~x")
        assert (strict.relay.tls, strict.relay.name) == ("required", "mx:a.test@+sts~x")
        assert not sites.next_hop(MxHop("a.test", "own"), TARGETS).signed
        assert sites.source(MxHop(route="gone")) is None
        assert len(sites) == 3

    play(work)


def test_pools_that_nobody_uses_are_dropped() -> None:
    async def work(sites: Sites, clock: ManualClock) -> None:
        first = pool(sites, "a.test")
        clock.advance(IDLE_SECONDS)
        pool(sites, "b.test")
        assert len(sites) == 1
        assert pool(sites, "a.test") is not first

    play(work)


def test_there_are_never_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POOLS", 3)

    async def work(sites: Sites, clock: ManualClock) -> None:
        for number in range(10):
            pool(sites, f"{number}.test")
        assert len(sites) == 3

    play(work)


def test_only_what_changed_is_made_anew() -> None:
    async def work(sites: Sites, clock: ManualClock) -> None:
        plain, own = pool(sites, "a.test"), pool(sites, "a.test", "own")
        sites.apply({"": Relay(tls="opportunistic"), "own": Relay(tls="opportunistic")})
        assert pool(sites, "a.test") is plain
        assert pool(sites, "a.test", "own") is not own

    play(work)


def test_dead_addresses_are_passed_over_and_few_are_tried() -> None:
    places = SitePlaces(DeadHosts(ManualClock()))
    places.targets = tuple(Target("mx.test", f"127.0.1.{number}") for number in range(1, 20))
    first = places.choose()
    assert len(first) == MOST_TRIED
    assert first[0] == Place("127.0.1.1", "mx.test", "mx.test [127.0.1.1]")
    places.not_connected(first[0])
    assert places.choose()[0].address == "127.0.1.2"
    places.connected(first[0])
    assert places.choose() == first
    places.targets = (Target("[127.0.1.1]", "127.0.1.1"),)
    assert places.choose() == [Place("127.0.1.1", "127.0.1.1", "[127.0.1.1]")]


def _shaping(messages: int) -> Shaping:
    site = {"a": {"mx": ["*.a.test"], "messages_per_connection": messages, "connections": 3}}
    return Shaping(msgspec.convert({"shaping": {"site": site}}, Settings))


def test_a_pool_is_made_anew_when_shaping_makes_other_sessions_of_it() -> None:
    async def work(sites: Sites, clock: ManualClock) -> None:
        direct = {"": Relay(tls="opportunistic"), "own": Relay(tls="required")}
        sites.shapes.see("a", ("mx.a.test",))
        sites.shapes.see("b", ("mx.b.test",))
        sites.shapes.apply(_shaping(7))
        sites.apply(direct)
        first, other = pool(sites, "a"), pool(sites, "b")
        assert (first.relay.messages_per_connection, first.relay.connections) == (7, 3)
        sites.shapes.apply(_shaping(7))
        sites.apply(direct)
        assert pool(sites, "a") is first
        sites.shapes.apply(_shaping(8))
        sites.apply(direct)
        assert pool(sites, "a") is not first
        await asyncio.sleep(0)
        assert first.retired
        assert pool(sites, "a").relay.messages_per_connection == 8
        assert pool(sites, "b") is other
        assert pool(sites, "a") is pool(sites, "a")

    play(work)
