"""Dramatiq on Redis, made safe for tickets: nothing stuck, nothing polled, alive at full memory.

`connect(settings)` gives the broker of a worker process. It subclasses private names of Dramatiq,
which is why its version is pinned; the faults it repairs are reproduced in
`tests/scenario/test_ticket_*.py` and `tests/unit/shared/test_broker.py`:

- ids whose fetch was answered into a broken connection stay in the acks set of a live worker: they
  are requeued whenever a consumer connects again;
- redis-py's errors other than ConnectionError end consumer threads for good: all become
  `ConnectionClosed`, which Dramatiq answers by connecting again;
- at `maxmemory` its dispatch script cannot even fetch: it is registered again with `allow-oom`;
- an idle consumer sleeps up to a second: here it waits for the wake-up that minting publishes, and
  polls only in case one was lost;
- the delay queues are not consumed at all: delays are the spool's.
"""

from __future__ import annotations

import threading
from typing import Any

import redis
import structlog
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer, _scripts
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.message import Message
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.model.message import CLASSES
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.scripts import PREFIX
from shared.store.tickets import NAMESPACE

WAKE_CHANNEL = f"{PREFIX}wake"
HEARTBEAT_TIMEOUT_MS = 8_000
_ERRORS = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError)
_ALLOW_OOM = b"#!lua flags=allow-oom,allow-cross-slot-keys\n"

_log = structlog.get_logger(__name__)


class TicketConsumer(_RedisConsumer):
    """A consumer that reconciles at connect, and waits instead of sleeping."""

    def __init__(self, broker: TicketBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._wake = broker.wakeups[queue_name]
        self._held = broker.held[queue_name]
        try:
            self._requeue_orphans(broker)
        except _ERRORS as error:
            raise ConnectionClosed(error) from None

    def _requeue_orphans(self, broker: TicketBroker) -> None:
        key = f"{broker.namespace}:__acks__.{broker.broker_id}.{self.queue_name}"
        members: set[bytes] = set(broker.client.smembers(key))  # type: ignore[arg-type]  # Bytes: no decoding.
        fetched = {identifier.decode() for identifier in members}
        orphans = fetched - self._held
        if orphans:
            broker.do_requeue(self.queue_name, *orphans)

    def __next__(self) -> Any:
        self._wake.clear()  # Before the fetch: a ticket minted after it sets it again.
        try:
            message = self._fetch()
        except _ERRORS as error:
            raise ConnectionClosed(error) from None
        if message is None:
            self._wake.wait(self.timeout / 1000)
        else:
            self._held.add(message.options["redis_message_id"])
        return message

    def _fetch(self) -> Any:
        while True:
            if not self.message_cache:
                room = self.prefetch - self.outstanding_message_count
                if room > 0:
                    self.message_cache = self.broker.do_fetch(self.queue_name, room)
                if not self.message_cache:
                    return None
            data = self.message_cache.pop(0)
            if data is None:  # Its text is gone: somebody else has answered the ticket.
                continue
            try:
                message: Message[None] = Message.decode(data)
            except DecodeError:
                _log.error("ticket_unreadable", queue=self.queue_name)
                continue
            self.queued_message_ids.add(message.message_id)
            return MessageProxy(message)

    def _finish(self, finish: Any, message: Any) -> None:
        try:
            finish(message)
        except _ERRORS as error:
            raise ConnectionClosed(error) from None
        self._held.discard(message.options["redis_message_id"])
        self._wake.set()  # There is room for another one.

    def ack(self, message: Any) -> None:
        """Answer a ticket."""
        self._finish(super().ack, message)

    def nack(self, message: Any) -> None:
        """Put a ticket aside."""
        self._finish(super().nack, message)

    def requeue(self, messages: Any) -> None:
        """Give tickets back."""
        given = list(messages)
        try:
            super().requeue(given)
        except _ERRORS as error:
            raise ConnectionClosed(error) from None
        for message in given:
            self._held.discard(message.options["redis_message_id"])


class TicketBroker(RedisBroker):
    """A broker whose consumers are `TicketConsumer`, without middleware and delay queues."""

    def __init__(self, client: redis.Redis, *, maintenance_chance: int) -> None:
        super().__init__(
            client=client,
            middleware=[],
            namespace=NAMESPACE,
            maintenance_chance=maintenance_chance,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        )
        self.held: dict[str, set[str]] = {}
        self.wakeups: dict[str, threading.Event] = {}
        self.scripts["dispatch"] = client.register_script(_ALLOW_OOM + _scripts["dispatch"])

    @property
    def consumer_class(self) -> type[TicketConsumer]:
        """Dramatiq's extension point."""
        return TicketConsumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue without its delay queue."""
        if queue_name in self.queues:
            return
        self.held[queue_name] = set()
        self.wakeups[queue_name] = threading.Event()
        self.emit_before("declare_queue", queue_name)
        self.queues.add(queue_name)
        self.emit_after("declare_queue", queue_name)


class WakeListener(threading.Thread):
    """Passes published wake-ups to the consumers; connects again for as long as it runs."""

    def __init__(self, broker: TicketBroker) -> None:
        super().__init__(name="wake-listener", daemon=True)
        self._broker = broker
        self._stopping = threading.Event()

    def run(self) -> None:
        """Listen until `stop`."""
        while not self._stopping.is_set():
            try:
                self._listen()
            except redis.RedisError:
                self._stopping.wait(0.5)

    def _listen(self) -> None:
        with self._broker.client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(WAKE_CHANNEL)
            self._wake_all()  # Whatever was published while nobody listened.
            while not self._stopping.is_set():
                message = channel.get_message(timeout=5.0)
                if message is None:
                    continue
                wake = self._broker.wakeups.get(message["data"].decode())
                if wake is not None:
                    wake.set()

    def _wake_all(self) -> None:
        for wake in self._broker.wakeups.values():
            wake.set()

    def stop(self) -> None:
        """End the thread at its next wake-up, within five seconds."""
        self._stopping.set()
        self._wake_all()


def connect(settings: Settings) -> TicketBroker:
    """The broker of a worker process, its three queues declared."""
    pool = redis.BlockingConnectionPool.from_url(
        settings.store.redis_url,
        password=redis_password_of(settings.store),
        max_connections=32,
        timeout=5,
        socket_timeout=5,
        socket_connect_timeout=2,
        protocol=2,
        retry=Retry(NoBackoff(), 0),  # A hidden retry of a fetch would strand its tickets.
    )
    broker = TicketBroker(redis.Redis(connection_pool=pool), maintenance_chance=1_000_000)
    for name in CLASSES:
        broker.declare_queue(name)
    return broker
