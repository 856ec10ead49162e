"""The sessions of one relay or site in one process, shared by every leg that goes there.

`send` queues a delivery; sessions take them, class critical first and applications in turn, and
carry on with the next one as soon as a message's data is out. At most `connections` are open, a
share of them is kept for critical, new ones are set up along a `Ramp` and as the `Gate` lets in. A
delivery whose session was lost before the server said anything about it moves to another session,
unseen; one that no session is to be had for is given back. Only cancellation is raised.
"""

from __future__ import annotations

import asyncio

from shared.metrics.worker import WorkerMetrics
from shared.relays import Relay
from workers.smtp.auth import Tokens
from workers.smtp.connection import Connection
from workers.smtp.gate import NO_SESSION, Gate, Unlimited
from workers.smtp.own_name import OwnName
from workers.smtp.places import OnePlace, Places
from workers.smtp.ramp import Ramp
from workers.smtp.types import Delivery, Envelope, Lease, Stage, Transaction
from workers.turns import Turns

PATIENCE_SECONDS = 5.0
"""How long deliveries wait for a session where none is open and none may be set up."""
_NO_SESSION = Transaction(Stage.CONNECT, trouble=NO_SESSION)


def _whose(delivery: Delivery) -> str:
    return delivery.envelope.application


class Pool:
    """The sessions of one relay, or of one site."""

    def __init__(
        self,
        relay: Relay,
        *,
        reserved: int = 1,
        metrics: WorkerMetrics | None = None,
        places: Places | None = None,
        gate: Gate | None = None,
    ) -> None:
        """`places`: where to connect to, instead of the relay's host. `gate`: limits that hold over
        more than this pool."""
        self.relay = relay
        self.places: Places = places or OnePlace(relay)
        self.metrics = metrics or WorkerMetrics()
        self._loop = asyncio.get_running_loop()
        self._limit = max(1, relay.connections - reserved)
        self._tokens = Tokens(relay)
        self._own_name = OwnName()
        self._ramp = Ramp()
        self._gate: Gate = gate or Unlimited()
        self._patience: asyncio.TimerHandle | None = None
        """Set while none of its sessions is open, and it may set up none."""
        self._surplus = 0
        self._urgent: Turns[Delivery] = Turns(_whose)
        self._ordinary: Turns[Delivery] = Turns(_whose)
        self._ordinary_busy = 0
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._retry: asyncio.TimerHandle | None = None
        self._trouble = Transaction(Stage.CONNECT, trouble="connection lost")
        """Why the last session that could not be set up could not."""
        self._retired = False

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction on a pooled session.

        Cancelled, it ends at once: with what happened so far if the final dot may be out, else by
        `asyncio.CancelledError`.
        """
        delivery = Delivery(envelope, message, lease, urgent, self._loop)
        self._queue(delivery).append(delivery)
        self._dispatch()
        try:
            return await delivery.result
        except asyncio.CancelledError:
            so_far = self._withdraw(delivery)
            if so_far is None or not so_far.dot_sent:
                raise
            return so_far

    def _queue(self, delivery: Delivery) -> Turns[Delivery]:
        return self._urgent if delivery.urgent else self._ordinary

    def _withdraw(self, delivery: Delivery) -> Transaction | None:
        """Nobody waits for the delivery any more: not one further byte of it is sent."""
        so_far = None
        queue = self._queue(delivery)
        if delivery in queue:
            queue.remove(delivery)
        for connection in self._connections:
            if connection.delivery is delivery:
                so_far = connection.so_far()
                connection.session.abort()
        return so_far

    # -- who works on what ----------------------------------------------------------------

    def has_more_than_openings(self) -> bool:
        """Whether deliveries wait that no session being set up will take."""
        return len(self._urgent) + len(self._ordinary) > self._ramp.opening

    def take(self, connection: Connection) -> Delivery | None:
        """The next delivery for a session, class critical first, within the ordinary limit."""
        while True:
            if self._urgent:
                delivery = self._urgent.popleft()
            elif self._ordinary and self._ordinary_busy - connection.ordinary < self._limit:
                delivery = self._ordinary.popleft()
            else:
                return None
            if not delivery.result.done():  # Its caller may have gone.
                self.occupy(connection, ordinary=not delivery.urgent)
                return delivery

    def occupy(self, connection: Connection, *, ordinary: bool) -> None:
        """Count a session among those that ordinary deliveries keep busy, or not."""
        self._ordinary_busy += ordinary - connection.ordinary
        connection.ordinary = ordinary

    def give_back(self, delivery: Delivery) -> None:
        """A delivery that another session should do, before all others."""
        if not delivery.result.done():
            self._queue(delivery).appendleft(delivery)
            self._dispatch()

    def _dispatch(self) -> None:
        """Hand waiting deliveries to idle sessions, and set up new ones for the others."""
        while self._idle:
            connection = self._idle[-1]  # Used last, so that others can grow idle and close.
            delivery = self.take(connection)
            if delivery is None:
                break
            self._idle.pop()
            connection.wake(delivery)
        if not self._wants_another():
            return
        now = self._loop.time()
        if self._ramp.may_open(now):
            self._gate.look(self)
        wait = self._ramp.wait(now)
        if wait and self._retry is None and self._wants_another():
            self._retry = self._loop.call_later(wait, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._dispatch()

    def _wants_another(self, more: int = 0) -> bool:
        """Whether deliveries wait that neither an open session, nor one being set up, nor `more`
        will take."""
        opening = self._ramp.opening + more
        if len(self._connections) + more >= self.relay.connections:
            return False
        if len(self._urgent) > opening:
            return True
        spare = opening - len(self._urgent)
        return len(self._ordinary) > spare and self._ordinary_busy + spare < self._limit

    # -- what the gate asks and says ------------------------------------------------------

    @property
    def hop(self) -> str:
        """Where its sessions go."""
        return self.relay.name

    @property
    def urgent(self) -> bool:
        """Whether class critical waits, and there is no session to take it."""
        return bool(self._urgent) and not self._connections

    def wanted(self) -> int:
        """Sessions that it would set up now."""
        count, now = 0, self._loop.time()
        while self._wants_another(count) and self._ramp.may_open(now, count):
            count += 1
        return count

    def granted(self, count: int) -> None:
        """Set up to `count` sessions up, as many as are wanted still."""
        for _ in range(min(count, self.wanted())):
            self._ramp.begin()
            connection = Connection(self, self._tokens, self._own_name)
            self._connections.add(connection)
            connection.start()
        if self._connections:
            self._stop_patience()

    def refused(self) -> None:
        """Some that it wants may not be set up, for now: those that are open take what waits."""
        if not self._connections and self._gate.closing:
            self._answer_all(_NO_SESSION)
        elif not self._connections and self._patience is None:
            self._patience = self._loop.call_later(PATIENCE_SECONDS, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        self._patience = None
        self._answer_all(_NO_SESSION)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def give_up(self, idle: int, due: int) -> None:
        """Others wait: end `idle` sessions if they rest, `due` after the message they are at."""
        ending = sum(each.ending for each in self._connections)
        for connection in self._idle[: max(0, idle - ending)]:  # Those used longest ago.
            connection.ending = True
            connection.wake(None)
            ending += 1
        self._surplus = max(0, due - ending)

    @property
    def surplus(self) -> int:
        """Sessions that should end after the message they are at."""
        return self._surplus

    def ends(self, connection: Connection) -> bool:
        """Whether a session that is between two messages is to be one of these."""
        if self._surplus and not connection.ending:
            self._surplus -= 1
            connection.ending = True
        return connection.ending

    # -- what sessions report -------------------------------------------------------------

    def opened(self) -> None:
        """A session is ready."""
        self._ramp.opened()
        self._dispatch()

    def not_opened(self, trouble: Transaction | None) -> None:
        """A session could not be set up; None when that was given up."""
        if trouble is None:
            self._ramp.cancelled()
            return
        self._trouble = trouble
        self._ramp.failed(self._loop.time())
        if len(self._connections) > 1:
            self._dispatch()  # Others are open, or may be soon: the host may want no more of them.
            return
        self._answer_all(trouble)

    def _answer_all(self, trouble: Transaction) -> None:
        """Nobody can do what waits: it is told why no session could be set up."""
        self._ramp.forget_pause()
        for queue in (self._urgent, self._ordinary):
            while queue:
                queue.popleft().done(trouble)

    def rest(self, connection: Connection) -> None:
        """A session has nothing to do; it is woken with a delivery."""
        self.occupy(connection, ordinary=False)
        self._idle.append(connection)

    def stir(self, connection: Connection) -> None:
        """A session that rested ends, or was woken."""
        if connection in self._idle:
            self._idle.remove(connection)

    def leave(self, connection: Connection) -> None:
        """A session has ended."""
        self.occupy(connection, ordinary=False)
        self._connections.discard(connection)
        self._gate.look(self)
        self._dispatch()

    @property
    def retired(self) -> bool:
        """Whether sessions should end as soon as nothing waits."""
        return self._retired

    @property
    def idle(self) -> bool:
        """Whether it has neither sessions nor anything to send."""
        return not (self._connections or self._urgent or self._ordinary)

    @property
    def sessions(self) -> int:
        """Sessions that are open or being set up."""
        return len(self._connections)

    async def close(self) -> None:
        """Let what waits be sent, end every session politely; cancel to hasten.

        Nobody waits for the end of the ramp's pause: what no session is left for is answered.
        """
        self._retired = True
        for connection in self._idle:
            connection.wake(None)
        while self._connections or self._urgent or self._ordinary:
            tasks = [each.task for each in self._connections if each.task is not None]
            if tasks:
                await asyncio.wait(tasks)
            else:
                waits = self._ramp.wait(self._loop.time()) > 0
                self._answer_all(self._trouble if waits else _NO_SESSION)
        self._stop_patience()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
