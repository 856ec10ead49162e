"""Pools that ask before they set a session up: what waits, what goes on, and what is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from shared.clock import SystemClock
from shared.errors import StoreUnavailable
from shared.hops import DestinationLimit
from shared.metrics.worker import WorkerMetrics
from shared.settings import Settings
from shared.store.memory import MemoryStore
from shared.store.sessions import LEASE_MS, Answer, Asked
from tests.support.smtp_client import MESSAGE, Held, codes, envelope, relay_to, until
from tests.support.smtp_server import SmtpServer
from workers import permits as permits_module
from workers.permits import Permits
from workers.smtp import Pool, Transaction
from workers.smtp import pool as pool_module
from workers.smtp.gate import NO_SESSION

LONG = {"banner": 9, "command": 9, "data": 9, "final": 9, "quit": 0.5}


class Recorded:
    """A store's sessions that may be away; keeps what it was asked."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked: list[Asked] = []

    async def ask(self, process: str, asked: Sequence[Asked]) -> list[Answer]:
        self.asked += asked
        if self.away:
            raise StoreUnavailable("away")
        await self.answers.wait()
        return await self._store.sessions.ask(process, asked)

    async def leave(self, process: str) -> None:
        await self._store.sessions.leave(process)


class World:
    """Processes, each with a pool to one server."""

    def __init__(self, port: int) -> None:
        self.store = MemoryStore(Settings(), SystemClock())
        self.sessions = Recorded(self.store)
        self._port = port
        self._running: list[asyncio.Task[None]] = []
        self._pools: list[Pool] = []

    def permits(self, name: str) -> Permits:
        """Those of a process."""
        found = Permits(self.sessions, name, WorkerMetrics())
        self._running.append(asyncio.create_task(found.run()))
        return found

    def pool(self, permits: Permits, **relay: Any) -> Pool:
        """A pool to `gw1`."""
        fields = {"name": "gw1", "connections": 10, "timeouts": LONG, **relay}
        found = Pool(relay_to(self._port, **fields), reserved=0, gate=permits)
        self._pools.append(found)
        return found

    async def limit(self, **numbers: Any) -> None:
        await self.store.queue.limit("gw1", DestinationLimit(**numbers))

    async def end(self) -> None:
        for pool in self._pools:
            await pool.close()
        for task in self._running:
            assert not task.done(), "nothing is raised there"
            task.cancel()


def play(server: SmtpServer, work: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        world = World(server.port)
        async with asyncio.timeout(30):
            await work(world)
            await world.end()

    asyncio.run(run())


def send(
    pool: Pool, count: int, to: str = "a@b.test", **options: Any
) -> list[asyncio.Task[Transaction]]:
    return [
        asyncio.create_task(pool.send(envelope(to), MESSAGE, Held(), **options))
        for _ in range(count)
    ]


def test_one_session_takes_all_that_waits() -> None:
    async def work(world: World) -> None:
        await world.limit(connections=1)
        first, second = world.pool(world.permits("p")), world.pool(world.permits("q"))
        found = await asyncio.gather(*send(first, 50))
        assert codes(found) == [250] * 50
        assert codes(await asyncio.gather(*send(second, 20))) == [250] * 20, "the first one rests"
        assert (first.sessions, second.sessions) == (0, 1)
        await until(lambda: world.store.sessions.open_at("gw1") == 1)

    with SmtpServer() as server:
        play(server, work)
        assert server.most_open == 1
        assert server.connections == 2


def test_a_busy_session_ends_after_its_message_for_who_has_none() -> None:
    async def work(world: World) -> None:
        await world.limit(connections=2)
        first, second = world.pool(world.permits("p")), world.pool(world.permits("q"))
        of_first = send(first, 120)
        await until(lambda: first.sessions == 2 and len(server.answered()) > 4)
        of_second = send(second, 3, to="second@b.test")
        assert codes(await asyncio.gather(*of_second)) == [250] * 3
        assert not all(task.done() for task in of_first), "it did not wait for all of the first's"
        assert codes(await asyncio.gather(*of_first)) == [250] * 120

    with SmtpServer(pause_seconds=0.03) as server:
        play(server, work)
        assert server.most_open == 2
        assert len(server.messages) == 123, "none was broken off"


def test_what_waits_too_long_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE_SECONDS", 0.2)

    async def work(world: World) -> None:
        await world.limit(connections=1)
        first, second = world.pool(world.permits("p")), world.pool(world.permits("q"))
        (stalled,) = send(first, 1)
        await until(lambda: len(server.messages) == 1)
        found = await asyncio.gather(*send(second, 3), *send(second, 1, urgent=True))
        assert [each.trouble for each in found] == [NO_SESSION] * 4
        assert not any(each.dot_sent or each.bytes_sent for each in found)
        waits = send(first, 3)
        await asyncio.sleep(0.5)  # Nothing must happen: it has a session, which will take them.
        assert not any(task.done() for task in waits)
        server.release()
        assert codes(await asyncio.gather(stalled, *waits)) == [250] * 4

    with SmtpServer(answers={".": ["stall"]}) as server:
        play(server, work)


def test_who_stops_waits_for_no_session() -> None:
    async def work(world: World) -> None:
        await world.limit(connections=1)
        permits = world.permits("q")
        first, second = world.pool(world.permits("p")), world.pool(permits)
        (stalled,) = send(first, 1)
        await until(lambda: len(server.messages) == 1)
        waiting = send(second, 3)
        await until(lambda: permits.refused > 0)
        permits.close()
        async with asyncio.timeout(0.5):
            found = await asyncio.gather(*waiting)
        found += await asyncio.gather(*send(second, 2))
        assert [each.trouble for each in found] == [NO_SESSION] * 5
        server.release()
        await stalled

    with SmtpServer(answers={".": ["stall"]}) as server:
        play(server, work)


def test_a_pool_that_closes_while_it_waits_gives_back_what_waits() -> None:
    async def work(world: World) -> None:
        await world.limit(connections=1)
        first, second = world.pool(world.permits("p")), world.pool(world.permits("q"))
        (stalled,) = send(first, 1)
        await until(lambda: len(server.messages) == 1)
        waiting = send(second, 3)
        await asyncio.sleep(0)
        await asyncio.wait_for(second.close(), 1)
        assert [(await each).trouble for each in waiting] == [NO_SESSION] * 3
        server.release()
        await stalled

    with SmtpServer(answers={".": ["stall"]}) as server:
        play(server, work)


def test_while_the_store_is_away_open_sessions_go_on_and_none_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permits_module, "STORE_PAUSE_SECONDS", 0.05)

    async def work(world: World) -> None:
        permits = world.permits("p")
        here, other = world.pool(permits), world.pool(permits, name="gw2")
        await asyncio.gather(*send(here, 1))
        world.sessions.away = True
        waiting = send(other, 2)
        found = await asyncio.gather(*send(here, 30))
        assert codes(found) == [250] * 30
        await until(lambda: len([each for each in world.sessions.asked if each.more]) > 5)
        assert here.sessions == 1
        assert other.sessions == 0
        assert not any(task.done() for task in waiting)
        world.sessions.away = False
        assert codes(await asyncio.gather(*waiting)) == [250] * 2
        await until(lambda: world.store.sessions.open_at("gw2") == other.sessions)

    with SmtpServer() as server:
        play(server, work)


