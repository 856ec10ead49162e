"""Leases in hand: renewed on the engine's loop until each leg is settled.

`hold` gives the `Lease` of a claimed leg, which a transaction asks before it sends. Renewal does
not depend on any session's progress. A store that does not answer lets leases run out, which only
stops sending: nothing here raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from shared.clock import Clock
from shared.errors import StoreError
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import Attempt
from shared.model.status import Status
from shared.settings import WorkerSettings
from shared.store.ports import Claimed, Queue
from workers.smtp.types import Transaction

LegClaim = tuple[bytes, int]
"""A leg's id and the fence of the claim: the same process may hold a leg by two claims, an older
one that was split or has run out, and one that it was given since."""
RENEW_BATCH = 500
"""Renewals in one script: about 2 ms."""

_log = structlog.get_logger(__name__)


class Lease:
    """The right to send one leg, as far as this process knows."""

    def __init__(
        self, claimed: Claimed, keeper: Leases, expires: float, since: float = 0.0
    ) -> None:
        self.leg_id = claimed.leg_id
        self.since = since
        """When it was asked for (monotonic)."""
        self.fence = claimed.fence
        self.expires = expires
        self.lost = False
        self.at_dot: Callable[[Transaction], tuple[tuple[Status, ...], Attempt]] | None = None
        """For a message to be held: what to keep of a transaction in case this process dies."""
        self._keeper = keeper

    def holds(self) -> bool:
        """Whether there is still time, by this machine's monotonic clock."""
        return not self.lost and self._keeper.now() < self.expires

    async def before_dot(self, so_far: Callable[[], Transaction]) -> bool:
        """Whether the final dot may be sent; for a message to be held, commits that first."""
        if self.at_dot is not None:
            statuses, attempt = self.at_dot(so_far())
            try:
                held = await self._keeper.queue.dot(self.leg_id, self.fence, statuses, attempt)
            except StoreError:
                return False
            self.lost = self.lost or not held
        return self.holds()


class Leases:
    """Every lease of this process."""

    def __init__(
        self, queue: Queue, settings: WorkerSettings, clock: Clock, metrics: WorkerMetrics
    ) -> None:
        self.queue = queue
        self._metrics = metrics
        self._clock = clock
        self._lifetime = settings.lease_seconds - settings.lease_margin_seconds
        self._interval = settings.lease_seconds / 3
        self._held: dict[LegClaim, Lease] = {}

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, claimed: Claimed, asked_at: float) -> Lease:
        """Begin to renew a leg that was claimed by a request sent at `asked_at` (monotonic)."""
        lease = Lease(claimed, self, asked_at + self._lifetime, asked_at)
        self._held[claimed.leg_id, claimed.fence] = lease
        return lease

    def let_go(self, claim: LegClaim) -> None:
        """The leg is settled or lost. A newer claim of it goes on."""
        self._held.pop(claim, None)

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.renew_all()

    async def renew_all(self) -> None:
        """Renew every lease once."""
        leases = list(self._held.values())
        for start in range(0, len(leases), RENEW_BATCH):
            await self._renew(leases[start : start + RENEW_BATCH])

    async def _renew(self, leases: Sequence[Lease]) -> None:
        asked_at = self.now()
        try:
            answers = await self.queue.renew([(lease.leg_id, lease.fence) for lease in leases])
        except StoreError as error:
            self._metrics.failed("renew")
            _log.warning("leases_not_renewed", legs=len(leases), reason=error)
            return
        for lease, held in zip(leases, answers, strict=True):
            if held:
                lease.expires = asked_at + self._lifetime
            else:
                lease.lost = True
