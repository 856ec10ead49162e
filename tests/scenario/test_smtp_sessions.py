"""Sessions and what they carry: envelopes sent ahead, deliveries that move, limits, the ramp."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.smtp_client import (
    MESSAGE,
    SHORT,
    Held,
    envelope,
    relay_to,
    serving,
    until,
    with_pool,
)
from tests.support.smtp_server import SmtpServer
from workers.smtp import Pool, Transaction
from workers.smtp import transaction as transactions
from workers.smtp.ramp import FIRST, MOST, Ramp


def codes(found: list[Transaction]) -> list[int]:
    return [each.data.code if each.data else 0 for each in found]


def send_many(
    server: SmtpServer, count: int, *, leases: list[Held] | None = None, **relay: Any
) -> list[Transaction]:
    """Messages to one session, all waiting at once."""

    async def work(pool: Pool) -> list[Transaction]:
        held = leases or [Held() for _ in range(count)]
        return await asyncio.gather(
            *(
                pool.send(envelope(f"r{number}@b.test"), MESSAGE, held[number])
                for number in range(count)
            )
        )

    return with_pool(server.port, work, reserved=0, **({"connections": 1} | relay))


def test_waiting_deliveries_go_through_one_session_in_order() -> None:
    with SmtpServer() as server:
        assert codes(send_many(server, 5)) == [250] * 5
        assert [each.recipients for each in server.messages] == [[f"r{n}@b.test"] for n in range(5)]
        assert server.connections == 1
        assert "RSET" not in server.commands


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

    async def run() -> list[Transaction]:
        async with serving(serve) as port:
            pool = Pool(relay_to(port, connections=1), reserved=0)
            found = await asyncio.gather(
                *(pool.send(envelope(f"r{n}@b.test"), MESSAGE, Held()) for n in range(2))
            )
            await pool.close()
            return list(found)

    found = asyncio.run(run())
    assert codes(found) == [250, 250]
    assert [each.data.text for each in found if each.data] == ["d", "h"]
    data, _, following = received[0].partition(b"\r\n.\r\n")
    assert data.endswith(b"end")
    assert following == b"MAIL FROM:<from@a.test>\r\nRCPT TO:<r1@b.test>\r\nDATA\r\n"


@pytest.mark.parametrize("ehlo", ["250-t\r\n250 SIZE", "250 t"])
def test_nothing_is_sent_ahead_without_pipelining(ehlo: str) -> None:
    with SmtpServer(answers={"EHLO": ehlo}) as server:
        assert codes(send_many(server, 3)) == [250] * 3
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
        first, *others = send_many(server, 4)
        assert (first.data is None) == (answer != "421 4.3.2 closing")
        assert first.dot_sent
        assert codes(others) == [250] * 3
        assert len(server.answered()) == 3
        people = [each.recipients[0] for each in server.answered()]
        assert sorted(people) == ["r1@b.test", "r2@b.test", "r3@b.test"]


@pytest.mark.parametrize("answer", ["421 4.7.0 too many messages", "drop"])
def test_a_kept_session_that_ends_at_mail_moves_the_delivery(answer: str) -> None:
    with SmtpServer(answers={"MAIL": ["250 ok", answer]}) as server:
        assert codes(send_many(server, 3)) == [250] * 3
        assert server.connections == 2


def test_a_fresh_session_that_says_421_to_mail_is_believed() -> None:
    with SmtpServer(answers={"MAIL": "421 4.7.0 not now"}) as server:
        (found,) = send_many(server, 1)
        assert found.mail is not None
        assert found.mail.code == 421
        assert server.connections == 1


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
        found = send_many(server, 3, leases=leases)
        assert [each.trouble for each in found] == ["", "lease lost", ""]
        assert codes(found) == [250, 0, 250]
        assert len(server.messages) == 2


def test_a_cancelled_caller_ends_its_transaction_at_once() -> None:
    with SmtpServer(answers={"DATA": ["stall"]}) as server:

        async def work(pool: Pool) -> Transaction:
            task = asyncio.create_task(pool.send(envelope(), MESSAGE, Held()))
            await until(lambda: "DATA" in server.commands)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.release()
            return await pool.send(envelope("b@b.test"), MESSAGE, Held())

        assert with_pool(server.port, work, reserved=0, connections=1).dot_sent
        assert [each.recipients for each in server.messages] == [["b@b.test"]]


def test_messages_of_a_connection_are_capped_with_envelopes_ahead() -> None:
    with SmtpServer() as server:
        assert codes(send_many(server, 7, messages_per_connection=3)) == [250] * 7
        assert server.connections == 3
        assert server.commands.count("QUIT") == 3


def test_an_old_session_takes_no_further_message() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> None:
            await pool.send(envelope(), MESSAGE, Held())
            await until(lambda: "QUIT" in server.commands)
            await pool.send(envelope(), MESSAGE, Held())

        with_pool(server.port, work, max_age_seconds=0.2)
        assert server.connections == 2


def test_a_server_that_closes_an_idle_session_is_noticed() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> None:
            await pool.send(envelope(), MESSAGE, Held())
            server.hang_up()
            await until(lambda: pool.sessions == 0)
            await pool.send(envelope(), MESSAGE, Held())

        with_pool(server.port, work)
        assert server.connections == 2


def test_what_the_server_cannot_take_is_refused_without_it() -> None:
    offered = "250-t\r\n250-PIPELINING\r\n250 SIZE 100"
    with SmtpServer(answers={"EHLO": offered}) as server:

        async def work(pool: Pool) -> list[Transaction]:
            return [
                await pool.send(envelope(), b"Subject: x\r\n\r\n" + b"y" * 100 + b"\r\n", Held()),
                await pool.send(envelope(eight_bit=True), MESSAGE, Held()),
                await pool.send(envelope("a\r\nb@b.test"), MESSAGE, Held()),
                await pool.send(envelope("a>@b.test"), MESSAGE, Held()),
                await pool.send(envelope(), MESSAGE, Held()),
            ]

        large, eight_bit, control, bracket, good = with_pool(server.port, work)
        assert (large.recipients[0].code, large.recipients[0].enhanced) == (552, "5.3.4")
        assert eight_bit.seven_bit_only
        assert control.recipients[0].enhanced == bracket.recipients[0].enhanced == "5.1.3"
        assert codes([good]) == [250]
        assert server.connections == 1
        assert len(server.messages) == 1


def test_parameters_only_as_offered() -> None:
    with SmtpServer(answers={"EHLO": "250-t\r\n250-8BITMIME\r\n250-DSN\r\n250 SIZE"}) as server:

        async def work(pool: Pool) -> None:
            await pool.send(envelope("a+b@b.test", envid="01 =+"), MESSAGE, Held())
            await pool.send(envelope(eight_bit=True), MESSAGE, Held())

        with_pool(server.port, work, dsn="failure,delay")
        assert server.commands[1:3] == [
            f"MAIL FROM:<from@a.test> SIZE={len(MESSAGE)} RET=HDRS ENVID=01+20+3D+2B",
            "RCPT TO:<a+b@b.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@b.test",
        ]
        assert "BODY=8BITMIME" in server.commands[4]
    with SmtpServer(answers={"EHLO": "250 t"}) as server:
        send_many(server, 1, dsn="failure")
        assert server.commands[1:3] == ["MAIL FROM:<from@a.test>", "RCPT TO:<r0@b.test>"]


def test_the_source_address() -> None:
    with SmtpServer() as server:
        assert codes(send_many(server, 1, source_address="127.0.0.9")) == [250]
        assert server.peers == ["127.0.0.9"]
        (found,) = send_many(server, 1, source_address="192.0.2.1")
        assert found.trouble == "source address not on this machine"


def test_hundreds_of_sessions_on_one_loop() -> None:
    with SmtpServer(answers={".": "stall"}) as server:

        async def work(pool: Pool) -> list[Transaction]:
            tasks = [
                asyncio.create_task(pool.send(envelope(), MESSAGE, Held())) for _ in range(300)
            ]
            await until(lambda: len(server.messages) == 300, 30)
            server.answers.clear()
            server.release()
            return await asyncio.gather(*tasks)

        timeouts = {"connect": 10, "banner": 10, "command": 10, "data": 10, "final": 30}
        found = with_pool(
            server.port, work, reserved=0, connections=300, send_ahead=False, timeouts=timeouts
        )
        assert codes(found) == [250] * 300
        assert server.connections == 300


def test_a_host_that_is_away_fails_what_waits_once() -> None:
    with SmtpServer() as server:
        port = server.port

    async def work(pool: Pool) -> list[Transaction]:
        return await asyncio.gather(*(pool.send(envelope(), MESSAGE, Held()) for _ in range(50)))

    found = with_pool(port, work)
    assert {each.trouble for each in found} == {"connection refused"}


def test_a_host_that_wants_fewer_connections_keeps_those_it_has() -> None:
    busy = "421 4.7.0 too many connections"
    with SmtpServer(answers={"banner": ["220 hello", busy, busy, busy, busy]}) as server:
        assert codes(send_many(server, 20, connections=10)) == [250] * 20


def test_the_ramp_doubles_and_starts_anew_after_a_failure() -> None:
    ramp, widths = Ramp(), []
    for _ in range(8):
        width = 0
        while ramp.may_open(0.0):
            ramp.begin()
            width += 1
        widths.append(width)
        for _ in range(width):
            ramp.opened()
    assert widths[0] == FIRST
    assert widths == sorted(widths)
    assert widths[-1] == MOST
    waits = []
    now = 0.0
    for _ in range(8):
        ramp.begin()
        ramp.failed(now)
        assert not ramp.may_open(now)
        waits.append(ramp.wait(now))
        now += ramp.wait(now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    ramp.begin()
    assert not ramp.may_open(now), "one at a time until one succeeds"
