"""Workers of the in-memory store, for tests of what people see: legs are claimed and settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from shared.ids import parse_external
from shared.model.leg import Attempt, RecipientReply, pack_history
from shared.model.status import Status
from shared.store.memory import MemoryStore
from shared.store.ports import Claimed
from tests.support.stores import settlement

Reply = tuple[int, str, str]
"""Code, enhanced code and text."""


def claim(store: MemoryStore, limit: int = 100) -> list[Claimed]:
    """What a worker of class transactional gets."""

    async def work() -> list[Claimed]:
        found = await store.queue.claim("transactional", limit=limit, quantum=limit)
        return list(found.legs)

    return asyncio.run(work())


def settle(
    store: MemoryStore,
    claimed: Claimed,
    statuses: Sequence[Status],
    replies: Sequence[Reply] = ((250, "2.0.0", "Ok"),),
    note: str = "",
    bytes_sent: int = 0,
) -> None:
    """An attempt; the last reply is everybody's who has none."""
    said = [*replies, *[replies[-1]] * len(statuses)] if replies else []
    told = tuple(
        RecipientReply(index, status.letter, *reply)
        for index, status, reply in zip(claimed.leg.indices(), statuses, said, strict=False)
    )
    attempt = Attempt(claimed.head.accepted_ms + 1000, claimed.leg.hop, told, note, bytes_sent)
    settled = msgspec.structs.replace(
        settlement(claimed, *statuses, note=note),
        history=pack_history((*claimed.leg.history, attempt), claimed.leg.earlier),
    )

    async def work() -> None:
        await store.queue.settle([settled])

    asyncio.run(work())


def attempt_all(
    store: MemoryStore, status: Status, *replies: Reply, note: str = "", bytes_sent: int = 0
) -> None:
    """Everything that is ready comes to the same."""
    for claimed in claim(store):
        statuses = [status] * len(claimed.leg.statuses)
        settle(store, claimed, statuses, replies or ((250, "2.0.0", "Ok"),), note, bytes_sent)


def raw(identifier: str) -> bytes:
    """The message's id as the store has it."""
    found = parse_external(identifier)
    assert found is not None
    return found
