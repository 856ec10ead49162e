"""One of a pool's connections: a session, and the task that works it until it ends.

It takes delivery after delivery from its pool. One whose session is lost before the server has
said anything about it goes back to the pool, unseen by its caller; every other trouble is told.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from shared.metrics.worker import WorkerMetrics
from shared.relays import Relay
from workers.smtp.auth import Tokens
from workers.smtp.commands import prepare
from workers.smtp.own_name import OwnName
from workers.smtp.places import Places
from workers.smtp.session import Session, why
from workers.smtp.transaction import Steps
from workers.smtp.types import STOPPED, Broken, Delivery, OutOfStep, Stage, Transaction

_log = structlog.get_logger(__name__)

MAX_TRIES = 3
"""Sessions a delivery may lose unseen before that is told."""


class Source(Protocol):
    """The pool, as its sessions see it."""

    relay: Relay
    places: Places
    metrics: WorkerMetrics

    def take(self, connection: Connection) -> Delivery | None:
        """The next delivery for a session."""
        ...

    def give_back(self, delivery: Delivery) -> None:
        """A delivery that another session should do, before all others."""
        ...

    def has_more_than_openings(self) -> bool:
        """Whether deliveries wait that no session being set up will take."""
        ...

    def opened(self) -> None:
        """A session is ready."""
        ...

    def not_opened(self, trouble: Transaction | None) -> None:
        """A session could not be set up; None when that was given up."""
        ...

    def rest(self, connection: Connection) -> None:
        """A session has nothing to do; it is woken with a delivery."""
        ...

    def stir(self, connection: Connection) -> None:
        """A session that rested ends, or was woken."""
        ...

    def leave(self, connection: Connection) -> None:
        """A session has ended."""
        ...

    @property
    def retired(self) -> bool:
        """Whether sessions should end as soon as nothing waits."""
        ...

    @property
    def surplus(self) -> int:
        """Sessions that should end after the message they are at."""
        ...

    def ends(self, connection: Connection) -> bool:
        """Whether a session that is between two messages is to be one of these."""
        ...


class Connection:
    """A session and its task."""

    def __init__(self, pool: Source, tokens: Tokens, own_name: OwnName) -> None:
        self._pool = pool
        self._relay = pool.relay
        self._loop = asyncio.get_running_loop()
        self.session = Session(pool.relay, tokens, own_name, pool.places)
        self.delivery: Delivery | None = None
        """The delivery being done."""
        self._steps: Steps | None = None
        self.ordinary = False
        """Whether the pool counts it among those busy with ordinary deliveries."""
        self.ending = False
        """Whether it was told to end, because others wait for its place."""
        self.task: asyncio.Task[None] | None = None
        self._woken: asyncio.Future[Delivery | None] | None = None

    def so_far(self) -> Transaction | None:
        """What happened in the transaction that is under way."""
        return self._steps.result(STOPPED) if self._steps is not None else None

    def start(self) -> None:
        """Set the session up, and work until it ends."""
        self.task = self._loop.create_task(self._run())

    def wake(self, delivery: Delivery | None) -> None:
        """End the rest: do a delivery, or with None end the session."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(delivery)
        elif delivery is not None:
            self._pool.give_back(delivery)

    def _disturbed(self) -> None:
        """The server has closed the resting session, or has said something unasked."""
        self.wake(None)

    async def _run(self) -> None:
        try:
            if await self._open():
                await self._work()
                await self.session.quit()
        finally:
            self.session.abort()
            self._pool.leave(self)

    async def _open(self) -> bool:
        try:
            trouble = await self.session.open()
        except Exception:  # A fault of ours; to try again at once, for ever, would be another.
            _log.exception("session_broke_at_set_up", relay=self._relay.name)
            trouble = Transaction(Stage.CONNECT, trouble="fault at set-up")
        except BaseException:
            self._pool.not_opened(None)
            raise
        if trouble is not None:
            self._pool.not_opened(trouble)
            return False
        metrics = self._pool.metrics
        metrics.sessions_opened += 1
        if self.session.handshake_seconds is not None:
            metrics.handshake.observe(self.session.handshake_seconds)
        return True

    # -- one after the other -----------------------------------------------------------------

    async def _work(self) -> None:
        delivery = self._next()
        self._pool.opened()  # Not before it has taken one: else that had another session set up.
        while True:
            if delivery is None:
                handed = None if self._pool.retired else await self._rest()
                if handed is None:
                    return
                delivery = self._fit(handed) or self._next()
                continue
            following = await self._transact(delivery, on_the_wire=False)
            while following is not None:
                following = await self._transact(following, on_the_wire=True)
            if not self._may_go_on():
                return
            delivery = self._next()

    def _may_go_on(self) -> bool:
        if not self.session.usable or self._is_spent():
            return False
        return not self._pool.ends(self)

    def _is_spent(self) -> bool:
        """Whether the session has had its messages or its time."""
        session, relay = self.session, self._relay
        return (
            session.messages >= relay.messages_per_connection
            or self._loop.time() - session.opened_at >= relay.max_age_seconds
        )

    def _next(self) -> Delivery | None:
        """The next delivery that this server can be asked to do; the others are answered."""
        while True:
            delivery = self._pool.take(self)
            if delivery is None or self._fit(delivery) is not None:
                return delivery

    def _fit(self, delivery: Delivery) -> Delivery | None:
        """The delivery, its commands made for this server; None when that has been its answer."""
        answer = prepare(delivery, self.session.offered, self._relay.dsn)
        if answer is None:
            return delivery
        delivery.done(answer)
        return None

    async def _rest(self) -> Delivery | None:
        """Wait for a delivery; None when the session should end."""
        age_left = self.session.opened_at + self._relay.max_age_seconds - self._loop.time()
        seconds = max(0.0, min(self._relay.idle_seconds, age_left))
        timer = self._loop.call_later(seconds, self._disturbed)
        self._woken = self._loop.create_future()
        self._pool.rest(self)
        self.session.wire.watch(self._disturbed)
        try:
            delivery = await self._woken
        finally:
            self._woken = None
            timer.cancel()
            self.session.wire.watch(None)
            self._pool.stir(self)
        if delivery is not None and not self.session.usable:
            self._pool.give_back(delivery)
            return None
        return delivery

    # -- one transaction --------------------------------------------------------------------

    def take(self) -> Delivery | None:
        """The delivery to send along with the current message's data."""
        if (
            not self._relay.send_ahead
            or self._is_spent()
            or self._pool.surplus > 0
            or not self._pool.has_more_than_openings()
        ):
            return None
        return self._next()

    def give_back(self, delivery: Delivery) -> None:
        """The delivery behind a message whose reply is slow."""
        self._pool.give_back(delivery)

    async def _transact(self, delivery: Delivery, *, on_the_wire: bool) -> Delivery | None:
        """Do a delivery; gives the one whose envelope went along with it."""
        session = self.session
        self.delivery = delivery
        session.messages += 1
        self._pool.metrics.transactions += 1
        session.stage = Stage.RCPT  # Not usable until this has ended well.
        steps = self._steps = Steps(session, delivery, on_the_wire=on_the_wire)
        clean = False
        try:
            clean = await steps.run(self)
            delivery.done(steps.result())
        except (Broken, OSError) as error:
            self._broken(steps, error)
        except Exception as error:  # A fault of ours: the caller's shell reports it.
            if not delivery.result.done():
                delivery.result.set_exception(error)
        finally:
            self.delivery = self._steps = None
            if not clean:
                session.abort()
                if steps.following is not None:
                    self._move(steps.following)
        if clean:
            session.stage = Stage.MAIL
            return steps.following
        return None

    def _broken(self, steps: Steps, error: Broken | OSError) -> None:
        delivery = steps.delivery
        if isinstance(error, OutOfStep):
            steps.discard()
        kept = self.session.messages > 1
        if kept and steps.is_untouched() and delivery.lease.holds() and delivery.tries < MAX_TRIES:
            delivery.tries += 1
            self._pool.give_back(delivery)
        else:
            delivery.done(steps.result(error.why if isinstance(error, Broken) else why(error)))

    def _move(self, delivery: Delivery) -> None:
        """One whose envelope went out on a session that then broke: nothing of it was taken."""
        delivery.tries += 1
        if delivery.tries <= MAX_TRIES:
            self._pool.give_back(delivery)
        else:
            delivery.done(Transaction(Stage.MAIL, trouble="connection lost"))
