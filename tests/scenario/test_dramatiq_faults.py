"""What Dramatiq's stock Redis broker loses or wedges on, and that ours does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from shared import broker as tickets
from shared.settings import Settings, StoreSettings
from shared.store.tickets import template
from tests.support.redis_server import RedisServer
from tests.support.system import poll
from workers.actors import declare

QUEUE = "transactional"


class Consuming:
    """Our broker with one consumer, as a worker process has it."""

    def __init__(self, server: RedisServer) -> None:
        settings = Settings(store=StoreSettings(redis_url=server.url))
        self.broker = tickets.connect(settings)
        self.seen: list[str] = []
        declare(self.broker, lambda _, ticket: self.seen.append(ticket))
        self.listener = tickets.WakeListener(self.broker)
        self.worker = dramatiq.Worker(
            self.broker, queues={QUEUE}, worker_timeout=1000, worker_threads=1
        )
        self.worker.queue_prefetch = 1

    @contextmanager
    def running(self) -> Iterator[Consuming]:
        """Consume until the end of the block."""
        self.listener.start()
        self.worker.start()
        try:
            yield self
        finally:
            self.listener.stop()
            self.worker.stop(timeout=5000)
            self.listener.join(10)
            self.broker.client.close()

    def threads_live(self) -> bool:
        """Whether every thread of the consumer is alive."""
        return all(each.is_alive() for each in self.worker.consumers.values())


def enqueue(client: redis.Redis, ticket: str, *, wake: bool = True) -> None:
    """Put a ticket where the scripts put it."""
    text = template().replace(b"@CLASS@", QUEUE.encode()).replace(b"@ID@", ticket.encode())
    client.hset(f"dramatiq:{QUEUE}.msgs", ticket, text)
    client.rpush(f"dramatiq:{QUEUE}", ticket)
    if wake:
        client.publish(tickets.WAKE_CHANNEL, QUEUE)


def test_a_lost_fetch_reply_strands_nothing(own_redis_server: RedisServer) -> None:
    consuming = Consuming(own_redis_server)
    client = own_redis_server.client()
    enqueue(client, "t1")
    # The fetch is done and its answer lost: the id stands in the acks set of a live worker.
    assert consuming.broker.do_fetch(QUEUE, 1)
    assert client.llen(f"dramatiq:{QUEUE}") == 0
    with consuming.running():
        poll(lambda: consuming.seen == ["t1"])
    client.close()


def test_the_consumer_outlives_a_killed_server(own_redis_server: RedisServer) -> None:
    consuming = Consuming(own_redis_server)
    with consuming.running():
        client = own_redis_server.client()
        enqueue(client, "t1")
        poll(lambda: consuming.seen == ["t1"])
        client.close()
        own_redis_server.kill()
        own_redis_server.start()
        client = own_redis_server.client()
        enqueue(client, "t2")
        poll(lambda: consuming.seen == ["t1", "t2"], 30)
        assert consuming.threads_live()
        client.close()


def test_at_full_memory_tickets_still_flow(own_redis_server: RedisServer) -> None:
    consuming = Consuming(own_redis_server)
    client = own_redis_server.client()
    stock: Any = RedisBroker
    stock = stock(client=own_redis_server.client(), middleware=[])
    stock.declare_queue(QUEUE)
    enqueue(client, "t1")
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.ResponseError, match="maxmemory"):
        stock.do_fetch(QUEUE, 1)
    with consuming.running():
        poll(lambda: consuming.seen == ["t1"])
        poll(lambda: client.hlen(f"dramatiq:{QUEUE}.msgs") == 0)  # Acknowledged too.
        assert consuming.threads_live()
    stock.client.close()
    client.close()


def test_an_idle_consumer_is_woken_and_does_not_poll(own_redis_server: RedisServer) -> None:
    consuming = Consuming(own_redis_server)
    with consuming.running():
        client = own_redis_server.client()
        poll(lambda: client.pubsub_numsub(tickets.WAKE_CHANNEL)[0][1] == 1)
        waits = []
        for number in range(10):
            began = time.monotonic()
            enqueue(client, f"t{number}")
            poll(lambda number=number: len(consuming.seen) == number + 1)  # type: ignore[misc]
            waits.append(time.monotonic() - began)
        # A stock consumer sleeps up to a second; the median tells a wake-up from that.
        assert sorted(waits)[5] < 0.25
        client.close()


def test_a_lost_wake_up_costs_a_second_at_most(own_redis_server: RedisServer) -> None:
    consuming = Consuming(own_redis_server)
    with consuming.running():
        client = own_redis_server.client()
        enqueue(client, "t1", wake=False)
        poll(lambda: consuming.seen == ["t1"], 5)
        client.close()


def test_tickets_of_a_killed_worker_come_back(own_redis_server: RedisServer) -> None:
    client = own_redis_server.client()
    dead = Consuming(own_redis_server)
    enqueue(client, "t1")
    assert dead.broker.do_fetch(QUEUE, 1)
    # It was seen for the last time long ago, as after kill -9.
    client.zadd("dramatiq:__heartbeats__", {dead.broker.broker_id: 1})
    dead.broker.client.close()
    consuming = Consuming(own_redis_server)
    with consuming.running():
        poll(lambda: consuming.seen == ["t1"])
    client.close()
