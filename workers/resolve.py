"""Direct delivery: which site each recipient of a leg goes to. The stage before all that render.

A leg whose recipients all go to the site in its hop is delivered there. One whose recipients all
have no way is settled: DNS says that there is none (bounced), or says nothing (deferred). Every
other one gives way to legs that are one or the other, in one step of the store. A leg that awaits a
route which matches on the site goes where the routes say then, to a relay too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec

from shared.hops import MxHop, mx_hop
from shared.hosts import address
from shared.model.leg import Leg, RecipientReply
from shared.model.message import Head
from shared.model.status import Status
from shared.parting import portioned
from shared.routing import UNDECIDED_HOP, Routes, mail_domain
from workers.classify import Verdict
from workers.dns.mx import Family
from workers.dns.routes import Bounce, Deferral
from workers.dns.ways import Found, Way, Ways
from workers.route import NextHop
from workers.sites import Sites
from workers.smtp.types import Transaction

NOT_SECURE = (451, "4.7.5")
"""What is told of a host that did not prove what it has to (RFC 3463: cryptographic failure)."""
TESTING = "MTA-STS policy in testing mode"


class Onward(msgspec.Struct, frozen=True):
    """It is delivered: there, its domains having these ways."""

    next_hop: NextHop
    ways: Mapping[str, Way]

    @property
    def must_be_secure(self) -> bool:
        """Whether a host that has not proved who it is gets nothing, and mail is deferred."""
        return self.next_hop.must_be_secure

    @property
    def note(self) -> str:
        """What an attempt says of the way, whatever it came to."""
        return TESTING if any(way.testing for way in self.ways.values()) else ""


Resolved = Onward | Verdict | tuple[Leg, ...]
"""Delivered on, settled at once, or replaced."""


class Resolve:
    """The stage."""

    def __init__(self, ways: Ways, sites: Sites, routes: Callable[[], Routes]) -> None:
        """`routes` gives those that hold now, together with what `sites` has."""
        self._ways = ways
        self._sites = sites
        self._routes = routes

    async def leg(self, leg: Leg, head: Head) -> Resolved | None:
        """What becomes of a leg; None: it is none of direct delivery, or its route is gone."""
        hop = mx_hop(leg.hop)
        if hop is not None and hop.undecided:
            return await self._decided(leg, head)
        source = self._sites.source(hop) if hop is not None else None
        if hop is None or source is None:
            return None
        indices = leg.open_indices()
        domains = {index: mail_domain(head.recipients[index]) for index in indices}
        found = await self._found(set(domains.values()), _families(source))
        hops = {index: _hop(hop, found[domains[index]]) for index in indices}
        legs = self._legs(leg, head, hops)
        if len(legs) > 1:
            return legs
        ways = {domain: way for domain, way in found.items() if isinstance(way, Way)}
        if not ways:
            return _settled({index: found[domains[index]] for index in indices})
        if legs[0].hop != leg.hop:
            return legs
        first = next(iter(ways.values()))
        return Onward(self._sites.next_hop(hop, first.targets), ways)

    async def _decided(self, leg: Leg, head: Head) -> Resolved:
        """By the routes as they are now, for each recipient: DNS is asked where they need it. Who
        stays is bounced or deferred, once nobody else is in the leg."""
        indices = leg.open_indices()
        domains = {index: mail_domain(head.recipients[index]) for index in indices}
        hosts = await self._hosts(
            domains[index]
            for index, hop in zip(indices, self._routes().hops_of(head, indices), strict=True)
            if hop == UNDECIDED_HOP
        )
        known = {domain: each for domain, each in hosts.items() if not isinstance(each, Deferral)}
        hops = dict(zip(indices, self._routes().hops_of(head, indices, known), strict=True))
        found = await self._directly({i: (hops[i], domains[i]) for i in indices})
        stay: dict[int, Found] = {}
        for index in indices:
            way, unknown = found.get(index), hosts.get(domains[index])
            if isinstance(way, Way):
                hops[index] = _hop(mx_hop(hops[index]) or MxHop(), way)
            elif way is not None:
                hops[index], stay[index] = leg.hop, way
            elif hops[index] == leg.hop and isinstance(unknown, Deferral):
                stay[index] = unknown
        return _settled(stay) if len(stay) == len(indices) else self._legs(leg, head, hops)

    def _legs(self, leg: Leg, head: Head, hops: Mapping[int, str]) -> tuple[Leg, ...]:
        """The leg by the hops of its open recipients, as many in each as the hop takes at once."""
        shapes = self._sites.shapes
        apart = shapes.apart(hops, head) | self._routes().alone(head, hops)
        return portioned(leg, hops, shapes.most_recipients, apart)

    async def _hosts(self, domains: Iterable[str]) -> dict[str, tuple[str, ...] | Deferral]:
        each = sorted(set(domains))
        found = await asyncio.gather(*map(self._ways.hosts, each))
        return dict(zip(each, found, strict=True))

    async def _directly(self, legs: Mapping[int, tuple[str, str]]) -> dict[int, Found]:
        """The ways of those of these (hop, domain) that go directly, asked for by their source."""
        by_source: dict[str, set[str]] = {}
        sources: dict[int, str] = {}
        for index, (name, domain) in legs.items():
            hop = mx_hop(name)
            source = self._sites.source(hop) if hop is not None else None
            if source is not None:
                sources[index] = source
                by_source.setdefault(source, set()).add(domain)
        found = {each: await self._found(of, _families(each)) for each, of in by_source.items()}
        return {index: found[source][legs[index][1]] for index, source in sources.items()}

    async def _found(
        self, domains: Iterable[str], families: tuple[Family, ...]
    ) -> dict[str, Found]:
        each = sorted(set(domains))
        ways = await asyncio.gather(*(self._ways.find(one, families) for one in each))
        for way in ways:
            if isinstance(way, Way):
                self._sites.shapes.see(way.site, way.hosts)
        return dict(zip(each, ways, strict=True))

    async def is_other(self, onward: Onward) -> bool:
        """Whether a domain's policy is another one by now than the one that was obeyed."""
        ways = onward.ways.items()
        return any(await asyncio.gather(*(self._ways.is_other(*each) for each in ways)))


