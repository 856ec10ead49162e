"""Questions to DNS, counted and timed: whether direct delivery can find its way."""

from __future__ import annotations

import time

from shared.metrics.worker import Lookup, WorkerMetrics
from workers.dns.answers import Answer, Found, Kind, NoData, NoSuchName, Told
from workers.dns.resolver import Upstream


class Measured:
    """An `Upstream` before another."""

    def __init__(self, upstream: Upstream, metrics: WorkerMetrics) -> None:
        self._upstream = upstream
        self._metrics = metrics

    async def ask(self, name: str, kind: Kind) -> Told:
        """One question."""
        began = time.perf_counter()
        told = await self._upstream.ask(name, kind)
        self._metrics.dns.observe(time.perf_counter() - began)
        self._metrics.lookups[_outcome(told.answer)] += 1
        return told


def _outcome(answer: Answer) -> Lookup:
    if isinstance(answer, Found):
        return "found"
    if isinstance(answer, NoData):
        return "none"
    if isinstance(answer, NoSuchName):
        return "no_such_name"
    return "failed" if answer.answered else "unanswered"
