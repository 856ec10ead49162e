"""The store for contract tests: the in-memory twin or a real server, on one manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
import redis

from shared.clock import ManualClock
from shared.hops import DestinationLimit
from shared.ids import message_id_header
from shared.model.leg import Attempt as LegAttempt
from shared.model.leg import (
    Leg,
    LegFlag,
    LegState,
    RecipientReply,
    pack_history,
    pack_leg,
    unpack_leg,
)
from shared.model.message import Address, Content, Head, Message, MessageClass, Recipient
from shared.model.status import Status
from shared.settings import RetrySettings, Settings, StoreSettings, WorkerSettings
from shared.store.keys import Keys
from shared.store.memory import MemoryStore
from shared.store.operations import Operations
from shared.store.ports import (
    Accepted,
    Claim,
    Claimed,
    Idempotency,
    Pumped,
    Queue,
    Settled,
    Settlement,
    Spool,
    Submission,
    Verb,
)
from shared.store.quotas import Quota
from shared.store.recent import Recent
from shared.store.records import Records
from shared.store.redis_keys import RedisKeys
from shared.store.redis_operations import RedisOperations
from shared.store.redis_queue import RedisQueue
from shared.store.redis_recent import RedisRecent
from shared.store.redis_records import RedisRecords
from shared.store.redis_returns import RedisReturns
from shared.store.redis_samples import RedisSamples
from shared.store.redis_sessions import RedisSessions
from shared.store.redis_spool import RedisSpool
from shared.store.redis_suppressions import RedisSuppressions
from shared.store.returns import Returns
from shared.store.samples import Samples
from shared.store.scripts import PREFIX
from shared.store.sessions import Answer, Asked, Sessions
from shared.store.suppressions import Started, Suppressions
from workers.starts import starting

T = TypeVar("T")
DAY_MS = 86_400_000


def settings(url: str = "", max_crashes: int = 3, **store: Any) -> Settings:
    """Settings for a test's store."""
    values: dict[str, Any] = {"redis_url": url} if url else {}
    return Settings(
        store=StoreSettings(**values, **store),
        worker=WorkerSettings(quantum=10, max_crashes=max_crashes),
        retry=RetrySettings(),
    )