def not_secure(onward: Onward, transaction: Transaction, indices: tuple[int, ...]) -> Verdict:
    """No host has proved what it has to: nothing was sent, and it is tried again."""
    enforced = any(way.enforced for way in onward.ways.values())
    asked = "MTA-STS" if enforced else "TLS is required"
    reply = transaction.trouble_reply
    why = transaction.trouble if reply is None else f"STARTTLS was answered with {reply.code}"
    text = f"{asked}: {why}"
    replies = tuple(
        RecipientReply(index, Status.DEFERRED.letter, *NOT_SECURE, text) for index in indices
    )
    return Verdict(replies, False, f"by {transaction.place}" if transaction.place else "")


def _families(source: str) -> tuple[Family, ...]:
    """What can be connected to from an address; empty: from any."""
    found = address(source) if source else None
    if found is None:
        return ("AAAA", "A")
    return ("AAAA",) if found.version == 6 else ("A",)


def _hop(hop: MxHop, found: Found) -> str:
    if isinstance(found, Way):
        return MxHop(found.site, hop.route, found.policy).hop
    return MxHop(route=hop.route).hop


def _settled(found: Mapping[int, Found]) -> Verdict:
    return Verdict(
        tuple(
            RecipientReply(
                index,
                Status.BOUNCED.letter if isinstance(each, Bounce) else Status.DEFERRED.letter,
                each.code,
                each.enhanced,
                each.text,
            )
            for index, each in found.items()
            if isinstance(each, Bounce | Deferral)
        ),
        False,
    )
