"""A relay's trouble, which no message pays for: how long its hop stands still, where a leg goes.

Takes verdicts, gives releases. What stands still is decided in the store, for all workers together
(`Queue.trouble`); a store that does not answer is asked again by the next leg.
"""

from __future__ import annotations

import structlog

from shared.clock import Clock
from shared.errors import StoreError
from shared.hops import member_of, mx_hop
from shared.model.leg import Attempt, pack_history
from shared.store.ports import Claimed, Queue, Settlement
from workers import lines
from workers.classify import Verdict
from workers.engine import release

FIRST_MS = 1000
LONGEST_MS = 60_000
"""A hop in trouble stands still for a second, then twice as long each time, up to this."""
SITE_LONGEST_MS = 15 * 60_000
"""The same for a site: there are many, and one that is away often is for long."""
OWN_COMMANDS_LONGEST_MS = 5000
"""The same where it objected to one envelope only: the next one may be another application's."""
ASIDE_LONGEST_MS = 30 * 60_000
COMPLAIN_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Troubles:
    """One a process: it knows what it has complained about."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._complained: dict[str, float] = {}

    async def settle(self, claimed: Claimed, verdict: Verdict) -> Settlement:
        """Give a leg back that met trouble: it keeps its attempts and its place.

        One to whose own commands the relay objected stays away, so that others probe it too.
        """
        hop, own = member_of(claimed.leg.hop), verdict.own_commands
        longest_ms = OWN_COMMANDS_LONGEST_MS if own else _longest_ms(hop)
        try:
            wait_ms = await self._queue.trouble(
                hop, verdict.note, FIRST_MS, longest_ms, own_commands=own
            )
        except StoreError:
            return release(claimed, FIRST_MS)
        if wait_ms:
            _log.warning(
                "relay_trouble", hop=hop, reason=verdict.note, stands_still_seconds=wait_ms / 1000,
                **lines.about(claimed.leg_id, claimed.head),
            )  # fmt: skip
        if not verdict.replies:
            return release(claimed)
        if not wait_ms:
            self.complain(hop, verdict.note)
        return release(claimed, self.aside_ms(claimed), self._uncharged(claimed, verdict))

    async def of_site(self, hop: str, note: str) -> None:
        """A site cannot be used, which its mail is told: the rest of it need not try."""
        try:
            await self._queue.trouble(hop, note, FIRST_MS, _longest_ms(hop))
        except StoreError:
            pass  # The next one tells.

    def complain(self, hop: str, reason: str) -> None:
        """A relay that refuses some envelopes and takes others: loud, but not for each of them."""
        now = self._clock.monotonic()
        if now - self._complained.get(hop, -COMPLAIN_SECONDS) >= COMPLAIN_SECONDS:
            self._complained[hop] = now
            _log.warning("relay_refuses_some", hop=hop, reason=reason)

    def aside_ms(self, claimed: Claimed) -> int:
        """How long a leg stays away that the relay would not take: the longer, the older it is."""
        age_ms = self._clock.now_ms() - claimed.head.accepted_ms
        return max(LONGEST_MS, min(ASIDE_LONGEST_MS, age_ms // 4))

    def _uncharged(self, claimed: Claimed, verdict: Verdict) -> bytes:
        """The history with what the relay said now; said again, it is kept once."""
        leg = claimed.leg
        said = Attempt(
            self._clock.now_ms(), member_of(leg.hop), verdict.replies, verdict.note, charged=False
        )
        history = leg.history
        if history and not history[-1].charged and history[-1].note == said.note:
            history = history[:-1]
        return pack_history((*history, said), leg.earlier)


def _longest_ms(hop: str) -> int:
    return LONGEST_MS if mx_hop(hop) is None else SITE_LONGEST_MS
