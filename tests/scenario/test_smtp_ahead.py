"""Envelopes sent ahead: along with the data of the message before, which they never harm."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.smtp_client import (
    MESSAGE,
    SHORT,
    Held,
    Talk,
    codes,
    envelope,
    letters,
    relay_to,
    send_many,
    serving,
    until,
    with_pool,
)
from tests.support.smtp_server import USUAL, SmtpServer
from workers.smtp import Pool, Transaction
from workers.smtp import transaction as transactions
from workers.smtp.connection import MAX_TRIES

LONG = {"banner": 9, "command": 9, "data": 9, "final": 9, "quit": 0.2}


def test_waiting_deliveries_go_through_one_session_in_order() -> None:
    with SmtpServer() as server:
        assert codes(send_many(server.port, 5)) == [250] * 5
        assert [each.recipients for each in server.messages] == [[f"r{n}@b.test"] for n in range(5)]
        assert server.connections == 1
        assert "RSET" not in server.commands


def sent_by_one_session(serve: Talk, count: int) -> list[Transaction]:
    """Send so many messages at once to a server that does what the test says."""

    async def run() -> list[Transaction]:
        async with serving(serve) as port:
            pool = Pool(relay_to(port, connections=1), reserved=0)
            found = await asyncio.gather(
                *(pool.send(envelope(f"r{n}@b.test"), MESSAGE, Held()) for n in range(count))
            )
            await pool.close()
            return list(found)

    return asyncio.run(run())


def test_the_next_envelope_is_written_before_the_reply_is_there() -> None:
    """Shown on the bytes: one segment carries the end of the data and the next MAIL."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        await reader.readline()
        writer.write(b"250-x\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 a\r\n250 b\r\n354 c\r\n")
        received.append(await reader.readuntil(b"DATA\r\n"))  # Before any reply to the message.
        writer.write(b"250 d\r\n250 e\r\n250 f\r\n354 g\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 h\r\n")
        await reader.readline()
        writer.write(b"221 bye\r\n")
        await writer.drain()

    found = sent_by_one_session(serve, 2)
    assert codes(found) == [250, 250]
    assert [each.data.text for each in found if each.data] == ["d", "h"]
    data, _, following = received[0].partition(b"\r\n.\r\n")
    assert data.endswith(b"end")
    assert following == b"MAIL FROM:<from@a.test>\r\nRCPT TO:<r1@b.test>\r\nDATA\r\n"


def test_a_server_that_takes_its_time_for_a_message_has_no_envelope_ahead() -> None:
    """It would bind the next message to this session, while another one is free before."""
    early: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        await reader.readline()
        writer.write(b"250-x\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 a\r\n250 b\r\n354 c\r\n")
        await reader.readuntil(b"DATA\r\n")  # Of the first message nobody knows it yet.
        await asyncio.sleep(0.1)
        writer.write(b"250 d\r\n250 e\r\n250 f\r\n354 g\r\n")
        for _ in range(2):
            await reader.readuntil(b"\r\n.\r\n")
            try:
                early.append(await asyncio.wait_for(reader.read(1), 0.1))
            except TimeoutError:
                writer.write(b"250 h\r\n")
            await reader.readuntil(b"\r\n")
            writer.write(b"250 i\r\n250 j\r\n354 k\r\n")
        writer.write(b"221 bye\r\n")
        await writer.drain()

    assert codes(sent_by_one_session(serve, 3)) == [250] * 3
    assert early == []


@pytest.mark.parametrize("ehlo", ["250-t\r\n250 SIZE", "250 t"])
def test_nothing_is_sent_ahead_without_pipelining(ehlo: str) -> None:
    with SmtpServer(answers={"EHLO": ehlo}) as server:
        assert codes(send_many(server.port, 3)) == [250] * 3
        assert server.connections == 1


def test_sending_ahead_can_be_turned_off() -> None:
    with SmtpServer(answers={".": ["stall"]}) as server:

        async def work(pool: Pool) -> None:
            tasks = [asyncio.create_task(pool.send(envelope(), MESSAGE, Held())) for _ in range(2)]
            await until(lambda: len(server.messages) == 1)
            assert " ".join(server.commands).count("MAIL") == 1
            server.release()
            await asyncio.gather(*tasks)

        with_pool(server.port, work, reserved=0, connections=1, send_ahead=False)


