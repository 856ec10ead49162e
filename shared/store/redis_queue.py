"""The spool's asynchronous half on Redis or Valkey: what a worker asks.

Takes and gives the values of `shared.store.ports`; each method is one script. Failures are the
`StoreError` family; every script may be sent again after one, because fences make it harmless.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from shared.clock import Clock, SystemClock
from shared.errors import StoreError
from shared.hops import DestinationLimit, PoolMembers
from shared.model.leg import Attempt, Leg, pack_attempt, pack_statuses, salvage_leg, unpack_leg
from shared.model.message import CLASSES, MessageClass, UnknownFormat
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import AsyncRedis, Value
from shared.store.limits import pack_limit
from shared.store.pools import pack_pool
from shared.store.ports import Claim, Pumped, Settled, Settlement, Verb
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.suppression_records import MOST_ASKED_BYTES, Adding, pack_check, unpack_entry
from shared.store.suppressions import Started, Starting, foremost
from shared.store.tickets import template
from shared.store.unreadable import Row, sort_out

INLINE_CONTENT_BYTES = 64 * 1024
CLAIM_CONTENT_BYTES = 4 * 1024 * 1024
PUMP_BATCH = 500
SETTLE_BATCH = 100
"""Settlements in one script: about 2 ms."""
LIMIT_BATCH = 1000
"""Limits in one script: a few ms, and one for each thousand queues that wait."""

_VERBS = {Verb.SETTLE: b"s", Verb.RELEASE: b"r"}
_SETTLED = {ord("d"): Settled.DONE, ord("l"): Settled.LATE, ord("r"): Settled.REFUSED}
_SYSTEM = SystemClock()


def _rows(flat: Sequence[Any]) -> Iterator[Row]:
    """The legs of a claim; the script has left out what it could not read itself."""
    for at in range(0, len(flat), 4):
        leg_id, packed, head, content = flat[at : at + 4]
        try:
            yield Row(leg_id, unpack_leg(packed), head, content)
        except UnknownFormat:
            with suppress(UnknownFormat):  # Else its lease runs out, and the pump buries it.
                yield Row(leg_id, salvage_leg(packed), None, None)


def _started(answer: Any) -> Started:
    """One answer of the start script."""
    if not isinstance(answer, list):
        return Started(may_go=answer == 1)
    found: dict[int, list[Suppression]] = {}
    for index, entry in zip(answer[0::2], answer[1::2], strict=True):
        with suppress(UnknownFormat):  # Damaged: mail goes its way.
            found.setdefault(index, []).append(unpack_entry(entry))
    return Started(may_go=True, suppressed={at: foremost(each) for at, each in found.items()})


def start_scripts(legs: Sequence[Starting]) -> Iterator[list[Value]]:
    """The arguments of each start script: one, unless there is much to ask the suppression list."""
    flat: list[Value] = []
    asked = 0
    for leg in legs:
        check = pack_check(leg.check)
        if flat and asked + len(check) > MOST_ASKED_BYTES:
            yield flat
            flat, asked = [], 0
        flat += (leg.leg_id, leg.fence, check)
        asked += len(check)
    if flat:
        yield flat


class RedisQueue:
    """`shared.store.ports.Queue` on a server. With a `clock` the scripts use its time."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._lease_ms = int(settings.worker.lease_seconds * 1000)
        self._redis = AsyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=max(2.0, settings.store.timeout_seconds),
        )
        self._template = template()

    async def _run(self, name: str, *arguments: Value, quantum: int | None = None) -> Any:
        now = b"" if self._clock is None else self._clock.now_ms()
        head = [now, self._template, quantum or self._settings.worker.quantum]
        return await self._redis.run(SCRIPTS[name], [*head, *arguments])

    async def claim(
        self,
        message_class: MessageClass,
        *,
        limit: int,
        quantum: int,
        tickets: Sequence[str] = (),
    ) -> Claim:
        """See the port."""
        reply = await self._run(
            "claim",
            CLASSES.index(message_class),
            limit,
            self._lease_ms,
            INLINE_CONTENT_BYTES,
            CLAIM_CONTENT_BYTES,
            *tickets,
            quantum=quantum,
        )
        more, alone, damaged, newer, wait, *flat = reply
        found = sort_out(_rows(flat), (self._clock or _SYSTEM).now_ms())
        apart = [*found.damaged, *found.newer]
        if apart:
            try:
                await self.settle(apart)
            except StoreError:
                pass  # Their leases run out, and they are claimed once more.
        damaged += len(found.damaged)
        newer += len(found.newer)
        again_ms = None if wait < 0 else wait
        return Claim(tuple(found.legs), more == 1, alone == 1, damaged, newer, again_ms)

    async def start(self, legs: Sequence[Starting]) -> list[Started]:
        """See the port."""
        answers: list[Started] = []
        for flat in start_scripts(legs):
            answers += map(_started, await self._run("start", *flat))
        return answers

    async def suppress(self, entries: Sequence[Suppression]) -> list[bool]:
        """See the port."""
        adding = Adding(entries)
        while arguments := adding.arguments():
            adding.answered(await self._run("suppress", *arguments))
        return adding.are_new()

    async def dot(
        self, leg_id: bytes, fence: int, statuses: tuple[Status, ...], attempt: Attempt
    ) -> bool:
        """See the port."""
        packed = pack_attempt(attempt)
        return bool(await self._run("dot", leg_id, fence, pack_statuses(statuses), packed) == 1)

    async def renew(self, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        """See the port."""
        flat = [part for leg in legs for part in leg]
        return [held == 1 for held in await self._run("renew", self._lease_ms, *flat)]

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """See the port."""
        answers: list[Settled] = []
        for start in range(0, len(settlements), SETTLE_BATCH):
            flat: list[Value] = []
            for each in settlements[start : start + SETTLE_BATCH]:
                flat += (
                    each.leg_id,
                    each.fence,
                    _VERBS[each.verb],
                    pack_statuses(each.statuses),
                    each.attempts,
                    each.history or (b"\x90" if each.verb is Verb.SETTLE else b""),
                    each.event,
                    each.retry_after_ms,
                    " ".join(each.counted),
                    "a" * each.answered + "p" * each.pinned,
                    each.refusal,
                )
            answers += [_SETTLED[letter] for letter in await self._run("settle", *flat)]
        return answers

    async def split(
        self,
        leg_id: bytes,
        fence: int,
        legs: Sequence[Leg],
        limits: Mapping[str, DestinationLimit | None] | None = None,
    ) -> bool:
        """See the port."""
        flat: list[Value] = [len(limits or {})]
        for key, limit in (limits or {}).items():
            flat += (key, pack_limit(limit))
        for leg in legs:
            count = len(leg.recipients)
            flat += (
                leg.hop,
                pack_statuses(leg.statuses),
                struct.pack(f">{count + 1}H", count, *leg.recipients),
            )
        return bool(await self._run("split", leg_id, fence, *flat) == 1)

    async def content(self, message_id: bytes) -> bytes | None:
        """See the port."""
        found: bytes | None = await self._redis.command(
            "HGET", f"{PREFIX}body:{message_id[15]}", message_id
        )
        return found

    async def pump(self, worker_id: str) -> Pumped:
        """See the port."""
        store, worker = self._settings.store, self._settings.worker
        due, reaped, crashed, dead, tickets, trimmed, forgotten, paused, more = await self._run(
            "pump",
            worker_id,
            self._lease_ms,
            worker.max_crashes,
            store.retention_seconds * 1000,
            store.retention_messages,
            store.events_max,
            PUMP_BATCH,
            store.recent_messages,
        )
        return Pumped(
            due, reaped, crashed, dead, tickets, trimmed, forgotten, paused == 1, more == 1
        )

    async def limits(self, limits: Mapping[str, DestinationLimit | None]) -> None:
        """See the port."""
        pairs = [(key, pack_limit(limit)) for key, limit in limits.items()]
        for start in range(0, len(pairs), LIMIT_BATCH):
            await self._run("limit", *chain.from_iterable(pairs[start : start + LIMIT_BATCH]))

    async def limit(self, key: str, limit: DestinationLimit | None) -> None:
        """See the port."""
        await self.limits({key: limit})

    async def weights(self, weights: Mapping[str, int]) -> None:
        """See the port."""
        wanted = {name: weight for name, weight in weights.items() if weight != 1}
        known = await self._redis.command("HKEYS", f"{PREFIX}weights")
        gone = {name.decode() for name in known} - wanted.keys()
        for name, weight in wanted.items():
            await self._redis.command("HSET", f"{PREFIX}weights", name, weight)
        for name in gone:
            await self._redis.command("HDEL", f"{PREFIX}weights", name)

    async def pools(self, pools: Mapping[str, PoolMembers]) -> None:
        """See the port."""
        known = await self._redis.command("HKEYS", f"{PREFIX}pools")
        gone = {hop.decode() for hop in known} - pools.keys()
        for hop, pool in pools.items():
            await self._redis.command("HSET", f"{PREFIX}pools", hop, pack_pool(pool))
        for hop in gone:
            await self._redis.command("HDEL", f"{PREFIX}pools", hop)
            await self._redis.command("DEL", f"{PREFIX}served:{hop}")

    async def trouble(
        self,
        hop: str,
        reason: str,
        first_ms: int,
        longest_ms: int,
        *,
        own_commands: bool = False,
        firm: bool = False,
        slow: bool = False,
    ) -> int:
        """See the port."""
        wait_ms: int = await self._run(
            "trouble",
            hop,
            reason,
            first_ms,
            longest_ms,
            int(own_commands),
            "slow" if slow else "firm" if firm else "",
        )
        return wait_ms

    async def drop(self, message_class: MessageClass, ticket: str) -> None:
        """See the port."""
        await self._run("drop", CLASSES.index(message_class), ticket)

    async def leave(self, worker_id: str) -> None:
        """See the port."""
        await self._redis.command("ZREM", f"{PREFIX}workers", worker_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()
