"""The store of a chaos run, asked directly: what is unsettled, in hand, in which state.

Every question is asked until the store answers, for a bounded time: it may have just been killed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import redis
from redis.exceptions import RedisError

from shared.errors import StoreError
from shared.model.leg import LegState, leg_id, message_of, unpack_leg
from shared.model.message import CLASSES
from shared.model.status import OPEN, Status
from shared.settings import Settings, StoreSettings
from shared.store.figures import Depth
from shared.store.ports import Stored
from shared.store.redis_returns import RedisReturns
from shared.store.redis_spool import RedisSpool
from shared.store.scripts import PREFIX
from tests.chaos.copies import Copy, Flight
from tests.chaos.mail import MOST_RECIPIENTS

Leased = dict[bytes, set[int]]
"""By message, which of its recipients' mail is in the hands of workers."""
ANSWER_SECONDS = 60.0
_Found = TypeVar("_Found")


class Store:
    """A spool and a plain client of the same server."""

    def __init__(self, url: str) -> None:
        settings = Settings(store=StoreSettings(redis_url=url, timeout_seconds=2))
        self._spool = RedisSpool(settings, connections=4)
        self._returns = RedisReturns(settings)
        self._redis = redis.Redis.from_url(url, socket_timeout=2)

    def close(self) -> None:
        """Close the connections."""
        self._spool.close()
        self._returns.close()
        self._redis.close()

    def _ask(self, question: Callable[[], _Found]) -> _Found:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return question()
            except (StoreError, RedisError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def wait(self) -> None:
        """Return when it answers."""
        self._ask(self._redis.ping)

    def depth(self) -> Depth:
        """The counts."""
        return self._ask(self._spool.depth)

    def outcomes(self) -> dict[str, int]:
        """Its figures of what became of recipients: what -> how many."""
        found: Counter[str] = Counter()
        for key, count in self._ask(lambda: self._returns.outcomes(0)).items():
            found[key[3]] += count
        return dict(found)

    def get(self, message_id: bytes) -> Stored | None:
        """A message."""
        return self._ask(lambda: self._spool.get(message_id))

    def statuses(self, message_id: bytes) -> dict[str, Status]:
        """Status by address; empty when the message is not known."""
        stored = self.get(message_id)
        if stored is None:
            return {}
        by_index = stored.statuses()
        return {each.email: by_index[at] for at, each in enumerate(stored.head.recipients)}

    def leased(self) -> Leased:
        """Whose mail is in the hands of workers."""

        def ask() -> Leased:
            pipe = self._redis.pipeline(transaction=False)
            for index in range(len(CLASSES)):
                pipe.zrange(f"{PREFIX}leases:{index}", 0, -1)
            ids = [each for some in pipe.execute() for each in some]
            for each in ids:
                pipe.hget(f"{PREFIX}leg:{each[15]}", each)
            found: Leased = {}
            for each, record in zip(ids, pipe.execute(), strict=True):
                if record is not None:
                    found.setdefault(message_of(each), set()).update(unpack_leg(record).indices())
            return found

        return self._ask(ask)

    def unsettled(self, copies: Sequence[Copy]) -> set[Flight]:
        """Those copies whose recipient the store does not know as delivered."""
        by_message: dict[bytes, list[Copy]] = {}
        for copy in copies:
            by_message.setdefault(copy.stored_as, []).append(copy)
        found: set[Flight] = set()
        for message_id in self._not_final(by_message):
            statuses = self.statuses(message_id)
            found.update(
                copy.flight
                for copy in by_message[message_id]
                if statuses.get(copy.recipient, Status.QUEUED) in OPEN
            )
        return found

    def _not_final(self, messages: Iterable[bytes]) -> list[bytes]:
        """Those with a leg that is not at its end."""
        wanted = list(messages)

        def ask() -> list[list[bytes | None]]:
            pipe = self._redis.pipeline(transaction=False)
            for each in wanted:
                legs = [leg_id(each, number) for number in range(MOST_RECIPIENTS)]
                pipe.hmget(f"{PREFIX}leg:{each[15]}", legs)
            records: list[list[bytes | None]] = pipe.execute()
            return records

        return [
            message_id
            for message_id, legs in zip(wanted, self._ask(ask), strict=True)
            if legs[0] is None or any(leg and leg[1] != LegState.FINAL for leg in legs)
        ]


def open_recipients(depth: Depth) -> int:
    """Recipients that somebody still has to act on, and legs that are anywhere but at their end."""
    recipients = sum(
        count
        for by_status in depth.by_status.values()
        for name, count in by_status.items()
        if Status(name) in OPEN
    )
    legs = (depth.ready_legs, depth.deferred_legs, depth.leased_legs)
    return recipients + sum(sum(some.values()) for some in legs)