class Store:
    """Both halves of one store, the clock, and shorthands for what tests do often."""

    returns: Returns
    records: Records
    recent: Recent
    samples: Samples

    def __init__(
        self, spool: Spool, keys: Keys, operations: Operations, suppressions: Suppressions,
        clock: ManualClock,
    ) -> None:  # fmt: skip
        self.spool = spool
        self.suppressions = suppressions
        self.operations = operations
        self.keys = keys
        self.clock = clock
        self._counter = 0

    def queue(self) -> Queue:
        """The asynchronous half; a real one belongs to one event loop."""
        raise AssertionError("a store of one kind or the other")

    def sessions(self) -> Sessions:
        """The SMTP sessions over all workers; as `queue`."""
        raise AssertionError("a store of one kind or the other")

    def put_history(self, leg_id: bytes, history: tuple[LegAttempt, ...]) -> None:
        """Make a leg's history this one, however long, with nothing compressed."""
        raise AssertionError("a store of one kind or the other")

    def put_head(self, message_id: bytes, packed: bytes | None) -> None:
        """Make a message's packed head this one; None: it has none."""
        raise AssertionError("a store of one kind or the other")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return asyncio.run(work)

    def submission(
        self,
        *,
        hops: Sequence[str] = ("relay",),
        message_class: MessageClass = "transactional",
        recipients: int = 1,
        send_in_ms: int | None = None,
        hold: bool = False,
        deliver_by_in_ms: int | None = None,
        idempotency: Idempotency | None = None,
        quota: Quota | None = None,
        application: str = "app",
        named: bool = True,
        identifier: bytes | None = None,
        text: str = "hello",
        list_name: str = "",
    ) -> Submission:
        """A message with `recipients` for each hop, one leg a hop.

        Without `named` the legs are as a release before applications took turns stored them.
        """
        self._counter += 1
        now = self.clock.now_ms()
        identifier = identifier or _uuid7(now, self._counter)
        people = tuple(
            Recipient("to", f"r{index}@example.test") for index in range(recipients * len(hops))
        )
        send_at = None if send_in_ms is None else now + send_in_ms
        head = Head(
            application, message_class, message_id_header(identifier, "a.test"),
            Address("a@a.test"), "a@a.test", people, "subject", now, send_at,
            None if deliver_by_in_ms is None else now + deliver_by_in_ms,
            now + (deliver_by_in_ms or 5 * DAY_MS), "hold" if hold else "resend", list=list_name,
        )  # fmt: skip
        waiting = send_at is not None
        legs = tuple(
            Leg(
                state=LegState.WAITING if waiting else LegState.READY,
                message_class=message_class,
                hop=hop,
                statuses=(Status.SCHEDULED if waiting else Status.QUEUED,) * recipients,
                recipients=tuple(range(at * recipients, (at + 1) * recipients))
                if len(hops) > 1
                else (),
                give_up_ms=head.give_up_ms,
                due_ms=send_at or 0,
                flags=LegFlag.HOLD if hold else LegFlag(0),
                legs=len(hops),
                application=application if named else "",
            )
            for at, hop in enumerate(hops)
        )
        return Submission(Message(identifier, head, Content(text)), legs, idempotency, quota)

    def accept(self, **options: Any) -> bytes:
        """Accept one message; its id."""
        submission = self.submission(**options)
        (answer,) = self.spool.accept([submission])
        assert isinstance(answer, Accepted), answer
        return answer.message_id

    def claim(self, message_class: MessageClass = "transactional", **options: Any) -> Claim:
        """Claim, and start what was claimed unless `start` is False."""
        start = options.pop("start", True)
        wanted = {"limit": 100, "quantum": 100, **options}

        async def work() -> Claim:
            claim = await self.queue().claim(message_class, **wanted)
            if start and claim.legs:
                await self.queue().start([starting(each) for each in claim.legs])
            return claim

        return self.run(work())

    def settle(self, *settlements: Settlement) -> list[Settled]:
        """Settle."""

        async def work() -> list[Settled]:
            return await self.queue().settle(settlements)

        return self.run(work())

    def renew(self, *claimed: Claimed) -> list[bool]:
        """Renew."""

        async def work() -> list[bool]:
            return await self.queue().renew([(each.leg_id, each.fence) for each in claimed])

        return self.run(work())

    def start(self, *claimed: Claimed) -> list[bool]:
        """Mark as started."""
        return [answer.may_go for answer in self.started(*claimed)]

    def started(self, *claimed: Claimed) -> list[Started]:
        """The same, with all that is answered."""

        async def work() -> list[Started]:
            return await self.queue().start([starting(each) for each in claimed])

        return self.run(work())

    def dot(self, claimed: Claimed, *statuses: Status) -> bool:
        """Mark as about to send the final dot; `statuses` are those of the leg unless given."""
        leg = claimed.leg
        replies = tuple(RecipientReply(at, "u", 250) for at in range(len(leg.statuses)))
        attempt = LegAttempt(2, leg.hop, replies, "worker ended at the final dot", 77)

        async def work() -> bool:
            queue = self.queue()
            return await queue.dot(claimed.leg_id, claimed.fence, statuses or leg.statuses, attempt)

        return self.run(work())

    def trouble(
        self,
        hop: str,
        reason: str = "connection refused",
        *,
        own_commands: bool = False,
        slow: bool = False,
    ) -> int:
        """A hop could not be used; for how long it stands still, in ms."""

        async def work() -> int:
            return await self.queue().trouble(
                hop, reason, 1000, 60_000, own_commands=own_commands, slow=slow
            )

        return self.run(work())

    def limit(self, key: str, **limits: Any) -> None:
        """Set a limit."""

        async def work() -> None:
            await self.queue().limit(key, DestinationLimit(**limits))

        self.run(work())

    def ask(self, process: str, *asked: Asked) -> list[Answer]:
        """Tell of a process's SMTP sessions, and ask for more."""

        async def work() -> list[Answer]:
            return await self.sessions().ask(process, asked)

        return self.run(work())

    def pump(self, worker: str = "w1") -> Pumped:
        """Run the pump once."""

        async def work() -> Pumped:
            return await self.queue().pump(worker)

        return self.run(work())

    def pump_for(self, seconds: float, worker: str = "w1") -> None:
        """Pump as a worker does, while the time goes by."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            self.pump(worker)

    def statuses(self, message_id: bytes) -> list[str]:
        """The statuses of a message's recipients, in order."""
        stored = self.spool.get(message_id)
        assert stored is not None
        return [status.value for _, status in sorted(stored.statuses().items())]

    def ledger(self) -> list[str]:
        """The kinds of all events, in order."""
        return [event.kind for event in self.spool.events(limit=10_000)]

    def reconcile(self) -> None:
        """Accepted equals the sum over all statuses, and no number is negative."""
        depth = self.spool.depth()
        for name, accepted in depth.accepted.items():
            assert accepted == sum(depth.by_status[name].values())
            assert all(count >= 0 for count in depth.by_status[name].values())
            assert depth.ready_legs[name] >= 0