@pytest.mark.parametrize("answer", ["421 4.3.2 closing", "drop", "stall", "garbage"])
def test_a_session_lost_after_one_message_harms_no_other(answer: str) -> None:
    with SmtpServer(answers={".": [answer]}) as server:
        first, *others = send_many(server.port, 4)
        assert (first.data is None) == (answer != "421 4.3.2 closing")
        assert first.dot_sent
        assert codes(others) == [250] * 3
        assert len(server.answered()) == 3
        people = [each.recipients[0] for each in server.answered()]
        assert sorted(people) == ["r1@b.test", "r2@b.test", "r3@b.test"]


def test_a_slow_reply_does_not_hold_the_delivery_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "AHEAD_PATIENCE_SECONDS", 0.1)
    with SmtpServer(answers={".": ["stall"]}) as server:

        async def work(pool: Pool) -> list[Transaction]:
            slow, urgent = (
                asyncio.create_task(pool.send(envelope(to), MESSAGE, Held()))
                for to in ("slow@b.test", "next@b.test")
            )
            done = await urgent  # On another connection, while the first one waits.
            assert not slow.done()
            server.release()
            return [await slow, done]

        found = with_pool(server.port, work, reserved=0, connections=2, timeouts=SHORT)
        assert codes(found) == [250, 250]
        assert sorted(each.recipients[0] for each in server.answered()) == [
            "next@b.test", "slow@b.test",
        ]  # fmt: skip


def test_a_session_with_an_abandoned_envelope_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server owes replies to that envelope, and may send them whenever it likes."""
    monkeypatch.setattr(transactions, "AHEAD_PATIENCE_SECONDS", 0.1)
    sessions: list[bytes] = []

    async def run() -> list[Transaction]:
        taken, given_back = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first = not sessions
            sessions.append(b"")
            mine = len(sessions) - 1
            writer.write(b"220 x\r\n")
            await reader.readline()
            writer.write(b"250-x\r\n250 PIPELINING\r\n")
            await reader.readuntil(b"DATA\r\n")
            writer.write(b"250 a\r\n250 b\r\n354 c\r\n")
            await reader.readuntil(b"\r\n.\r\n")
            if first:
                await reader.readuntil(b"DATA\r\n")  # The envelope ahead, never answered.
                taken.set()
                await given_back.wait()
            writer.write(b"250 taken\r\n")
            sessions[mine] = await reader.readline()
            writer.close()

        async with serving(serve) as port:
            pool = Pool(relay_to(port, connections=1), reserved=0)
            tasks = [
                asyncio.create_task(pool.send(envelope(to), MESSAGE, Held()))
                for to in ("slow@b.test", "next@b.test")
            ]
            await taken.wait()
            await until(lambda: len(pool._ordinary) == 1)
            given_back.set()
            found = await asyncio.gather(*tasks)
            await pool.close()
            return found

    assert codes(asyncio.run(run())) == [250, 250]
    assert len(sessions) == 2
    assert sessions[0] in (b"", b"QUIT\r\n")


def test_a_lost_lease_of_the_delivery_behind_stops_only_that() -> None:
    leases = [Held(), Held(), Held()]
    with SmtpServer() as server:
        server.on_message = lambda captured: setattr(leases[1], "held", False)
        found = send_many(server.port, 3, leases=leases)
        assert [each.trouble for each in found] == ["", "lease lost", ""]
        assert codes(found) == [250, 0, 250]
        assert len(server.messages) == 2


def test_messages_of_a_connection_are_capped_with_envelopes_ahead() -> None:
    with SmtpServer() as server:
        assert codes(send_many(server.port, 7, messages_per_connection=3)) == [250] * 7
        assert server.connections == 3
        assert server.commands.count("QUIT") == 3


LATE = {
    "a line later": [b"250-2.0.0 queued\r\n", b"250 2.0.0 as 1\r\n"],
    "in the middle of a line": [b"25", b"0 2.0.0 Ok\r\n"],
    "a byte at a time": [bytes([byte]) for byte in b"250 2.0.0 Ok\r\n"],
    "refused": [b"554", b" 5.6.0 no\r\n"],
}


def with_pieces(pieces: list[bytes], **timeouts: float) -> tuple[list[Transaction], int]:
    """Two messages, each answered piece by piece, the rest never; what came of them, sessions."""
    sessions = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sessions
        sessions += 1
        writer.write(b"220 x\r\n")
        await reader.readline()
        writer.write(b"250-x\r\n250 PIPELINING\r\n")
        for _ in range(2):
            await reader.readuntil(b"DATA\r\n")
            writer.write(b"250 a\r\n250 b\r\n354 c\r\n")
            await reader.readuntil(b"\r\n.\r\n")
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(max(0.03, 0.3 / len(pieces)))
            if not pieces[-1].endswith(b"\n"):
                await asyncio.sleep(60)

    async def run() -> list[Transaction]:
        async with serving(serve) as port:
            pool = Pool(relay_to(port, connections=1, timeouts={**LONG, **timeouts}), reserved=0)
            sends = [pool.send(envelope(f"r{n}@b.test"), MESSAGE, Held()) for n in range(2)]
            found = await asyncio.gather(*sends)
            await pool.close()
            return list(found)

    return asyncio.run(run()), sessions


@pytest.mark.parametrize("pieces", LATE.values(), ids=LATE.keys())
def test_a_reply_that_has_begun_may_take_its_time(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience for the delivery behind is not the deadline of the reply."""
    monkeypatch.setattr(transactions, "AHEAD_PATIENCE_SECONDS", 0.1)
    found, sessions = with_pieces(pieces)
    assert [letters(each) for each in found] == ["b" if pieces[0] == b"554" else "d"] * 2
    assert sessions == 1


