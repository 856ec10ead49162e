"""One of a pool's connections: a session, and the task that works it until it ends.

It takes job after job from its pool. A job whose session is lost before the server has said
anything about it goes back to the pool, unseen by its caller; every other trouble is told.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from shared.relays import Relay
from workers.smtp.auth import Tokens
from workers.smtp.session import Session, why
from workers.smtp.transaction import Steps, prepare
from workers.smtp.types import Broken, Job, Stage, Transaction

_log = structlog.get_logger(__name__)

MAX_TRIES = 3
"""Sessions a job may lose unseen before that is told."""


class Jobs(Protocol):
    """The pool, as its sessions see it."""

    relay: Relay
    messages: int

    def take(self, place: Place) -> Job | None:
        """The next job for a session."""
        ...

    def give_back(self, job: Job) -> None:
        """A job that another session should do, before all others."""
        ...

    def has_more_than_openings(self) -> bool:
        """Whether jobs wait that no session being set up will take."""
        ...

    def opened(self) -> None:
        """A session is ready."""
        ...

    def not_opened(self, trouble: Transaction | None) -> None:
        """A session could not be set up; None when that was given up."""
        ...

    def rest(self, place: Place) -> None:
        """A session has nothing to do; it is woken with a job."""
        ...

    def stir(self, place: Place) -> None:
        """A session that rested ends, or was woken."""
        ...

    def leave(self, place: Place) -> None:
        """A session has ended."""
        ...

    @property
    def retired(self) -> bool:
        """Whether sessions should end as soon as nothing waits."""
        ...


class Place:
    """A session and its task."""

    def __init__(self, pool: Jobs, tokens: Tokens) -> None:
        self._pool = pool
        self._relay = pool.relay
        self._loop = asyncio.get_running_loop()
        self.session = Session(pool.relay, tokens)
        self.job: Job | None = None
        """The job being done."""
        self.ordinary = False
        """Whether the pool counts it among those busy with ordinary jobs."""
        self.task: asyncio.Task[None] | None = None
        self._woken: asyncio.Future[Job | None] | None = None

    def start(self) -> None:
        """Set the session up, and work until it ends."""
        self.task = self._loop.create_task(self._run())

    def wake(self, job: Job | None) -> None:
        """End the rest: do a job, or with None end the session."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(job)
        elif job is not None:
            self._pool.give_back(job)

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
        return True

    # -- from job to job --------------------------------------------------------------------

    async def _work(self) -> None:
        job = self._next()
        self._pool.opened()  # After it has taken a job: else another session were set up for that.
        while True:
            if job is None:
                handed = None if self._pool.retired else await self._rest()
                if handed is None:
                    return
                job = self._fit(handed) or self._next()
                continue
            following = await self._transact(job, on_the_wire=False)
            while following is not None:
                following = await self._transact(following, on_the_wire=True)
            if not self._may_go_on():
                return
            job = self._next()

    def _may_go_on(self) -> bool:
        return self.session.usable and not self._is_spent()

    def _is_spent(self) -> bool:
        """Whether the session has had its messages or its time."""
        session, relay = self.session, self._relay
        return (
            session.messages >= relay.messages_per_connection
            or self._loop.time() - session.opened_at >= relay.max_age_seconds
        )

    def _next(self) -> Job | None:
        """The next job that this server can be asked to do; the others are answered."""
        while True:
            job = self._pool.take(self)
            if job is None or self._fit(job) is not None:
                return job

    def _fit(self, job: Job) -> Job | None:
        """The job, its commands made for this server; None when that has been its answer."""
        answer = prepare(job, self.session.offered, self._relay.dsn)
        if answer is None:
            return job
        job.done(answer)
        return None

    async def _rest(self) -> Job | None:
        """Wait for a job; None when the session should end."""
        age_left = self.session.opened_at + self._relay.max_age_seconds - self._loop.time()
        seconds = max(0.0, min(self._relay.idle_seconds, age_left))
        timer = self._loop.call_later(seconds, self._disturbed)
        self._woken = self._loop.create_future()
        self._pool.rest(self)
        self.session.wire.watch(self._disturbed)
        try:
            job = await self._woken
        finally:
            self._woken = None
            timer.cancel()
            self.session.wire.watch(None)
            self._pool.stir(self)
        if job is not None and not self.session.usable:
            self._pool.give_back(job)
            return None
        return job

    # -- one transaction --------------------------------------------------------------------

    def take(self) -> Job | None:
        """The job to send along with the current message's data."""
        if (
            not self._relay.send_ahead
            or self._is_spent()
            or not self._pool.has_more_than_openings()
        ):
            return None
        return self._next()

    def give_back(self, job: Job) -> None:
        """The job behind a message whose reply is slow."""
        self._pool.give_back(job)

    async def _transact(self, job: Job, *, on_the_wire: bool) -> Job | None:
        """Do a job; gives the one whose envelope went along with it."""
        session = self.session
        self.job = job
        session.messages += 1
        session.stage = Stage.RCPT  # Not usable until this has ended well.
        self._pool.messages += 1
        steps = Steps(session, job, on_the_wire=on_the_wire)
        clean = False
        try:
            clean = await steps.run(self)
            job.done(steps.result())
        except (Broken, OSError) as error:
            self._broken(steps, error.why if isinstance(error, Broken) else why(error))
        except Exception as error:  # A fault of ours: the caller's shell reports it.
            if not job.result.done():
                job.result.set_exception(error)
        finally:
            self.job = None
            if not clean:
                session.abort()
                if steps.following is not None:
                    self._move(steps.following)
        if clean:
            session.stage = Stage.MAIL
            return steps.following
        return None

    def _broken(self, steps: Steps, trouble: str) -> None:
        job = steps.job
        kept = self.session.messages > 1
        if kept and steps.is_untouched() and job.lease.holds() and job.tries < MAX_TRIES:
            job.tries += 1
            self._pool.give_back(job)
        else:
            job.done(steps.result(trouble))

    def _move(self, job: Job) -> None:
        """A job whose envelope went out on a session that then broke: nothing of it was taken."""
        job.tries += 1
        if job.tries <= MAX_TRIES:
            self._pool.give_back(job)
        else:
            job.done(Transaction(Stage.MAIL, trouble="connection lost"))
