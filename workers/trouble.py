"""A server's trouble, or its wish for less, which no message pays for: how long its hop stands
still, where a leg goes.

Takes verdicts, gives releases. What stands still is decided in the store, for all workers together
(`Queue.trouble`); a store that does not answer is asked again by the next leg.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec
import structlog

from shared.clock import Clock
from shared.errors import StoreError
from shared.hops import member_of, mx_hop
from shared.metrics.worker import WorkerMetrics
from shared.model.leg import Attempt, pack_history
from shared.store.ports import Claimed, Queue, Settlement
from workers import lines
from workers.classify import Verdict
from workers.engine import release
from workers.throttle import Throttle

FIRST_MS = 1000
LONGEST_MS = 60_000
"""A hop in trouble stands still for a second, then twice as long each time, up to this."""
SITE_LONGEST_MS = 15 * 60_000
"""The same for a site: there are many, and one that is away often is for long."""
THROTTLED_LONGEST_MS = 60 * 60_000
"""The same where it has asked for less."""
OWN_COMMANDS_LONGEST_MS = 5000
"""The same where it objected to one envelope only: the next one may be another application's."""
ASIDE_LONGEST_MS = 30 * 60_000
COMPLAIN_SECONDS = 10.0
MOST_KEPT = 1000
"""Hops that this process remembers having complained about, and that have asked for less."""

_log = structlog.get_logger(__name__)


class Troubles:
    """One a process: it knows what it has complained about."""

    def __init__(self, queue: Queue, clock: Clock, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._queue = queue
        self._clock = clock
        self._complained: OrderedDict[str, float] = OrderedDict()
        self._stopped: OrderedDict[str, float] = OrderedDict()
        """Hop -> when it last asked that nothing be sent for a while (monotonic)."""

    def has_stopped(self, hop: str, since: float) -> bool:
        """Whether a hop has asked for less since then (monotonic): what was in hand already goes
        back, and comes again when the destination stands still no longer."""
        return bool(self._stopped) and self._stopped.get(hop, -1.0) > since

    async def settle(
        self, claimed: Claimed, verdict: Verdict, throttle: Throttle | None = None
    ) -> Settlement:
        """Give a leg back that met trouble: it keeps its attempts and its place.

        One to whose own commands the relay objected stays away, so that others probe it too.
        """
        if throttle is not None:
            return await self._throttled(claimed, verdict, throttle)
        hop, own = member_of(claimed.leg.hop), verdict.own_commands
        said = "" if verdict.said is None else lines.words(claimed, verdict, verdict.said)
        longest_ms = OWN_COMMANDS_LONGEST_MS if own else _longest_ms(hop)
        try:
            wait_ms = await self._queue.trouble(
                hop, verdict.note, FIRST_MS, longest_ms, own_commands=own
            )
        except StoreError:
            return release(claimed, FIRST_MS)
        if wait_ms:
            _log.warning(
                "relay_trouble", hop=hop, reason=verdict.note, reply=said,
                stands_still_seconds=wait_ms / 1000, **lines.about(claimed.leg_id, claimed.head),
            )  # fmt: skip
        if not verdict.replies:
            return release(claimed, refusal=said)
        if not wait_ms:
            self.complain(hop, verdict.note)
        return release(claimed, self.aside_ms(claimed), self._uncharged(claimed, verdict), said)

    async def _throttled(
        self, claimed: Claimed, verdict: Verdict, throttle: Throttle
    ) -> Settlement:
        """It is the first again when the destination stands still no longer; but one that is told
        the same once more stays away, lest it be always the one that probes: it may be about it."""
        hop = member_of(claimed.leg.hop)
        words = lines.words(claimed, verdict, throttle.reply)
        if not await self.asked_for_less(hop, throttle, words, FIRST_MS):
            return release(claimed, FIRST_MS)
        if not verdict.replies:
            return release(claimed, refusal=words)
        said, history = msgspec.structs.replace(verdict, note=throttle.note), claimed.leg.history
        again = any(each.note == said.note and each.hop == hop for each in history[-1:])
        wait_ms = self.aside_ms(claimed) if again else 0
        return release(claimed, wait_ms, self._uncharged(claimed, said), words)

    async def asked_for_less(
        self, hop: str, throttle: Throttle, words: str, least_ms: int = 0
    ) -> bool:
        """A server has asked for less: the destination stands still, or has less, or both.

        `words` are what it said (`lines.words`). Whether the store knows. What was asked of
        transactions that ran together counts once.
        """
        self._metrics.asked_for_less(throttle.rule.name)
        first_ms = max(throttle.suspend_ms, FIRST_MS if throttle.suspend_ms else least_ms)
        try:
            wait_ms = await self._queue.trouble(
                hop, throttle.note, first_ms, max(first_ms, THROTTLED_LONGEST_MS),
                firm=True, slow=throttle.rule.slow,
            )  # fmt: skip
        except StoreError:
            return False
        if first_ms:
            _keep(self._stopped, hop, self._clock.monotonic())
        if wait_ms or (not first_ms and self._may_complain(hop)):
            _log.warning(
                "destination_asked_for_less", hop=hop, rule=throttle.rule.name,
                code=throttle.reply.code, enhanced_code=throttle.reply.enhanced, reply=words,
                stands_still_seconds=wait_ms / 1000, slowed_down=throttle.rule.slow,
            )  # fmt: skip
        return True

    async def of_site(self, hop: str, note: str) -> None:
        """A site cannot be used, which its mail is told: the rest of it need not try."""
        try:
            await self._queue.trouble(hop, note, FIRST_MS, _longest_ms(hop))
        except StoreError:
            pass  # The next one tells.

    def complain(self, hop: str, reason: str) -> None:
        """A relay that refuses some envelopes and takes others: loud, but not for each of them."""
        if self._may_complain(hop):
            _log.warning("relay_refuses_some", hop=hop, reason=reason)

    def _may_complain(self, hop: str) -> bool:
        now = self._clock.monotonic()
        if now - self._complained.get(hop, -COMPLAIN_SECONDS) < COMPLAIN_SECONDS:
            return False
        _keep(self._complained, hop, now)
        return True

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


def _keep(kept: OrderedDict[str, float], hop: str, at: float) -> None:
    kept[hop] = at
    kept.move_to_end(hop)
    if len(kept) > MOST_KEPT:
        kept.popitem(last=False)


def _longest_ms(hop: str) -> int:
    return LONGEST_MS if mx_hop(hop) is None else SITE_LONGEST_MS
