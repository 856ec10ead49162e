"""Messages for the store itself, without the API: realistic entries, claimed and settled by hand.

python -m tests.bench.entries URL COUNT FIRST     # leave COUNT deferred entries in a store
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from shared.ids import message_id_header, new_message_id
from shared.model.leg import Attempt, Leg, LegState, RecipientReply, pack_history
from shared.model.message import Address, Content, Head, Message, MessageClass, Recipient
from shared.model.status import Status
from shared.settings import Settings, StoreSettings, WorkerSettings
from shared.store.ports import Accepted, Claimed, Settlement, Spool, Submission, Verb
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from tests.bench.http_load import message
from workers.starts import starting

CLASS: MessageClass = "transactional"
CONTENTS = 200
"""Different contents; there are far more messages."""
SLAB = 5000
CLAIM = 200
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def settings(url: str) -> Settings:
    """Of a benchmark's store: patient; keeps few events and nothing finished: they weigh too."""
    return Settings(
        store=StoreSettings(
            redis_url=url, timeout_seconds=30, events_max=1000, retention_messages=0
        ),
        worker=WorkerSettings(legs_in_hand=1000, lease_seconds=30),
    )


@cache
def _content(number: int) -> Content:
    text = message(number)
    return Content(text["text"], text["html"])


def submission(number: int, destinations: int = 1) -> Submission:
    """A message of 4 KB to one recipient."""
    identifier = new_message_id()
    now = time.time_ns() // 1_000_000
    head = Head(
        "bench", CLASS, message_id_header(identifier, "shop.test"),
        Address("orders@shop.test", "Shop"), "orders@shop.test",
        (Recipient("to", f"customer{number}@example.test"),), f"Your order {number}", now,
        give_up_ms=now + 5 * DAY_MS,
    )  # fmt: skip
    hop = f"hop{number % destinations}"
    leg = Leg(LegState.READY, CLASS, hop, (Status.QUEUED,), give_up_ms=head.give_up_ms)
    return Submission(Message(identifier, head, _content(number % CONTENTS)), (leg,))


def deferral(claimed: Claimed, wait_ms: int) -> Settlement:
    """The server says 450, in about 80 characters."""
    to = claimed.head.recipients[0].email
    text = f"<{to}>: Recipient address rejected: Greylisted, try again later"
    return _settled(claimed, Status.DEFERRED, RecipientReply(0, "f", 450, "4.2.0", text), wait_ms)


def delivery(claimed: Claimed) -> Settlement:
    """The server says 250."""
    return _settled(claimed, Status.DELIVERED, RecipientReply(0, "d", 250, "2.0.0", "queued"))


def _settled(
    claimed: Claimed, status: Status, reply: RecipientReply, wait_ms: int = 0
) -> Settlement:
    leg = claimed.leg
    attempt = Attempt(time.time_ns() // 1_000_000, leg.hop, (reply,))
    return Settlement(
        claimed.leg_id, claimed.fence, Verb.SETTLE, (status,), leg.attempts + 1,
        pack_history((*leg.history, attempt)), msgspec.msgpack.encode(attempt), wait_ms,
        answered=True,
    )  # fmt: skip


def accept(spool: Spool, submissions: Sequence[Submission]) -> None:
    """Accept them, as a batch of the API does: up to 1,000 in a call."""
    for at in range(0, len(submissions), 1000):
        for answer in spool.accept(submissions[at : at + 1000]):
            assert isinstance(answer, Accepted), answer


async def work_off(
    queue: RedisQueue, settle: Callable[[Claimed], Settlement], *, start: bool = True
) -> int:
    """Claim, start and settle until nothing is ready, two claims at a time; how many legs."""

    async def work() -> int:
        done = 0
        while True:
            claim = await queue.claim(CLASS, limit=CLAIM, quantum=CLAIM)
            if not claim.legs:
                return done
            if start:
                await queue.start([starting(each) for each in claim.legs])
            await queue.settle([settle(each) for each in claim.legs])
            done += len(claim.legs)

    return sum(await asyncio.gather(work(), work()))


def _in_hours(claimed: Claimed) -> Settlement:
    return deferral(claimed, random.randrange(HOUR_MS, 2 * HOUR_MS))


async def _load(url: str, count: int, first: int) -> None:
    used = settings(url)
    spool, queue = RedisSpool(used), RedisQueue(used)
    for at in range(0, count, SLAB):
        accept(spool, [submission(first + at + n) for n in range(min(SLAB, count - at))])
        await work_off(queue, _in_hours, start=False)
        await queue.pump("loader")  # Trims the events.
    spool.close()
    await queue.close()


if __name__ == "__main__":
    asyncio.run(_load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
