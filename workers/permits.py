"""This process's share of the SMTP sessions that limits allow over all workers.

Pools ask before they set a session up. What they want, have, and have no more is told to the store,
one script for all that changed meanwhile, and every `RENEW_SECONDS` in full. While the store does
not answer nobody gets in; sessions that are open go on. Nothing here raises.
"""

from __future__ import annotations

import asyncio

import structlog

from shared.errors import StoreError
from shared.metrics.worker import WorkerMetrics
from shared.store.sessions import RENEW_SECONDS, Answer, Asked, Sessions
from workers.smtp.gate import Asker

STORE_PAUSE_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class _Hop:
    """The pools of one hop: after a reload there can be two for a while."""

    __slots__ = ("again", "pools", "refused", "told")

    def __init__(self) -> None:
        self.pools: dict[Asker, None] = {}
        self.told = 0
        """Sessions that the store counts."""
        self.refused = 0
        self.again: asyncio.TimerHandle | None = None
        """Set while it was refused some, and is not to ask before."""

    @property
    def held(self) -> int:
        return sum(pool.sessions for pool in self.pools)

    @property
    def wanted(self) -> int:
        return sum(pool.wanted() for pool in self.pools)


class Permits:
    """`workers.smtp.gate.Gate` for all pools of a process."""

    def __init__(self, store: Sessions, process: str, metrics: WorkerMetrics) -> None:
        """`process` tells it from all others, those before it too."""
        self._store = store
        self._process = process
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._hops: dict[str, _Hop] = {}
        self._due: dict[str, None] = {}
        """Hops to tell of, in order."""
        self._wake = asyncio.Event()
        self.closing = False

    @property
    def refused(self) -> int:
        """Sessions that are wanted and were refused when last asked for."""
        return sum(hop.refused for hop in list(self._hops.values()))

    def look(self, pool: Asker) -> None:
        """A pool wants sessions, or has another number of them."""
        hop = self._hops.get(pool.hop)
        if hop is None:
            hop = self._hops[pool.hop] = _Hop()
        hop.pools[pool] = None
        if hop.again is None or hop.held != hop.told:
            self._tell(pool.hop)

    def _tell(self, name: str) -> None:
        self._due[name] = None
        self._wake.set()

    def close(self) -> None:
        """The process stops: what waits for a session, with none open, is given back."""
        self.closing = True
        for hop in list(self._hops.values()):
            if hop.refused:
                self._refuse(hop)

    async def run(self) -> None:
        """Ask and renew until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew())
            group.create_task(self._ask())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for name in self._hops:
                self._tell(name)

    async def _ask(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, {}
            hops = [(name, self._hops[name]) for name in due if name in self._hops]
            asked = [_asked(name, hop) for name, hop in hops]
            if not asked:
                continue
            try:
                answers = await self._store.ask(self._process, asked)
            except StoreError as error:
                self._metrics.failed("session")
                _log.warning("sessions_wait_for_store", hops=len(hops), reason=error)
                self._turn_away(hops)
                await asyncio.sleep(STORE_PAUSE_SECONDS)
                continue
            for (name, hop), said, answer in zip(hops, asked, answers, strict=True):
                self._heed(name, hop, said, answer)

    def _turn_away(self, hops: list[tuple[str, _Hop]]) -> None:
        """Nobody knows what the store counts now: all of it is told again."""
        for name, hop in hops:
            hop.told = -1
            hop.refused = hop.wanted
            self._refuse(hop)
            self._tell(name)

    def _refuse(self, hop: _Hop) -> None:
        for pool in list(hop.pools):
            if pool.wanted():
                pool.refused()

    def _heed(self, name: str, hop: _Hop, said: Asked, answer: Answer) -> None:
        hop.told = said.held + answer.granted
        left = answer.granted
        for pool in list(hop.pools):
            before = pool.sessions
            if left:
                pool.granted(left)
                left -= pool.sessions - before
        self._put_off(name, hop, said.more - answer.granted, answer.again_ms)
        ended = max(0, said.held + answer.granted - left - hop.held)  # While the store was asked.
        idle, due = answer.idle - ended, answer.due - ended
        for pool in list(hop.pools):
            pool.give_up(max(0, idle), max(0, due))
            idle, due = idle - pool.sessions, due - pool.sessions
        hop.pools = dict.fromkeys(pool for pool in hop.pools if pool.sessions or pool.wanted())
        if hop.held != hop.told:
            self._tell(name)
        elif not hop.held and hop.again is None and name not in self._due:
            del self._hops[name]

    def _put_off(self, name: str, hop: _Hop, short: int, again_ms: int) -> None:
        hop.refused = max(0, short)
        if hop.again is not None:
            hop.again.cancel()
            hop.again = None
        if short > 0:
            self._metrics.sessions_refused += 1
            hop.again = self._loop.call_later(again_ms / 1000, self._again, name, hop)
            self._refuse(hop)

    def _again(self, name: str, hop: _Hop) -> None:
        hop.again = None
        self._tell(name)

    async def leave(self) -> None:
        """The process has no session any more."""
        try:
            await self._store.leave(self._process)
        except StoreError:
            pass  # Its lease runs out.


def _asked(name: str, hop: _Hop) -> Asked:
    urgent = any(pool.urgent for pool in hop.pools)
    return Asked(name, hop.held, hop.wanted, urgent)