class MemoryTestStore(Store):
    """The twin."""

    def __init__(self, used: Settings, clock: ManualClock) -> None:
        self.memory = MemoryStore(used, clock)
        memory = self.memory
        super().__init__(memory.spool, memory.keys, memory.operations, memory.suppressions, clock)
        self.returns = memory.returns
        self.records = memory.records
        self.recent = memory.recent
        self.samples = memory.samples

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The twin never waits, so no loop is needed: days of a test take a moment."""
        try:
            work.send(None)
        except StopIteration as done:
            found: T = done.value
            return found
        raise AssertionError("the twin has waited for something")

    def queue(self) -> Queue:
        """The twin's queue."""
        return self.memory.queue

    def sessions(self) -> Sessions:
        """The twin's sessions."""
        return self.memory.sessions

    def put_history(self, leg_id: bytes, history: tuple[LegAttempt, ...]) -> None:
        """Change the twin's leg."""
        leg = self.memory.state.legs[leg_id]
        self.memory.state.legs[leg_id] = msgspec.structs.replace(leg, history=history)

    def put_head(self, message_id: bytes, packed: bytes | None) -> None:
        """Change the twin's head."""
        self.memory.state.heads.pop(message_id, None)
        if packed is not None:
            self.memory.state.heads[message_id] = packed


class RedisTestStore(Store):
    """A real server; a connection for each coroutine, because a test has many loops."""

    def __init__(self, used: Settings, clock: ManualClock) -> None:
        self._settings = used
        self.url = used.store.redis_url
        self._loop = asyncio.new_event_loop()
        self._redis_queue: RedisQueue | None = None
        self._redis_sessions: RedisSessions | None = None
        self.client = redis.Redis.from_url(used.store.redis_url, socket_timeout=5)
        super().__init__(
            RedisSpool(used, clock), RedisKeys(used, clock), RedisOperations(used, clock),
            RedisSuppressions(used, clock), clock,
        )  # fmt: skip
        self.returns = self._redis_returns = RedisReturns(used, clock)
        self.records = self._redis_records = RedisRecords(used, clock)
        self.recent = self._redis_recent = RedisRecent(used, clock)
        self.samples = self._redis_samples = RedisSamples(used)

    def queue(self) -> Queue:
        """The server's queue."""
        if self._redis_queue is None:
            self._redis_queue = RedisQueue(self._settings, self.clock)
        return self._redis_queue

    def sessions(self) -> Sessions:
        """The server's sessions."""
        if self._redis_sessions is None:
            self._redis_sessions = RedisSessions(self._settings, self.clock)
        return self._redis_sessions

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on this store's own loop, which its connections belong to."""
        return self._loop.run_until_complete(work)

    def put_history(self, leg_id: bytes, history: tuple[LegAttempt, ...]) -> None:
        """Change the packed record."""
        key = f"{PREFIX}leg:{leg_id[15]}"
        leg = unpack_leg(self.client.hget(key, leg_id))  # type: ignore[arg-type]  # No coroutine.
        packed = pack_leg(msgspec.structs.replace(leg, history=(), earlier=b""))
        self.client.hset(key, leg_id, packed[:-1] + msgspec.msgpack.encode(history))

    def put_head(self, message_id: bytes, packed: bytes | None) -> None:
        """Change the packed head."""
        key = f"{PREFIX}head:{message_id[15]}"
        self.client.hdel(key, message_id)
        if packed is not None:
            self.client.hset(key, message_id, packed)

    def close(self) -> None:
        """Close every connection."""
        self.client.close()
        if self._redis_queue is not None:
            self._loop.run_until_complete(self._redis_queue.close())
        if self._redis_sessions is not None:
            self._loop.run_until_complete(self._redis_sessions.close())
        self._loop.close()
        assert isinstance(self.spool, RedisSpool)
        assert isinstance(self.keys, RedisKeys)
        assert isinstance(self.operations, RedisOperations)
        assert isinstance(self.suppressions, RedisSuppressions)
        self.suppressions.close()
        self._redis_returns.close()
        self._redis_records.close()
        self._redis_recent.close()
        self._redis_samples.close()
        self.operations.close()
        self.spool.close()
        self.keys.close()


def _uuid7(now_ms: int, counter: int) -> bytes:
    """A UUIDv7 that a test can repeat."""
    return now_ms.to_bytes(6, "big") + b"\x70\x00\x80" + counter.to_bytes(7, "big")


def settlement(
    claimed: Claimed,
    *statuses: Status,
    retry_ms: int = 60_000,
    note: str = "",
    answered: bool = True,
    counted: tuple[str, ...] = (),
) -> Settlement:
    """An attempt that came to `statuses` (one for all, or one each)."""
    count = len(claimed.leg.statuses)
    each = statuses * count if len(statuses) == 1 else statuses
    replies = tuple(RecipientReply(at, status.letter, 250) for at, status in enumerate(each))
    attempt = LegAttempt(1, claimed.leg.hop, replies, note)
    return Settlement(
        claimed.leg_id,
        claimed.fence,
        Verb.SETTLE,
        each,
        claimed.leg.attempts + 1,
        pack_history((*claimed.leg.history, attempt), claimed.leg.earlier),
        msgspec.msgpack.encode(attempt),
        retry_ms,
        answered=answered,
        counted=counted,
    )


def release(claimed: Claimed, retry_ms: int = 0, refusal: str = "") -> Settlement:
    """A leg given back unsent."""
    return Settlement(
        claimed.leg_id, claimed.fence, Verb.RELEASE, retry_after_ms=retry_ms, refusal=refusal
    )
