"""The relays and sites of this process: a pool of sessions for each, as the settings are now.

A relay that stays as it is keeps
its sessions; those of one that changed or went end as soon as nothing waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from shared.clock import Clock, SystemClock
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import Leg
from shared.model.message import Head
from shared.parting import rerouted
from shared.relays import Relay
from shared.routing import Routes
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from workers.permits import Permits
from workers.route import NextHop
from workers.shapes import Shapes, shaped
from workers.sites import Sites
from workers.smtp import Pool

CLOSE_SECONDS = 10.0


class Hops:
    """Hop -> pool."""

    def __init__(
        self,
        critical_share: float,
        metrics: WorkerMetrics | None = None,
        clock: Clock | None = None,
        permits: Permits | None = None,
    ) -> None:
        """Without `permits` there are no limits over all workers."""
        self._share = critical_share
        self._metrics = metrics or WorkerMetrics()
        self._permits = permits
        self._pools: dict[str, Pool] = {}
        self._next_hops: dict[str, NextHop] = {}
        self._routes = Routes(Settings())  # Until `apply`.
        clock = clock or SystemClock()
        self.shapes = Shapes(clock)
        """What shaping says of every hop."""
        self._closing: set[asyncio.Task[None]] = set()
        self.sites = Sites(clock, critical_share, self._metrics, self.shapes, permits)
        """The pools of direct delivery."""

    @property
    def routes(self) -> Routes:
        """Those that hold now."""
        return self._routes

    @property
    def sessions(self) -> int:
        """Sessions that are open or being set up."""
        of_relays = sum(pool.sessions for pool in list(self._pools.values()))
        return of_relays + self.sites.sessions

    @property
    def sessions_waited_for(self) -> int:
        """Sessions that wait for a limit over all workers."""
        return self._permits.refused if self._permits is not None else 0

    def find(self, hop: str) -> NextHop | None:
        """The next hop of a name; None when nobody delivers to it."""
        return self._next_hops.get(hop)

    def reroute(self, leg: Leg, head: Head) -> tuple[Leg, ...]:
        """The legs that replace one whose hop is gone, by the routes as they are now."""
        return rerouted(leg, head, self._routes)

    def apply(
        self,
        relays: Sequence[Relay],
        routes: Routes,
        direct: Mapping[str, Relay] | None = None,
        shaping: Shaping | None = None,
    ) -> None:
        """Deliver through these relays, on these routes, directly like this, from now on."""
        if shaping is not None:
            self.shapes.apply(shaping)
        self.sites.apply(direct or {})
        before, self._pools, self._next_hops = self._pools, {}, {}
        self._routes = routes
        for relay in [shaped(each, self.shapes.of(each.name)) for each in relays]:
            old = before.get(relay.name)
            if old is not None and old.relay == relay:
                pool = before.pop(relay.name)
            else:
                reserved = max(1, int(relay.connections * self._share))
                pool = Pool(relay, reserved=reserved, metrics=self._metrics, gate=self._permits)
            self._pools[relay.name] = pool
            self._next_hops[relay.name] = NextHop(pool, relay.signed, relay.dkim_skip_headers)
        for pool in before.values():
            task = asyncio.get_running_loop().create_task(pool.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End every session politely, within `CLOSE_SECONDS`."""
        ends = [asyncio.ensure_future(pool.close()) for pool in self._pools.values()]
        ends.append(asyncio.ensure_future(self.sites.close()))
        await asyncio.wait({*ends, *self._closing}, timeout=CLOSE_SECONDS)
