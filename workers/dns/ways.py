"""From a recipient's domain to its way: site, addresses, and the MTA-STS policy to obey there.

`Ways.find` gives a `Way`, or why there is none. Of a domain in mode `enforce` only hosts that its
policy names are in the way (RFC 8461 section 5); when none is, the policy is asked for anew before
that counts, and then it is a deferral. Mode `testing` changes nothing but what is noted.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import msgspec

from shared.clock import Clock
from workers.dns.mx import Family
from workers.dns.routes import Bounce, Deferral, Route, Routed, Target
from workers.dns.sts_policy import Policy

STEADY_SECONDS = 60.0
"""A domain that names other hosts at every question keeps its site for so long: each change moves
its mail to another queue."""
REMEMBERED_SECONDS = 5.0
"""A way is not made anew for so long: each leg asks twice, and it costs a third of a delivery."""
CAPACITY = 10_000
_DIGEST_CHARACTERS = 12

NO_SUCH_HOST = Deferral(451, "4.7.0", "MTA-STS: the domain's policy names none of its mail hosts")


class Way(msgspec.Struct, frozen=True):
    """Where a domain's mail goes."""

    site: str
    targets: tuple[Target, ...]
    """In the order to try them; at least one."""
    enforced: Policy | None = None
    """What its hosts must prove."""
    testing: bool = False
    """It has a policy that is only to be noted."""
    hosts: tuple[str, ...] = ()
    """The names of all MX hosts that have an address, in alphabetical order."""

    @property
    def policy(self) -> str:
        """The policy's part of the hop's name (`shared.hops.MxHop`)."""
        if self.enforced is None:
            return ""
        digest = hashlib.sha256("\n".join(sorted(self.enforced.mx)).encode()).digest()
        return f"sts~{base64.b32encode(digest).decode().lower()[:_DIGEST_CHARACTERS]}"


Found = Way | Bounce | Deferral


_Key = tuple[str, tuple[Family, ...]]


class _Kept(msgspec.Struct, frozen=True):
    way: Way
    route: Route
    at: float


class Router(Protocol):
    """`workers.dns.mx.MxRouter`."""

    async def route(self, domain: str) -> Routed:
        """Where mail for a domain goes."""
        ...

    async def hosts(self, domain: str) -> tuple[str, ...] | Deferral:
        """The names of its MX hosts; empty: no mail can go there."""
        ...


class Policies(Protocol):
    """`workers.dns.mta_sts.MtaSts`."""

    async def policy(self, domain: str, *, fresh: bool = False) -> Policy | None:
        """The policy for a domain."""
        ...


class Ways:
    """The ways of domains."""

    def __init__(
        self,
        router: Callable[[tuple[Family, ...]], Router],
        policies: Policies | None,
        clock: Clock,
    ) -> None:
        """`router` gives the one for some families of addresses; without `policies` none holds."""
        self._router = router
        self._policies = policies
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    async def find(self, domain: str, families: tuple[Family, ...] = ("AAAA", "A")) -> Found:
        """The way of a domain, by addresses of these families."""
        key, now = (domain, families), self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is not None and now - kept.at < REMEMBERED_SECONDS:
            return kept.way
        routed = await self._router(families).route(domain)
        if not isinstance(routed, Route):
            return routed
        steady = kept is not None and now - kept.at < STEADY_SECONDS
        if kept is not None and steady and kept.route.site != routed.site:
            route, at = kept.route, kept.at
        else:
            route, at = routed, now
        way = _way(route, await self._policy(domain))
        if way is None:
            way = _way(route, await self._policy(domain, fresh=True))
        if way is None:
            return NO_SUCH_HOST
        self._keep(key, _Kept(way, route, at))
        return way

    async def hosts(self, domain: str) -> tuple[str, ...] | Deferral:
        """The names of a domain's MX hosts; empty: it has no site. Policies are not asked for."""
        return await self._router(("AAAA", "A")).hosts(domain)

    async def is_other(self, domain: str, way: Way) -> bool:
        """Whether another policy than the way's holds by now; DNS itself is asked."""
        policy = await self._policy(domain, fresh=True)
        if (policy if policy is not None and policy.enforced else None) == way.enforced:
            return False
        for key in [each for each in self._kept if each[0] == domain]:
            del self._kept[key]
        return True

    async def _policy(self, domain: str, *, fresh: bool = False) -> Policy | None:
        if self._policies is None:
            return None
        return await self._policies.policy(domain, fresh=fresh)

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)


def _way(route: Route, policy: Policy | None) -> Way | None:
    """None: the policy names none of the hosts."""
    targets, hosts = route.targets(), tuple(sorted(host.name for host in route.hosts))
    if policy is None or not policy.enforced:
        return Way(route.site, targets, testing=policy is not None, hosts=hosts)
    named = tuple(each for each in targets if policy.matches(each.host))
    return Way(route.site, named, policy, hosts=hosts) if named else None
