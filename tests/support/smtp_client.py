"""Our SMTP client in a test: a pool to a server, an envelope, a lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from shared.outgoing_settings import TimeoutSettings
from shared.relays import Relay
from workers.classify import outcomes
from workers.smtp import Envelope, Pool, Transaction

T = TypeVar("T")
MESSAGE = b"Subject: x\r\n\r\n.leading\r\n..two\r\nend\r\n"
SHORT = TimeoutSettings(connect=5, banner=1, command=1, data=1, block=1, final=1, quit=0.2)
"""What a server that stalls is waited for in a test."""
NO_PIPELINING = "250-test\r\n250 SIZE"
"""What a server says to EHLO that has no PIPELINING."""


class Held:
    """A lease that holds until told otherwise."""

    def __init__(self, *, at_dot: bool = True) -> None:
        self.held = True
        self.since = 0.0
        self._at_dot = at_dot

    def holds(self) -> bool:
        """Whether the right still holds."""
        return self.held

    async def before_dot(self, so_far: Callable[[], Transaction]) -> bool:
        """Whether the final dot may be sent."""
        return self._at_dot and self.held


def envelope(*recipients: str, **fields: Any) -> Envelope:
    """An envelope from one sender."""
    people = recipients or ("a@b.test",)
    return Envelope("from@a.test", tuple(enumerate(people)), **fields)


def relay_to(port: int, **fields: Any) -> Relay:
    """A relay on this machine, without TLS unless told."""
    values: dict[str, Any] = {
        "host": "127.0.0.1", "tls": "none", "ehlo_name": "here", "timeouts": SHORT, **fields,
    }  # fmt: skip
    return msgspec.convert({"port": port, **values}, Relay)


def with_pool(
    port: int, work: Callable[[Pool], Awaitable[T]], *, reserved: int = 1, **relay: Any
) -> T:
    """Run `work` with a pool to a server on this machine."""

    async def run() -> T:
        pool = Pool(relay_to(port, **relay), reserved=reserved)
        try:
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def send_once(
    port: int, to: Envelope | None = None, message: bytes = MESSAGE, **relay: Any
) -> Transaction:
    """One message through a fresh pool."""

    async def work(pool: Pool) -> Transaction:
        return await pool.send(to or envelope(), message, Held())

    return with_pool(port, work, **relay)


def send_many(
    port: int, count: int, *, leases: list[Held] | None = None, **relay: Any
) -> list[Transaction]:
    """Messages to r0@b.test, r1@b.test and so on, all waiting at once for one session."""

    async def work(pool: Pool) -> list[Transaction]:
        held = leases or [Held() for _ in range(count)]
        sends = (
            pool.send(envelope(f"r{number}@b.test"), MESSAGE, held[number])
            for number in range(count)
        )
        return await asyncio.gather(*sends)

    return with_pool(port, work, reserved=0, **({"connections": 1} | relay))


def codes(found: list[Transaction]) -> list[int]:
    """The code of the reply to each message, 0 without one."""
    return [each.data.code if each.data else 0 for each in found]


def letters(transaction: Transaction, count: int = 1) -> str:
    """What became of each recipient: d, f, b or u; `relay` when it was the relay's trouble."""
    found = outcomes(transaction, tuple(range(count)))
    return "relay" if found.relay_trouble else "".join(reply.status for reply in found.replies)


async def until(what: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something is true of a server in another thread."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.005)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk, limit: int = 2**16) -> AsyncIterator[int]:
    """A server of this loop that says what `talk` says; its port. Ends every conversation."""
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client has gone, or the test is over.
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=limit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
