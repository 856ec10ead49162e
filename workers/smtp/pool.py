"""The sessions of one relay in one process, shared by every leg that goes there.

`send` queues a job; sessions take jobs, class critical first, and carry on with the next one as
soon as a message's data is out. At most `connections` are open, a share of them is kept for
critical, new ones are set up along a `Ramp`. A job whose session was lost before the server said
anything about it moves to another session, unseen. Only cancellation is raised.
"""

from __future__ import annotations

import asyncio
from collections import deque

from shared.relays import Relay
from workers.smtp.auth import Tokens
from workers.smtp.place import Place
from workers.smtp.ramp import Ramp
from workers.smtp.types import Envelope, Job, Lease, Transaction


class Pool:
    """The sessions of one relay."""

    def __init__(self, relay: Relay, *, reserved: int = 1) -> None:
        self.relay = relay
        self._loop = asyncio.get_running_loop()
        self._limit = max(1, relay.connections - reserved)
        self._tokens = Tokens(relay)
        self._ramp = Ramp()
        self._urgent: deque[Job] = deque()
        self._ordinary: deque[Job] = deque()
        self._ordinary_busy = 0
        self._places: set[Place] = set()
        self._idle: list[Place] = []
        self._retry: asyncio.TimerHandle | None = None
        self._retired = False
        self.messages = 0
        """Transactions begun."""
        self.connected = 0
        """Sessions set up."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction on a pooled session."""
        job = Job(envelope, message, lease, urgent, self._loop)
        self._queue(job).append(job)
        self._dispatch()
        try:
            return await job.result
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    def _queue(self, job: Job) -> deque[Job]:
        return self._urgent if job.urgent else self._ordinary

    def _withdraw(self, job: Job) -> None:
        """Nobody waits for the job any more: not one further byte of it is sent."""
        queue = self._queue(job)
        if job in queue:
            queue.remove(job)
        for place in self._places:
            if place.job is job:
                place.session.abort()

    # -- who works on what ----------------------------------------------------------------

    def has_more_than_openings(self) -> bool:
        """Whether jobs wait that no session being set up will take."""
        return len(self._urgent) + len(self._ordinary) > self._ramp.opening

    def take(self, place: Place) -> Job | None:
        """The next job for a session, class critical first, within the ordinary limit."""
        while True:
            if self._urgent:
                job = self._urgent.popleft()
            elif self._ordinary and self._ordinary_busy - place.ordinary < self._limit:
                job = self._ordinary.popleft()
            else:
                return None
            if not job.result.done():  # Its caller may have gone.
                self.occupy(place, ordinary=not job.urgent)
                return job

    def occupy(self, place: Place, *, ordinary: bool) -> None:
        """Count a session among those that ordinary jobs keep busy, or not."""
        self._ordinary_busy += ordinary - place.ordinary
        place.ordinary = ordinary

    def give_back(self, job: Job) -> None:
        """A job that another session should do, before all others."""
        if not job.result.done():
            self._queue(job).appendleft(job)
            self._dispatch()

    def _dispatch(self) -> None:
        """Hand waiting jobs to idle sessions, and set up new ones for the others."""
        while self._idle:
            place = self._idle[-1]  # The one used last, so that others can grow idle and close.
            job = self.take(place)
            if job is None:
                break
            self._idle.pop()
            place.wake(job)
        while self._wants_another() and self._ramp.may_open(self._loop.time()):
            self._ramp.begin()
            place = Place(self, self._tokens)
            self._places.add(place)
            place.start()
        wait = self._ramp.wait(self._loop.time())
        if wait and self._retry is None and self._wants_another():
            self._retry = self._loop.call_later(wait, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._dispatch()

    def _wants_another(self) -> bool:
        """Whether jobs wait that neither an open session nor one being set up will take."""
        opening = self._ramp.opening
        if len(self._places) >= self.relay.connections:
            return False
        if len(self._urgent) > opening:
            return True
        spare = opening - len(self._urgent)
        return len(self._ordinary) > spare and self._ordinary_busy + spare < self._limit

    # -- what sessions report -------------------------------------------------------------

    def opened(self) -> None:
        """A session is ready."""
        self.connected += 1
        self._ramp.opened()
        self._dispatch()

    def not_opened(self, trouble: Transaction | None) -> None:
        """A session could not be set up; None when that was given up."""
        if trouble is None:
            self._ramp.cancelled()
            return
        self._ramp.failed(self._loop.time())
        if len(self._places) > 1:
            self._dispatch()  # Others are open, or may be soon: the host may want no more of them.
            return
        self._ramp.forget_pause()
        for queue in (self._urgent, self._ordinary):
            while queue:
                queue.popleft().done(trouble)

    def rest(self, place: Place) -> None:
        """A session has nothing to do; it is woken with a job."""
        self.occupy(place, ordinary=False)
        self._idle.append(place)

    def stir(self, place: Place) -> None:
        """A session that rested ends, or was woken."""
        if place in self._idle:
            self._idle.remove(place)

    def leave(self, place: Place) -> None:
        """A session has ended."""
        self.occupy(place, ordinary=False)
        self._places.discard(place)
        self._dispatch()

    @property
    def retired(self) -> bool:
        """Whether sessions should end as soon as nothing waits."""
        return self._retired

    @property
    def sessions(self) -> int:
        """Sessions that are open or being set up."""
        return len(self._places)

    async def close(self) -> None:
        """Let what waits be sent, end every session politely; cancel to hasten."""
        self._retired = True
        for place in self._idle:
            place.wake(None)
        tasks = [place.task for place in self._places if place.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        if self._retry is not None:
            self._retry.cancel()
