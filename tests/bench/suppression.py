"""The suppression list with 10,000,000 entries: what one weighs, and what asking it costs accept.

    python -m tests.bench.run suppression           # about fifteen minutes
    python -m tests.bench.run --quick suppression   # 200,000 entries, in half a minute

Two servers of the project's own configuration, one with an empty list. Entries are put on it as an
import does, a thousand in a call. Most are an address that bounced for one application; each tenth
is an unsubscription from a list. The pump runs now and then, or their events would weigh more.

**An entry's memory** is the difference of `used_memory`, and of the process's resident memory,
over the number of entries. **Asking** is judged by the server's processor time for an accepted
recipient: both servers take turns at accepting the same messages to people who are not on the list.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.model.leg import Leg, LegState
from shared.model.message import Recipient
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.store.ports import Submission
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from shared.store.redis_suppressions import RedisSuppressions
from tests.bench.deferred import info_of, new_server, server_us
from tests.bench.effort import Effort
from tests.bench.entries import CLASS, accept, delivery, settings, submission, work_off
from tests.bench.figure import Figure, Peer
from tests.support.redis_server import RedisServer

AT_ONCE = 1000
PUMP_EACH = 50
ROUNDS = 7
MESSAGES = 100
RECIPIENTS = 50
"""Many, so that what a message costs weighs little."""
PAGES = 200


@dataclass(frozen=True)
class Weight:
    """What the entries came to."""

    seconds: float
    slowest_ms: float
    used_bytes: float
    resident_bytes: float


def _entry(number: int) -> Suppression:
    provider = ("gmail.com", "outlook.com", "company-mail.example", "web.de")[number % 4]
    listed = number % 10 == 0
    return Suppression(
        f"{('maria', 'li', 'jonathan.schmidt')[number % 3]}{number}@{provider}", "shop",
        "newsletter" if listed else "", "unsubscribe" if listed else "bounce",
        "one-click" if listed else "smtp", 1_790_000_000_000 + number,
        detail="" if listed else "550 5.1.1",
    )  # fmt: skip


async def _pump(url: str) -> None:
    queue = RedisQueue(settings(url))
    await queue.pump("bench")
    await queue.close()


def _import(server: RedisServer, count: int) -> Weight:
    used, resident = info_of(server, "memory", "used_memory"), _resident(server)
    suppressions = RedisSuppressions(settings(server.url))
    spent, slowest = 0.0, 0.0
    for at in range(0, count, AT_ONCE):
        entries = [_entry(number) for number in range(at, at + AT_ONCE)]
        began = time.perf_counter()
        suppressions.add(entries, together=True)
        took = time.perf_counter() - began
        spent += took
        slowest = max(slowest, took)
        if at // AT_ONCE % PUMP_EACH == 0:
            asyncio.run(_pump(server.url))
    asyncio.run(_pump(server.url))
    assert suppressions.count() == count
    found = suppressions.find(_entry(count // 2).address)
    assert found == [_entry(count // 2)]
    suppressions.close()
    return Weight(
        spent, slowest * 1000,
        (info_of(server, "memory", "used_memory") - used) / count,
        (_resident(server) - resident) / count,
    )  # fmt: skip


def _resident(server: RedisServer) -> int:
    return info_of(server, "memory", "used_memory_rss")


def _submissions(first: int) -> list[Submission]:
    """Messages to people who are not on the list."""
    found = []
    for number in range(first, first + MESSAGES):
        given = submission(number)
        people = tuple(
            Recipient("to", f"someone{number * RECIPIENTS + at}@elsewhere.example")
            for at in range(RECIPIENTS)
        )
        head = msgspec.structs.replace(given.message.head, application="shop", recipients=people)
        message = msgspec.structs.replace(given.message, head=head)
        leg = Leg(
            LegState.READY, CLASS, "hop", (Status.QUEUED,) * RECIPIENTS, give_up_ms=head.give_up_ms
        )
        found.append(msgspec.structs.replace(given, message=message, legs=(leg,)))
    return found


def _accepting(server: RedisServer, round_: int) -> float:
    """The server's microseconds a recipient."""
    spool = RedisSpool(settings(server.url))
    many = _submissions(round_ * MESSAGES)
    gc.collect()
    before = server_us(server)
    accept(spool, many)
    after = server_us(server)
    spool.close()
    asyncio.run(_drain(server.url))
    return (after - before) / (MESSAGES * RECIPIENTS)


async def _drain(url: str) -> None:
    queue = RedisQueue(settings(url))

    def settle(claimed: Any) -> Any:
        given = delivery(claimed)
        return msgspec.structs.replace(given, statuses=(Status.DELIVERED,) * RECIPIENTS)

    await work_off(queue, settle, start=False)
    await queue.pump("bench")
    await queue.close()


def _page_us(server: RedisServer) -> float:
    """The client's microseconds an entry of a page."""
    suppressions = RedisSuppressions(settings(server.url))
    began, cursor, count = time.perf_counter(), "", 0
    for _ in range(PAGES):
        page = suppressions.page(cursor, 500)
        count += len(page.entries)
        cursor = page.next_cursor
        if not cursor:
            break
    suppressions.close()
    return (time.perf_counter() - began) / count * 1e6


def suppression(effort: Effort) -> list[Figure]:
    """The figures."""
    count = effort.suppressions
    with new_server() as empty, new_server() as full:
        weight = _import(full, count)
        pairs = [(_accepting(empty, each), _accepting(full, each)) for each in range(ROUNDS)]
        page = _page_us(full)
    return list(_figures(count, weight, pairs, page))


def _figures(
    count: int, weight: Weight, pairs: list[tuple[float, float]], page: float
) -> Iterator[Figure]:
    name = f"suppression list of {count:,}"
    before = tuple(each for each, _ in pairs)
    after = tuple(each for _, each in pairs)
    yield Figure(f"{name}: import", (weight.seconds,), "s", "lower")
    yield Figure(f"{name}: slowest call of {AT_ONCE}", (weight.slowest_ms,), "ms", "lower")
    yield Figure(f"{name}: an entry", (weight.used_bytes,), "bytes", "lower", must=100)
    yield Figure(f"{name}: an entry, resident", (weight.resident_bytes,), "bytes", "lower")
    yield Figure(
        f"{name}: accepting a recipient", after, "us", "lower",
        peers=(Peer("an empty list", before),),
    )  # fmt: skip
    more = statistics.median(after) - statistics.median(before)
    yield Figure(f"{name}: asking, of that", (max(more, 0.0),), "us", "lower", must=50, aim=5)
    yield Figure(f"{name}: listing an entry", (page,), "us", "lower")
