"""What shaping says of each hop, and what servers have shown of themselves, in one process.

A site is known here once a domain has resolved to it. Limits are told to the store together with
the legs that go to a site, at a reload, and with the first leg that this process delivers there.
Bounded: what was used longest ago is forgotten, and found out again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from shared.clock import Clock
from shared.feedback.tokens import OTHER_SITES
from shared.hops import MX, DestinationLimit, mx_hop, shared_part
from shared.model.message import Head
from shared.relays import Relay
from shared.routing import MAX_RECIPIENTS, mail_domain
from shared.settings import Settings
from shared.shaping.shaping import Shaped, Shaping

T = TypeVar("T")
KNOWN_SITES = 10_000
LEARNT_SECONDS = 3600.0
"""A server that takes few recipients at a time is believed for so long."""


class Shapes:
    """Hop -> what applies to it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shaping = Shaping(Settings())  # Until `apply`.
        self._hosts: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._told: OrderedDict[str, DestinationLimit | None] = OrderedDict()
        self._learnt: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._one_domain: OrderedDict[str, float] = OrderedDict()

    @property
    def shaping(self) -> Shaping:
        """As it is now."""
        return self._shaping

    def apply(self, shaping: Shaping) -> None:
        """This holds from now on."""
        self._shaping = shaping

    def see(self, site: str, hosts: tuple[str, ...]) -> None:
        """A site has these MX hosts, in alphabetical order."""
        _keep(self._hosts, site, hosts)

    def of(self, hop: str) -> Shaped:
        """What applies to a relay or a site."""
        found = mx_hop(hop)
        if found is None:
            return self._shaping.of_relay(shared_part(hop))
        return self._shaping.of_site(self._hosts.get(found.site, ()))

    def site(self, hop: str, domain: str) -> str:
        """The provider of mail for a domain's addresses that goes to a hop: by the MX hosts there,
        else by the domain (lower case); `OTHER_SITES` where neither tells."""
        provider = self.of(hop).provider if hop.startswith(MX) else ""
        return provider or self._shaping.provider_of_domain(domain) or OTHER_SITES

    def most_recipients(self, hop: str) -> int:
        """Of one transaction: as configured, or fewer where the server has refused more."""
        said = self.of(hop).shape.recipients_per_transaction or MAX_RECIPIENTS
        learnt, until = self._learnt.get(shared_part(hop), (MAX_RECIPIENTS, 0.0))
        return min(said, learnt) if self._clock.monotonic() < until else said

    def learn(self, hop: str, taken: int) -> None:
        """A server has taken so many recipients and had too many in the next one."""
        until = self._clock.monotonic() + LEARNT_SECONDS
        _keep(self._learnt, shared_part(hop), (taken, until))

    def learn_one_domain(self, hop: str) -> None:
        """A server takes the recipients of one domain in a transaction."""
        _keep(self._one_domain, shared_part(hop), self._clock.monotonic() + LEARNT_SECONDS)

    def takes_one_domain(self, hop: str) -> bool:
        """Whether it has said so lately."""
        return self._clock.monotonic() < self._one_domain.get(shared_part(hop), 0.0)

    def apart(self, hops: Mapping[int, str], head: Head) -> dict[int, str]:
        """Recipient -> domain of those that share a transaction with their own domain only."""
        if not self._one_domain:
            return {}
        return {
            index: mail_domain(head.recipients[index])
            for index, hop in hops.items()
            if self.takes_one_domain(hop)
        }

    def limits(self, hops: Iterable[str]) -> dict[str, DestinationLimit | None]:
        """What the store is to know of the sites among these, with the legs that go there; None:
        they have what every site has."""
        found = {shared_part(hop): self._own(hop) for hop in hops if self._knows(hop)}
        self.told(found)
        return found

    def untold(self, hop: str) -> dict[str, DestinationLimit | None]:
        """The same of the site of a leg that is being delivered, unless the store was told."""
        key, own = shared_part(hop), self._own(hop)
        return {} if self._knows_of(key, own) or not self._knows(hop) else {key: own}

    def changed(self) -> dict[str, DestinationLimit | None]:
        """The same of sites that the settings have changed since the store was told."""
        owns = {key: self._own(key) for key in self._told if self._knows(key)}
        return {key: own for key, own in owns.items() if own != self._told[key]}

    def told(self, limits: Mapping[str, DestinationLimit | None]) -> None:
        """The store knows these."""
        for key, limit in limits.items():
            _keep(self._told, key, limit)

    def not_told(self, keys: Iterable[str]) -> None:
        """It does not, after all."""
        for key in keys:
            self._told.pop(key, None)

    def _knows(self, hop: str) -> bool:
        there = mx_hop(hop)
        return there is not None and there.site in self._hosts

    def _knows_of(self, key: str, own: DestinationLimit | None) -> bool:
        return key in self._told and self._told[key] == own

    def _own(self, hop: str) -> DestinationLimit | None:
        """None, where a site has what every site has: that is no limit of its own."""
        limit = self.of(hop).limit
        return None if limit == self._shaping.default.limit else limit


def shaped(relay: Relay, found: Shaped, **others: str) -> Relay:
    """How sessions to a relay or site are, with what shaping says of it."""
    shape = found.shape
    connections = min(relay.connections, shape.connections or relay.connections)
    messages = shape.messages_per_connection or relay.messages_per_connection
    messages = min(relay.messages_per_connection, messages)
    return msgspec.structs.replace(
        relay, connections=connections, messages_per_connection=messages, **others
    )


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KNOWN_SITES:
        kept.popitem(last=False)