def test_old_and_new_pool_of_a_relay_share_its_places() -> None:
    """After a reload; and what the old one has no use for is the new one's."""

    async def work(world: World) -> None:
        await world.limit(connections=3)
        permits = world.permits("p")
        old, new = world.pool(permits), world.pool(permits)
        stalled = send(old, 2)
        await until(lambda: len(server.messages) == 2)
        closing = asyncio.create_task(old.close())
        found = asyncio.gather(*send(new, 40))
        assert codes(await found) == [250] * 40
        assert world.store.sessions.open_at("gw1") == 3
        server.release()
        await closing
        await asyncio.gather(*stalled)
        await until(lambda: world.store.sessions.open_at("gw1") == 1)

    with SmtpServer(answers={".": ["stall", "stall"]}) as server:
        play(server, work)
        assert server.most_open == 3


def test_class_critical_says_so_when_no_session_will_take_it() -> None:
    async def work(world: World) -> None:
        pool = world.pool(world.permits("p"))
        await asyncio.gather(*send(pool, 1, urgent=True))
        assert world.sessions.asked[0] == Asked("gw1", 0, 1, urgent=True)
        await asyncio.gather(*send(pool, 1, urgent=True), *send(pool, 5))
        assert not any(each.urgent for each in world.sessions.asked[1:])

    with SmtpServer() as server:
        play(server, work)


def test_arriving_mail_does_not_ask_anew_each_time() -> None:
    async def work(world: World) -> None:
        await world.limit(connections=1)
        first, second = world.pool(world.permits("p")), world.pool(world.permits("q"))
        (stalled,) = send(first, 1)
        await until(lambda: len(server.messages) == 1)
        waiting = []
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            waiting += send(second, 1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        took = asyncio.get_running_loop().time() - began
        asked = len([each for each in world.sessions.asked if each.more])
        assert asked <= 3 + took / 0.2, "one each, and then every 0.25 s"
        server.release()
        assert codes(await asyncio.gather(stalled, *waiting)) == [250] * 101

    with SmtpServer(answers={".": ["stall"]}) as server:
        play(server, work)


def test_a_place_is_free_at_once_when_its_session_ends_or_is_not_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permits_module, "RENEW_SECONDS", 60)

    async def work(world: World) -> None:
        pool = world.pool(world.permits("p"))
        await asyncio.gather(*send(pool, 1))
        assert world.store.sessions.open_at("gw1") == 1
        server.hang_up()
        await until(lambda: world.store.sessions.open_at("gw1") == 0, LEASE_MS / 2000)
        world.sessions.answers.clear()
        (cancelled,) = send(pool, 1)
        told = len(world.sessions.asked)
        await until(lambda: len(world.sessions.asked) > told)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        world.sessions.answers.set()
        await until(lambda: world.sessions.asked[-1] == Asked("gw1", 0), LEASE_MS / 2000)
        assert world.store.sessions.open_at("gw1") == 0

    with SmtpServer() as server:
        play(server, work)
        assert server.connections == 1


def test_what_is_open_is_told_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits_module, "RENEW_SECONDS", 0.1)

    async def work(world: World) -> None:
        pool = world.pool(world.permits("p"))
        await asyncio.gather(*send(pool, 1))
        await until(lambda: world.sessions.asked.count(Asked("gw1", 1)) > 3)
        await world.store.sessions.leave("p")  # As when its lease had run out.
        await until(lambda: world.store.sessions.open_at("gw1") == 1)
        server.hang_up()
        await until(lambda: pool.sessions == 0)
        await until(lambda: world.store.sessions.open_at("gw1") == 0)
        told = len(world.sessions.asked)
        await asyncio.sleep(0.4)  # Nothing must happen.
        assert len(world.sessions.asked) == told

    with SmtpServer() as server:
        play(server, work)
