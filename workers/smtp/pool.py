"""Sessions kept open to one relay, shared by every leg that goes there.

`send` uses an idle session or opens one, at most `connections` at once; callers beyond that wait
in order, class critical first, and a reserved share is kept for it. A kept session that turns out
to be dead before the server answered MAIL is replaced once, unseen. Only cancellation is raised.
"""

from __future__ import annotations

import asyncio
from collections import deque

from shared.clock import Clock
from workers.smtp import tls
from workers.smtp.relay import Relay
from workers.smtp.session import ContextFactory, Session
from workers.smtp.types import Envelope, Lease, Stage, Transaction


class Pool:
    """The sessions of one relay in one process."""

    def __init__(
        self,
        relay: Relay,
        clock: Clock,
        *,
        reserved: int = 1,
        context: ContextFactory = tls.verified,
    ) -> None:
        self._relay = relay
        self._clock = clock
        self._context = context
        self._limit = max(1, relay.connections - reserved)
        self._busy = 0
        self._idle: list[tuple[Session, asyncio.TimerHandle]] = []
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction on a pooled session."""
        await self._enter(urgent)
        try:
            session = self._take_idle()
            if session is not None:
                transaction = await self._transact(session, envelope, message, lease)
                if not _was_stale(transaction) or not lease.holds():
                    return transaction
            session = Session(self._relay, self._context)
            try:
                trouble = await session.open()
            except BaseException:
                session.abort()  # Cancelled while it was being set up.
                raise
            if trouble is not None:
                return trouble
            return await self._transact(session, envelope, message, lease)
        finally:
            self._leave()

    async def _transact(
        self, session: Session, envelope: Envelope, message: bytes, lease: Lease
    ) -> Transaction:
        transaction = await session.transact(envelope, message, lease)
        if not session.usable:
            session.abort()
        elif session.messages >= self._relay.messages_per_connection:
            self._end(session)
        else:
            timer = asyncio.get_running_loop().call_later(
                self._relay.idle_seconds, self._expire, session
            )
            self._idle.append((session, timer))
        return transaction

    def _take_idle(self) -> Session | None:
        """The session used last, so that the others can grow idle and close."""
        while self._idle:
            session, timer = self._idle.pop()
            timer.cancel()
            if session.usable:
                return session
            session.abort()
        return None

    def _expire(self, session: Session) -> None:
        self._idle = [entry for entry in self._idle if entry[0] is not session]
        self._end(session)

    def _end(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # -- the limit ----------------------------------------------------------------------------

    def _may_enter(self, urgent: bool) -> bool:
        return self._busy < (self._relay.connections if urgent else self._limit)

    async def _enter(self, urgent: bool) -> None:
        queue = self._urgent if urgent else self._waiting
        if not queue and self._may_enter(urgent):
            self._busy += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn  # Whoever sets it has counted this caller as busy.
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self._busy -= 1
        for queue, urgent in ((self._urgent, True), (self._waiting, False)):
            while queue and self._may_enter(urgent):
                turn = queue.popleft()
                if not turn.done():
                    self._busy += 1
                    turn.set_result(None)

    async def close(self) -> None:
        """End every idle session politely."""
        idle, self._idle = self._idle, []
        for session, timer in idle:
            timer.cancel()
            self._end(session)
        if self._closing:
            await asyncio.wait(set(self._closing), timeout=self._relay.timeouts.quit)


def _was_stale(transaction: Transaction) -> bool:
    """Whether a kept session broke before the server answered anything: it may be tried anew."""
    return (
        transaction.mail is None
        and transaction.trouble == "connection lost"
        and transaction.stage is Stage.MAIL
    )
