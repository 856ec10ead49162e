"""Direct delivery: which site each recipient of a leg goes to. The stage before all that render.

A leg whose recipients all go to the site in its hop is delivered there. One whose recipients all
have no way is settled: DNS says that there is none (bounced), or says nothing (deferred). Every
other one gives way to legs that are one or the other, in one step of the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from shared.hops import MxHop, mx_hop
from shared.hosts import address
from shared.model.leg import Leg, RecipientReply
from shared.model.message import Head
from shared.model.status import Status
from workers.classify import Verdict
from workers.dns.mx import Family
from workers.dns.routes import Bounce, Deferral
from workers.dns.ways import Found, Way, Ways
from workers.route import NextHop, parted
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

    def __init__(self, ways: Ways, sites: Sites) -> None:
        self._ways = ways
        self._sites = sites

    async def leg(self, leg: Leg, head: Head) -> Resolved | None:
        """What becomes of a leg; None: it is none of direct delivery, or its route is gone."""
        hop = mx_hop(leg.hop)
        source = self._sites.source(hop) if hop is not None else None
        if hop is None or source is None:
            return None
        indices = leg.open_indices()
        domains = {index: _domain(head, index) for index in indices}
        found = await self._found(sorted(set(domains.values())), _families(source))
        legs = _legs(leg, {index: _hop(hop, found[domains[index]]) for index in indices})
        if len(legs) > 1:
            return legs
        ways = {domain: way for domain, way in found.items() if isinstance(way, Way)}
        if not ways:
            return _settled({index: found[domains[index]] for index in indices})
        if legs[0].hop != leg.hop:
            return legs
        first = next(iter(ways.values()))
        return Onward(self._sites.next_hop(hop, first.targets), ways)

    async def _found(self, domains: list[str], families: tuple[Family, ...]) -> dict[str, Found]:
        ways = await asyncio.gather(*(self._ways.find(each, families) for each in domains))
        return dict(zip(domains, ways, strict=True))

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


def _domain(head: Head, index: int) -> str:
    return head.recipients[index].email.rpartition("@")[2].lower()


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


def _legs(leg: Leg, hops: Mapping[int, str]) -> tuple[Leg, ...]:
    """The leg by the hops of its open recipients; the others stay with the first of these."""
    first = next(iter(hops.values()))
    return parted(leg, [hops.get(index, first) for index in leg.indices()])


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
