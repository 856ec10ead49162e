"""Look-ups in DNS with a memory: each answer is kept as long as DNS says, within bounds.

One question is on its way for each name and kind, however many ask for it. Answers are values
(`workers.dns.answers`); this never raises for what DNS says. One resolver belongs to one loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from shared.clock import Clock
from workers.dns.answers import Answer, Found, Kind, Temporary, Told

CAPACITY = 50_000
"""Answers kept; the one that has not been asked for longest goes first. About 500 bytes each."""
MOST_CHARACTERS = 4096
"""A larger answer is not kept: with thousands of them whoever owns the domains had our memory."""
QUESTIONS = 200
"""On their way at once: each holds a socket."""
LONGEST_SECONDS = 86_400.0
"""What exists is looked up again after a day, whatever its time to live."""
DENIAL_SECONDS = (5.0, 3600.0)
"""Bounds for what does not exist; RFC 2308 section 5 suggests one to three hours at most."""
TEMPORARY_SECONDS = 5.0
"""How long a failure is not asked about again (RFC 2308 section 7: five minutes at most)."""

_Key = tuple[str, Kind]


class Upstream(Protocol):
    """Who is asked: `workers.dns.servers.Servers`, or a stand-in of the tests."""

    async def ask(self, name: str, kind: Kind) -> Told:
        """One question."""
        ...


class Resolver:
    """A cache before an upstream."""

    def __init__(self, upstream: Upstream, clock: Clock, capacity: int = CAPACITY) -> None:
        self._upstream = upstream
        self._clock = clock
        self._capacity = capacity
        self._kept: OrderedDict[_Key, tuple[float, Answer]] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[Answer]] = {}
        self._slots = asyncio.Semaphore(QUESTIONS)

    async def look_up(self, name: str, kind: Kind, *, fresh: bool = False) -> Answer:
        """The records of a name (ASCII, with or without the final dot).

        `fresh` passes the cache by. A caller that is cancelled takes nobody's answer away.
        """
        key = (name.lower().removesuffix("."), kind)
        if not fresh:
            answer = self._remembered(key)
            if answer is not None:
                return answer
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._ask(key))
            self._asking[key] = asking
        return await asyncio.shield(asking)

    async def look_up_all(self, questions: Sequence[tuple[str, Kind]]) -> list[Answer]:
        """The answers to several questions, in their order, asked at the same time.

        Names are lower case and without the final dot. What is remembered costs no task.
        """
        answers = [self._remembered(question) for question in questions]
        missing = [at for at, answer in enumerate(answers) if answer is None]
        told = await asyncio.gather(*(self.look_up(*questions[at]) for at in missing))
        found = dict(zip(missing, told, strict=True))
        return [found[at] if answer is None else answer for at, answer in enumerate(answers)]

    def _remembered(self, key: _Key) -> Answer | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        until, answer = kept
        if self._clock.monotonic() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return answer

    async def _ask(self, key: _Key) -> Answer:
        try:
            async with self._slots:
                told = await self._upstream.ask(*key)
        finally:
            del self._asking[key]
        self._keep(key, told)
        return told.answer

    def _keep(self, key: _Key, told: Told) -> None:
        if isinstance(told.answer, Temporary) and self._remembered(key) is not None:
            return  # A fresh look that failed is no reason to forget what still holds.
        seconds = _seconds(told)
        if seconds <= 0:
            self._kept.pop(key, None)
            return
        self._kept[key] = (self._clock.monotonic() + seconds, told.answer)
        self._kept.move_to_end(key)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


def _seconds(told: Told) -> float:
    """How long an answer is kept. A time to live of 0 serves only those who wait for it."""
    if isinstance(told.answer, Found):
        if sum(map(len, told.answer.records)) > MOST_CHARACTERS:
            return 0.0
        return min(told.seconds, LONGEST_SECONDS)
    if isinstance(told.answer, Temporary):
        return TEMPORARY_SECONDS
    least, most = DENIAL_SECONDS
    return min(max(told.seconds, least), most)
