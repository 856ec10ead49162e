"""Pools of sessions to sites, made when a leg goes there and dropped when they have long been idle.

What applies to a session comes from the settings by the route in the hop's name, where it connects
to from DNS: each leg brings what its domains resolve to now. An address that could not be connected
to is passed over for a while, by every site that has it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec

from shared.clock import Clock
from shared.hops import MxHop, mx_hop
from shared.metrics.worker import WorkerMetrics
from shared.relays import Relay
from workers.dns.dead import DeadHosts
from workers.dns.routes import Target
from workers.route import NextHop
from workers.shapes import Shapes, shaped
from workers.smtp import Pool
from workers.smtp.gate import Gate
from workers.smtp.places import Place

MOST_POOLS = 2000
"""Beyond this the idle one that was used longest ago goes; those in use are as many as legs."""
IDLE_SECONDS = 60.0
MOST_TRIED = 5
"""Addresses for one session: the next one passes over those that are dead by then."""


class SitePlaces:
    """The addresses of a site."""

    def __init__(self, dead: DeadHosts) -> None:
        self._dead = dead
        self.targets: tuple[Target, ...] = ()
        """As DNS had them last, in the order to try them."""

    def choose(self) -> Sequence[Place]:
        """Those to try for one session."""
        return [_place(each) for each in self._dead.usable(self.targets)[:MOST_TRIED]]

    def connected(self, place: Place) -> None:
        """It is alive."""
        self._dead.worked(place.address)

    def not_connected(self, place: Place) -> None:
        """It is passed over for a while."""
        self._dead.failed(place.address)


def _place(target: Target) -> Place:
    if target.host.startswith("["):  # A literal: there is no name.
        return Place(target.address, target.address, target.host)
    return Place(target.address, target.host, f"{target.host} [{target.address}]")


class _Site(msgspec.Struct):
    pool: Pool
    places: SitePlaces
    used_at: float
    generation: int
    """Of the settings that its pool was made or last looked at with."""


class Sites:
    """Hop -> pool."""

    def __init__(
        self,
        clock: Clock,
        critical_share: float,
        metrics: WorkerMetrics | None = None,
        shapes: Shapes | None = None,
        gate: Gate | None = None,
    ) -> None:
        """`shapes` gives what applies to each site."""
        self._clock = clock
        self._share = critical_share
        self._metrics = metrics or WorkerMetrics()
        self.shapes = shapes or Shapes(clock)
        self._generation = 0
        self._gate = gate
        self._dead = DeadHosts(clock)
        self._direct: Mapping[str, Relay] = {}
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> int:
        """Sessions that are open or being set up."""
        return sum(site.pool.sessions for site in list(self._sites.values()))

    def __len__(self) -> int:
        """Pools."""
        return len(self._sites)

    def source(self, hop: MxHop) -> str | None:
        """The address that a hop's sessions connect from, empty for any; None: there is no such
        route any more."""
        found = self._direct.get(hop.route)
        return found.source_address if found is not None else None

    def apply(self, direct: Mapping[str, Relay]) -> None:
        """Sessions are as these say from now on; those that are otherwise end."""
        self._generation += 1
        before, self._direct = self._direct, dict(direct)
        changed = {name for name in before if before[name] != self._direct.get(name)}
        for name, site in list(self._sites.items()):
            if changed and _route_of(name) in changed:
                del self._sites[name]
                self._retire(site.pool)

    def next_hop(self, hop: MxHop, targets: tuple[Target, ...]) -> NextHop:
        """Where a leg of a hop goes, its domains having these addresses. `source` knows it."""
        relay = self._direct[hop.route]
        self._drop_idle()
        site = self._sites.get(hop.hop)
        if site is not None and site.generation != self._generation:
            site = self._looked_at(hop, relay, site)
        if site is None:
            site = self._sites[hop.hop] = self._made(self._of_site(hop, relay))
        site.places.targets = targets
        site.used_at = self._clock.monotonic()
        self._sites.move_to_end(hop.hop)
        required = site.pool.relay.tls == "required"
        return NextHop(site.pool, relay.signed, direct=True, must_be_secure=required)

    def _of_site(self, hop: MxHop, relay: Relay) -> Relay:
        """How sessions to a site are."""
        tls = "required" if hop.policy else relay.tls
        return shaped(relay, self.shapes.of(hop.hop), name=hop.hop, tls=tls)

    def _looked_at(self, hop: MxHop, relay: Relay, site: _Site) -> _Site | None:
        """The same, unless the settings make other sessions of it by now."""
        if site.pool.relay != self._of_site(hop, relay):
            self._retire(site.pool)
            return None
        site.generation = self._generation
        return site

    def _made(self, relay: Relay) -> _Site:
        places = SitePlaces(self._dead)
        reserved = max(1, int(relay.connections * self._share)) if relay.connections > 1 else 0
        pool = Pool(relay, reserved=reserved, metrics=self._metrics, places=places, gate=self._gate)
        return _Site(pool, places, 0.0, self._generation)

    def _drop_idle(self) -> None:
        """Forget pools that nobody has used for a while, the most idle ones first."""
        now = self._clock.monotonic()
        for name, site in list(islice(self._sites.items(), 2)):
            if now - site.used_at < IDLE_SECONDS:
                break
            if site.pool.idle:
                del self._sites[name]
            else:
                site.used_at = now
                self._sites.move_to_end(name)
        if len(self._sites) >= MOST_POOLS:
            idle = next((name for name, site in self._sites.items() if site.pool.idle), None)
            if idle is not None:
                del self._sites[idle]

    def _retire(self, pool: Pool) -> None:
        task = asyncio.get_running_loop().create_task(pool.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End every session politely; cancel to hasten."""
        for site in self._sites.values():
            self._retire(site.pool)
        if self._closing:
            await asyncio.wait(set(self._closing))


def _route_of(hop: str) -> str:
    found = mx_hop(hop)
    return found.route if found is not None else ""
