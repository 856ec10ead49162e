"""From a recipient's domain to the addresses that take its mail (RFC 5321 section 5.1).

`MxRouter.route` gives a `Route`, a `Bounce` when DNS says that there is nowhere to go, or a
`Deferral` when DNS says nothing at the moment. It never falls back from MX to A records, tells a
null MX (RFC 7505), randomises equal preferences, and leaves out what `AddressRules` refuse.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Literal

import msgspec

from workers.dns.addresses import AddressRules, literal_address
from workers.dns.answers import Answer, Found, NoData, NoSuchName, Temporary
from workers.dns.exchangers import domain_name, exchangers, is_null
from workers.dns.resolver import Resolver
from workers.dns.routes import Bounce, Deferral, MxHost, Route, Routed
from workers.dns.site import site_of, site_of_address

Family = Literal["AAAA", "A"]
MOST_HOSTS = 16
"""Of one domain that are looked up: whoever lists hundreds would have us ask for them all."""
MOST_ADDRESSES = 16
"""Of one host."""

_LOOP = Bounce(554, "5.4.6", "mail for this domain comes back to this host")
_REFUSED = Bounce(550, "5.4.4", "its mail hosts have no address on the public internet")


class OwnHost(msgspec.Struct, frozen=True):
    """How this host is known to others, to recognise mail that would come back to it."""

    names: frozenset[str] = frozenset()
    """EHLO names, lower case."""
    addresses: frozenset[str] = frozenset()


class _Looked(msgspec.Struct, frozen=True):
    """What a host's name led to."""

    addresses: tuple[str, ...] = ()
    """Those that are permitted."""
    own: bool = False
    """One of all its addresses is ours."""
    refused: bool = False
    """It has addresses, and none is permitted."""
    temporary: bool = False
    """It has none, and DNS did not answer every question."""


class MxRouter:
    """Routes of domains. Nothing is kept here: the resolver has the memory."""

    def __init__(
        self,
        resolver: Resolver,
        rules: AddressRules,
        own: OwnHost,
        rng: random.Random,
        families: tuple[Family, ...] = ("AAAA", "A"),
    ) -> None:
        """`families`: those that this host can connect to, the preferred one first."""
        self._resolver = resolver
        self._rules = rules
        self._own = own
        self._rng = rng
        self._families = families

    async def route(self, domain: str) -> Routed:
        """Where mail for `domain` goes: a domain name, also an international one, or a literal."""
        if domain.startswith("["):
            return self._literal(domain)
        name = domain_name(domain)
        if name is None:
            return Bounce(553, "5.1.2", "this is not a domain name")
        answer = await self._resolver.look_up(name, "MX")
        if isinstance(answer, Temporary):
            return Deferral(451, "4.4.3", answer.reason)
        if isinstance(answer, NoSuchName):
            return Bounce(550, "5.1.2", "the domain does not exist")
        if isinstance(answer, NoData):
            # An alias was processed "as if it were the initial name", so the host has its name.
            return await self._implicit(answer.name)
        if is_null(answer.records):
            return Bounce(556, "5.1.10", "the domain accepts no mail (null MX)")
        preferences = exchangers(answer.records)
        if not preferences:
            return Bounce(550, "5.4.4", "its MX records name no host")
        return await self._explicit(preferences)

    async def hosts(self, domain: str) -> tuple[str, ...] | Deferral:
        """The hosts that a domain's MX records name, or itself where it has none (RFC 5321 section
        5.1); empty where no mail can go. Their addresses are not asked for."""
        name = domain_name(domain)
        if domain.startswith("[") or name is None:
            return (domain,) if domain.startswith("[") else ()
        answer = await self._resolver.look_up(name, "MX")
        if isinstance(answer, Temporary):
            return Deferral(451, "4.4.3", answer.reason)
        if isinstance(answer, NoSuchName):
            return ()
        if isinstance(answer, NoData):
            return (answer.name,)
        return () if is_null(answer.records) else tuple(exchangers(answer.records))

    def _literal(self, domain: str) -> Routed:
        """An address literal names the one host itself (RFC 5321 section 4.1.3)."""
        address = literal_address(domain)
        if address is None:
            return Bounce(553, "5.1.3", "the address literal is not valid")
        if address in self._own.addresses:
            return _LOOP
        if not self._rules.permit(address):
            return Bounce(550, "5.4.4", "this is no address on the public internet")
        return Route(site_of_address(address), (MxHost(0, domain, (address,)),))

    async def _implicit(self, name: str) -> Routed:
        """Without MX records the domain is its own host, of preference 0."""
        if name in self._own.names:
            return _LOOP
        looked = (await self._look_up([name]))[name]
        if looked.own:
            return _LOOP
        if looked.addresses:
            return Route(site_of([name]), (MxHost(0, name, looked.addresses),))
        if looked.temporary:
            return Deferral(451, "4.4.3", "DNS did not tell the domain's address")
        if looked.refused:
            return _REFUSED
        return Bounce(550, "5.4.4", "the domain has neither mail hosts nor an address")

    async def _explicit(self, preferences: Mapping[str, int]) -> Routed:
        ordered = list(preferences)
        self._rng.shuffle(ordered)
        ordered.sort(key=preferences.__getitem__)  # Stable: equals stay shuffled.
        before = self._before(preferences, self._own.names)
        ordered = [name for name in ordered if preferences[name] < before][:MOST_HOSTS]
        looked = await self._look_up(ordered)
        ours = [name for name, each in looked.items() if each.own]
        before = min(before, self._before(preferences, ours))
        looked = {name: each for name, each in looked.items() if preferences[name] < before}
        if not looked:
            return _LOOP
        hosts = tuple(
            MxHost(preferences[name], name, each.addresses)
            for name, each in looked.items()
            if each.addresses
        )
        if hosts:
            return Route(site_of(preferences), hosts)
        if any(each.temporary for each in looked.values()):
            return Deferral(451, "4.4.4", "DNS did not tell the addresses of its mail hosts")
        if any(each.refused for each in looked.values()):
            return _REFUSED
        return Bounce(550, "5.4.4", "none of its mail hosts has an address")

    @staticmethod
    def _before(preferences: Mapping[str, int], ours: Collection[str]) -> float:
        """Only hosts preferred to this host itself may be tried, else mail goes in circles."""
        return min(
            (preferences[name] for name in ours if name in preferences), default=float("inf")
        )

    async def _look_up(self, hosts: Sequence[str]) -> dict[str, _Looked]:
        """Hosts' addresses. A host may be an alias, though RFC 2181 section 10.3 forbids it."""
        questions = [(host, family) for host in hosts for family in self._families]
        answers = iter(await self._resolver.look_up_all(questions))
        return {host: self._looked([next(answers) for _ in self._families]) for host in hosts}

    def _looked(self, answers: Sequence[Answer]) -> _Looked:
        found = [list(each.records) for each in answers if isinstance(each, Found)]
        for each in found:
            self._rng.shuffle(each)
        # One of each family in turn: the first two addresses then show whether either one works.
        mixed = [each for each in chain.from_iterable(zip_longest(*found)) if each is not None]
        addresses = tuple(self._rules.permitted(mixed)[:MOST_ADDRESSES])
        return _Looked(
            addresses,
            own=not self._own.addresses.isdisjoint(mixed),
            refused=bool(mixed) and not addresses,
            temporary=not addresses and any(isinstance(each, Temporary) for each in answers),
        )
