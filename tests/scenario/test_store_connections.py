"""The worker's connections to the store: what is cancelled ends, what was cut is made anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.store.connection import AsyncRedis
from tests.support.redis_server import RedisServer

TURNS = 40
"""Turns of the loop that a command takes, and some more."""


def with_redis(server: RedisServer, test: Callable[[AsyncRedis], Awaitable[None]]) -> None:
    async def run() -> None:
        store = AsyncRedis(server.url, timeout_seconds=2, connections=2)
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_a_loop_of_commands_ends_when_it_is_cancelled_at_any_moment(
    redis_server: RedisServer,
) -> None:
    async def test(store: AsyncRedis) -> None:
        async def forever() -> None:
            while True:
                await store.command("INCR", "a")

        for turns in range(TURNS):
            for _ in range(3):
                task = asyncio.create_task(forever())
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=1)
                assert done, f"cancelled at turn {turns}, and runs on"
                assert task.cancelled()

    with_redis(redis_server, test)


def test_a_cancelled_command_s_answer_is_nobody_else_s(redis_server: RedisServer) -> None:
    async def test(store: AsyncRedis) -> None:
        for turns in range(TURNS):
            task = asyncio.create_task(store.command("ECHO", f"cancelled {turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            for number in range(3):
                assert await store.command("ECHO", f"{number}") == f"{number}".encode()

    with_redis(redis_server, test)


def test_connections_that_the_server_has_closed_are_made_anew(redis_server: RedisServer) -> None:
    async def test(store: AsyncRedis) -> None:
        both = [store.command("ECHO", "a"), store.command("ECHO", "b")]
        assert await asyncio.gather(*both) == [b"a", b"b"]
        client = redis_server.client()
        client.client_kill_filter(_type="normal", skipme=True)
        client.close()
        await asyncio.sleep(0.05)  # The loop has to read the end of both.
        for _ in range(3):
            assert await store.command("ECHO", "again") == b"again"

    with_redis(redis_server, test)


def test_no_more_than_so_many_connections(redis_server: RedisServer) -> None:
    async def test(store: AsyncRedis) -> None:
        client = redis_server.client()
        before = client.info("stats")["total_connections_received"]
        await asyncio.gather(*[store.command("PING") for _ in range(100)])
        assert client.info("stats")["total_connections_received"] == before + 2
        client.close()

    with_redis(redis_server, test)


def test_a_server_that_stalls_is_unknown_and_one_that_is_gone_unavailable(
    own_redis_server: RedisServer,
) -> None:
    async def test(store: AsyncRedis) -> None:
        short = AsyncRedis(own_redis_server.url, timeout_seconds=0.2)
        assert await short.command("PING") == b"PONG"
        own_redis_server.stall()
        with pytest.raises(OutcomeUnknown):
            await short.command("PING")
        with pytest.raises(StoreUnavailable):  # Its backlog connects; nobody answers the greeting.
            await short.command("PING")
        own_redis_server.resume()
        assert await store.command("PING") == b"PONG"
        own_redis_server.stop()
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            await store.command("PING")
        with pytest.raises(StoreUnavailable):
            await store.command("PING")

    with_redis(own_redis_server, test)
