"""What shaping says of each hop, and what servers have shown of themselves, in one process.

A site is known here once a domain has resolved to it. Limits are told to the store together with
the legs that go to a site; those of a site whose limits a reload has changed, with the next leg
that is delivered there. Bounded: what was used longest ago is forgotten, and found out again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from shared.clock import Clock
from shared.hops import DestinationLimit, mx_hop, shared_part
from shared.relays import Relay
from shared.routing import MAX_RECIPIENTS
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
        self._told: OrderedDict[str, DestinationLimit] = OrderedDict()
        self._learnt: OrderedDict[str, tuple[int, float]] = OrderedDict()

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

    def most_recipients(self, hop: str) -> int:
        """Of one transaction: as configured, or fewer where the server has refused more."""
        said = self.of(hop).shape.recipients_per_transaction or MAX_RECIPIENTS
        learnt, until = self._learnt.get(shared_part(hop), (MAX_RECIPIENTS, 0.0))
        return min(said, learnt) if self._clock.monotonic() < until else said

    def learn(self, hop: str, taken: int) -> None:
        """A server has taken so many recipients and had too many in the next one."""
        until = self._clock.monotonic() + LEARNT_SECONDS
        _keep(self._learnt, shared_part(hop), (taken, until))

    def limits(self, hops: Iterable[str]) -> dict[str, DestinationLimit]:
        """What the store is to know of the sites among these, with the legs that go there."""
        found = {}
        for hop in hops:
            there = mx_hop(hop)
            if there is not None and there.site in self._hosts:
                key = shared_part(hop)
                found[key] = self._own(hop)
                _keep(self._told, key, found[key])
        return found

    def untold(self, hop: str) -> DestinationLimit | None:
        """What the store is to know of the site of a leg that is being delivered; None: nothing
        that it does not know already."""
        key, own = shared_part(hop), self._own(hop)
        if self._told.get(key, DestinationLimit()) == own:
            return None
        _keep(self._told, key, own)
        return own

    def _own(self, hop: str) -> DestinationLimit:
        """Nothing, where a site has what every site has."""
        limit = self.of(hop).limit
        return DestinationLimit() if limit == self._shaping.default.limit else limit


def shaped(relay: Relay, found: Shaped, **others: str) -> Relay:
    """How sessions to a relay or site are, with what shaping says of it."""
    shape = found.shape
    connections = min(relay.connections, shape.connections or relay.connections)
    messages = shape.messages_per_connection or relay.messages_per_connection
    return msgspec.structs.replace(
        relay, connections=connections, messages_per_connection=messages, **others
    )


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KNOWN_SITES:
        kept.popitem(last=False)