def test_a_reply_that_never_ends_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deadline counts from the dot, and the delivery behind it moves."""
    monkeypatch.setattr(transactions, "AHEAD_PATIENCE_SECONDS", 0.1)
    found, sessions = with_pieces([b"250-more\r\n", b"25"], final=0.4)
    assert [(each.trouble, letters(each)) for each in found] == [("timed out", "u")] * 2
    assert sessions == 2


@pytest.mark.parametrize(
    ("verb", "answer", "outcome"),
    [
        ("MAIL", "421 4.3.2 closing", "d"),  # Of which nothing was said: another session does it.
        ("MAIL", "drop", "d"),
        ("MAIL", "garbage", "d"),
        ("RCPT", "421 4.3.2 closing", "f"),
        ("RCPT", "drop", "f"),
        ("RCPT", "garbage", "f"),
        ("DATA", "421 4.3.2 closing", "f"),
        ("DATA", "drop", "f"),
        ("DATA", "garbage", "f"),
    ],
)
def test_trouble_with_an_envelope_ahead_harms_no_other_message(
    verb: str, answer: str, outcome: str
) -> None:
    usual = USUAL[verb]
    with SmtpServer(answers={verb: [usual, answer]}) as server:
        found = send_many(server.port, 3)
        assert [letters(each) for each in found] == ["d", outcome, "d"]
        assert not {"RSET"} & set(server.commands)
        assert server.connections == 2
        assert len(server.answered()) == [letters(each) for each in found].count("d")


def test_a_delivery_moves_so_often_and_then_it_is_told() -> None:
    """Its envelope goes out behind one message after the other, each of which is lost."""
    with SmtpServer(answers={".": "stall"}) as server:

        async def work(pool: Pool) -> tuple[list[Transaction], Transaction]:
            unlucky = asyncio.create_task(pool.send(envelope("unlucky@b.test"), MESSAGE, Held()))
            lost = []
            for number in range(1, MAX_TRIES + 2):
                first = envelope(f"first{number}@b.test")
                lost.append(asyncio.create_task(pool.send(first, MESSAGE, Held(), urgent=True)))
                await until(lambda: len(server.messages) == number)  # noqa: B023
                assert not unlucky.done()
                server.hang_up()
                await lost[-1]
            return [await each for each in lost], await asyncio.wait_for(unlucky, 5)

        lost, unlucky = with_pool(
            server.port, work, reserved=0, connections=1, timeouts=LONG, send_ahead=True
        )
        assert [letters(each) for each in lost] == ["u"] * (MAX_TRIES + 1)
        assert (unlucky.trouble, unlucky.mail) == ("connection lost", None)
        assert server.connections == MAX_TRIES + 1
