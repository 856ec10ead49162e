"""While the data goes out: refusals in the middle, slow servers, lost leases, an unsent dot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from shared.outgoing_settings import TimeoutSettings
from tests.support.smtp_client import (
    MESSAGE,
    Held,
    envelope,
    letters,
    relay_to,
    send_once,
    serving,
    with_pool,
)
from tests.support.smtp_server import SmtpServer
from workers.smtp import Pool, Transaction

SLOW = TimeoutSettings(connect=10, banner=10, command=10, data=10, block=30, final=30, quit=0.2)
LARGE = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 2_000_000


def test_a_refusal_right_after_354_is_heard_before_anything_is_sent() -> None:
    with SmtpServer(answers={"DATA": "354 go ahead\r\n554 5.7.1 on second thought"}) as server:
        found = send_once(server.port)
        assert found.data is not None
        assert (found.data.code, found.dot_sent, found.bytes_sent) == (554, False, 0)
        assert not server.messages


async def until_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak SMTP up to the 354."""
    writer.write(b"220 x\r\n")
    await reader.readline()
    writer.write(b"250-x\r\n250 PIPELINING\r\n")
    await reader.readuntil(b"DATA\r\n")
    writer.write(b"250 a\r\n250 b\r\n354 c\r\n")


def test_a_refusal_in_the_middle_of_the_data_is_heard() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer)
        await reader.readexactly(100_000)
        writer.write(b"552 5.3.4 too much\r\n")
        await asyncio.sleep(60)  # Reads no more; the client must not wait for that.

    async def run() -> Transaction:
        async with serving(serve) as port:
            pool = Pool(relay_to(port, timeouts=SLOW))
            found = await asyncio.wait_for(pool.send(envelope(), LARGE, Held()), 20)
            await pool.close()
            return found

    found = asyncio.run(run())
    assert found.data is not None
    assert (found.data.code, found.dot_sent) == (552, False)


def test_a_server_that_takes_the_data_too_slowly_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer)
        while await reader.read(1000):
            await asyncio.sleep(0.05)

    async def run() -> Transaction:
        async with serving(serve, limit=1024) as port:
            pool = Pool(relay_to(port, timeouts=SLOW, min_bytes_per_second=100_000.0))
            found = await asyncio.wait_for(pool.send(envelope(), LARGE, Held()), 60)
            await pool.close()
            return found

    found = asyncio.run(run())
    assert found.trouble == "timed out"
    assert not found.dot_sent
    assert 0 < found.bytes_sent < len(LARGE)


class LostAfter(Held):
    """A lease that is lost once it was asked so often, though the dot would be allowed."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self._left = questions

    def holds(self) -> bool:
        """Whether the right still holds."""
        self._left -= 1
        return self._left >= 0

    async def before_dot(self, so_far: Callable[[], Transaction]) -> bool:
        """Whether the final dot may be sent."""
        return True


def test_a_lease_lost_in_the_middle_of_the_data_stops_it() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> Transaction:
            return await pool.send(envelope(), LARGE, LostAfter(5))

        found = with_pool(server.port, work, timeouts=SLOW)
        assert (found.trouble, found.dot_sent) == ("lease lost", False)
        assert 0 < found.bytes_sent < len(LARGE) // 10
        assert not server.messages


class Asking(Held):
    """A lease whose question before the dot takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def before_dot(self, so_far: Callable[[], Transaction]) -> bool:
        """Whether the final dot may be sent."""
        self.asked.set()
        await self.answer.wait()
        return True


def test_b18_what_nobody_reads_is_not_kept() -> None:
    """The server talks on and on while we ask whether the dot may go out."""

    async def run() -> tuple[Transaction, int]:
        lease, said = Asking(), 0
        hung_up = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal said
            await until_data(reader, writer)
            await lease.asked.wait()
            try:
                while said < 64 * 2**20:
                    writer.write(b"250-more\r\n" * 10_000)
                    said += 100_000
                    await writer.drain()
                    await asyncio.sleep(0)
            except ConnectionError:
                pass
            finally:
                hung_up.set()

        async with serving(serve) as port:
            pool = Pool(relay_to(port, timeouts=SLOW))
            task = asyncio.create_task(pool.send(envelope(), MESSAGE, lease))
            await hung_up.wait()
            lease.answer.set()
            found = await task
            await pool.close()
            return found, said

    found, said = asyncio.run(run())
    assert said < 32 * 2**20
    assert found.trouble
    assert not found.dot_sent


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("ending", ["stall", "hang up"])
def test_a_dot_that_is_still_here_has_not_been_sent(
    ending: str, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that reads no further: what of the data has left ends long before its end."""
    monkeypatch.setattr("workers.smtp.wire.Wire.pause_writing", lambda wire: None)
    timeouts = msgspec.structs.replace(SLOW, final=0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer)
        if ending == "hang up":
            await reader.readexactly(100_000)
            writer.write_eof()
        await asyncio.sleep(60)

    async def run() -> list[Transaction]:
        async with serving(serve, limit=1024) as port:
            pool = Pool(relay_to(port, timeouts=timeouts, connections=1), reserved=0)
            sends = [pool.send(envelope(), LARGE, Held()) for _ in range(2 if ahead else 1)]
            found = await asyncio.gather(*sends)
            await pool.close()
            return list(found)

    for each in asyncio.run(run()):
        assert each.trouble == ("timed out" if ending == "stall" else "connection lost")
        assert letters(each) == "f"
        assert not each.dot_sent
        assert each.bytes_sent < len(LARGE)


def test_a_dot_that_may_have_left_makes_it_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block, of which the system takes some: nobody knows how much the server got of it."""
    monkeypatch.setattr("workers.smtp.wire.Wire.pause_writing", lambda wire: None)
    monkeypatch.setattr("workers.smtp.transaction.BLOCK_BYTES", 2 * len(LARGE))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer)
        await asyncio.sleep(60)

    async def run() -> Transaction:
        async with serving(serve, limit=1024) as port:
            pool = Pool(relay_to(port, timeouts=msgspec.structs.replace(SLOW, final=0.3)))
            found = await pool.send(envelope(), LARGE, Held())
            await pool.close()
            return found

    assert letters(asyncio.run(run())) == "u"
