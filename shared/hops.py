"""The names of hops: where a leg goes, as the store, metrics and operators know it. Pure.

gw1                a relay, or whatever else mail is handed to
gw1@partner        the same, from the source address of a route
pool:news          a pool: its members share one queue
gw1<pool:news      a leg of the pool that a member has now, while it is leased
mx:?               mail straight to MX hosts whose domains have yet to be looked up in DNS
mx:mx.shop.test    the same, for a site: the MX hosts that domains share (`workers/dns/site.py`)
mx:?@?             the same, where the routes ask for the site: DNS decides which one it takes
mx:?@partner       both from the source address, with the greeting or the TLS mode, of a route
mx:mx.shop.test@+sts~DIGEST  a site for domains whose MTA-STS policy names these hosts
"""

from __future__ import annotations

from typing import Literal

import msgspec

_SOURCE_MARK = "@"
_POOL_MARK = "<"
POOL = "pool:"
MX = "mx:"
UNRESOLVED = "?"
"""In place of a site: a character that no host name, and so no site, has."""
ANY_SITE = f"{MX}*"
"""What the limits are called that every site has which has none of its own."""
UNDECIDED = "?"
"""In place of a route, which no route is named: one of them matches on the site."""
_POLICY_MARK = "+"
LONGEST_DIRECT_NAME = 32
"""Characters of a route's name in a hop of a site: the record has room for 255 in all."""


class Path(msgspec.Struct, frozen=True):
    """A relay, and the route whose source address or greeting sessions there have."""

    relay: str
    route: str = ""

    @property
    def hop(self) -> str:
        """Its name."""
        return f"{self.relay}{_SOURCE_MARK}{self.route}" if self.route else self.relay


class MxHop(msgspec.Struct, frozen=True):
    """A hop of direct delivery: a site, or what stands for one that is not known yet."""

    site: str = UNRESOLVED
    route: str = ""
    """The route that has a source address, greeting or TLS mode of its own; else empty."""
    policy: str = ""
    """The MTA-STS policy to obey there: `sts~` and a digest of the hosts it names; else empty. Mail
    under different policies so never shares a session."""

    @property
    def hop(self) -> str:
        """Its name. What is behind `@` has no part in the limits: a site's are shared."""
        mark = f"{_POLICY_MARK}{self.policy}" if self.policy else ""
        own = f"{_SOURCE_MARK}{self.route}{mark}" if self.route or mark else ""
        return f"{MX}{self.site}{own}"

    @property
    def undecided(self) -> bool:
        """Whether the routes are gone through once more when the site is known."""
        return self.route == UNDECIDED


def mx_hop(hop: str) -> MxHop | None:
    """The parts of a hop of direct delivery; None when it is another kind."""
    if not hop.startswith(MX):
        return None
    site, _, own = hop.removeprefix(MX).partition(_SOURCE_MARK)
    route, _, policy = own.partition(_POLICY_MARK)
    return MxHop(site, route, policy)


def unresolved(hop: str) -> str:
    """A site's hop as it was before DNS was asked; any other as it is."""
    found = mx_hop(hop)
    if found is None:
        return hop
    return msgspec.structs.replace(found, site=UNRESOLVED, policy="").hop


class PoolMembers(msgspec.Struct, frozen=True):
    """Hops that take the legs of one queue.

    Ordered: the first that does not stand still gets them. Weighted: each gets its share.
    """

    kind: Literal["ordered", "weighted"]
    members: tuple[tuple[str, int], ...]
    """(hop, weight), in order; the weight is at least 1."""


class DestinationLimit(msgspec.Struct, frozen=True):
    """Limits of a relay, a site or a route, shared by its classes and all workers; 0 means none."""

    per_second: float = 0.0
    """Legs a second, evenly; so are the next three, of any minute, hour or day, as they come."""
    concurrency: int = 0
    """Legs under lease at once."""
    per_minute: int = 0
    per_hour: int = 0
    per_day: int = 0
    connections: int = 0
    """SMTP sessions open at once."""
    connections_per_second: float = 0.0
    """Sessions begun."""
    weight: int = 1
    """Its share of the workers beside other destinations'."""

    @property
    def burst(self) -> float:
        """Legs at once after a pause: those of 100 ms, or one. And half a leg, so that a permit
        that is taken late is not lost."""
        return max(1.0, self.per_second * 0.1) + 0.5


def member_of(hop: str) -> str:
    """The hop that has, or would have, a leg: of a pool's leased leg the member."""
    return hop.partition(_POOL_MARK)[0]


def queue_of(hop: str) -> str:
    """The hop whose queue a leg belongs to: of a pool's leased leg the pool."""
    return hop.rpartition(_POOL_MARK)[2]


def leased_by(member: str, queue: str) -> str:
    """The hop of a leg of `queue` that `member` has."""
    return member if member == queue else f"{member}{_POOL_MARK}{queue}"


def shared_part(hop: str) -> str:
    """The relay or site of a hop: whose limits it has, from whichever address it is reached."""
    return member_of(hop).partition(_SOURCE_MARK)[0]


def route_key(route: str) -> str:
    """What the limits of a route belong to."""
    return f"{_SOURCE_MARK}{route}"


def limit_keys(hop: str) -> tuple[str, ...]:
    """What limits of a hop belong to: its relay or site, and the route it is named after. What
    only asks DNS is limited by neither: it goes to a site, where it is."""
    route = member_of(hop).partition(_SOURCE_MARK)[2].partition(_POLICY_MARK)[0]
    part = shared_part(hop)
    return (part, route_key(route)) if route and part != f"{MX}{UNRESOLVED}" else (part,)
