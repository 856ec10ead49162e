"""A relay's sessions: kept, capped, moved from, set up along a ramp, ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support.smtp_client import (
    MESSAGE,
    NO_PIPELINING,
    Held,
    codes,
    envelope,
    letters,
    relay_to,
    send_many,
    until,
    with_pool,
)
from tests.support.smtp_server import USUAL, SmtpServer
from workers.smtp import Pool, Transaction
from workers.smtp.ramp import FIRST, MOST, Ramp

LONG = {"banner": 9, "command": 9, "data": 9, "final": 9, "quit": 0.2}


@pytest.mark.parametrize("ehlo", [USUAL["EHLO"], NO_PIPELINING])
@pytest.mark.parametrize("answer", ["421 4.7.0 too many messages", "drop"])
def test_a_kept_session_that_ends_at_mail_moves_the_delivery(answer: str, ehlo: str) -> None:
    with SmtpServer(answers={"EHLO": ehlo, "MAIL": ["250 ok", answer]}) as server:
        assert codes(send_many(server.port, 3)) == [250] * 3
        assert server.connections == 2


def test_a_fresh_session_that_says_421_to_mail_is_believed() -> None:
    with SmtpServer(answers={"MAIL": "421 4.7.0 not now"}) as server:
        (found,) = send_many(server.port, 1)
        assert found.mail is not None
        assert found.mail.code == 421
        assert server.connections == 1


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
        send_many(server.port, 1, dsn="failure")
        assert server.commands[1:3] == ["MAIL FROM:<from@a.test>", "RCPT TO:<r0@b.test>"]


def test_the_source_address() -> None:
    with SmtpServer() as server:
        assert codes(send_many(server.port, 1, source_address="127.0.0.9")) == [250]
        assert server.peers == ["127.0.0.9"]
        (found,) = send_many(server.port, 1, source_address="192.0.2.1")
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
        assert codes(send_many(server.port, 20, connections=10)) == [250] * 20


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


def test_no_more_connections_than_allowed_and_some_kept_for_critical() -> None:
    with SmtpServer(answers={".": ["stall"] * 3}) as server:

        async def work(pool: Pool) -> None:
            ordinary = [
                asyncio.create_task(pool.send(envelope(), MESSAGE, Held())) for _ in range(4)
            ]
            while len(server.messages) < 2:
                await asyncio.sleep(0.01)
            urgent = asyncio.create_task(pool.send(envelope(), MESSAGE, Held(), urgent=True))
            while len(server.messages) < 3:
                await asyncio.sleep(0.01)
            assert server.connections == 3
            server.release()
            await asyncio.gather(*ordinary, urgent)

        with_pool(server.port, work, connections=3, reserved=1)
        assert server.connections == 3
        assert len(server.messages) == 5


def test_a_session_that_rests_is_kept_for_critical_too() -> None:
    """One connection is free, and open already; ordinary mail leaves it alone all the same."""
    with SmtpServer(answers={".": ["stall"]}) as server:

        async def work(pool: Pool) -> None:
            def start(to: str, urgent: bool = False) -> asyncio.Task[Transaction]:
                return asyncio.create_task(pool.send(envelope(to), MESSAGE, Held(), urgent=urgent))

            stalled = start("stalled@b.test")
            await until(lambda: len(server.messages) == 1)
            await start("urgent1@b.test", urgent=True)
            waiting = start("waiting@b.test")
            await start("urgent2@b.test", urgent=True)
            assert not waiting.done()
            server.release()
            await asyncio.gather(stalled, waiting)

        with_pool(server.port, work, connections=2, reserved=1, send_ahead=False, timeouts=LONG)
        assert [each.recipients[0].split("@")[0] for each in server.messages] == [
            "stalled", "urgent1", "urgent2", "waiting",
        ]  # fmt: skip
        assert server.connections == 2


def test_a_delivery_whose_lease_is_lost_does_not_move() -> None:
    """Nobody may do it any more, so no other session is set up for it."""
    lease = Held()
    with SmtpServer(answers={"MAIL": ["250 ok", "stall"]}) as server:

        async def work(pool: Pool) -> Transaction:
            await pool.send(envelope(), MESSAGE, Held())
            task = asyncio.create_task(pool.send(envelope("late@b.test"), MESSAGE, lease))
            await until(lambda: "MAIL" in server.commands[-1] or "late" in server.commands[-1])
            lease.held = False
            server.hang_up()
            return await task

        found = with_pool(server.port, work, timeouts=LONG)
        assert found.trouble == "connection lost"
        assert server.connections == 1


BUSY = "421 4.7.0 too many connections"


def test_a_pool_that_closes_leaves_nobody_waiting() -> None:
    """Its last session is lost while the host wants no other for now."""
    answers: dict[str, str | list[str]] = {
        "banner": ["220 hello", BUSY, BUSY, BUSY, BUSY, BUSY], ".": ["stall"],
    }  # fmt: skip
    with SmtpServer(answers=answers) as server:

        async def run() -> tuple[list[Transaction], Transaction]:
            relay = relay_to(server.port, connections=10, send_ahead=False, timeouts=LONG)
            pool = Pool(relay, reserved=0)
            tasks = [asyncio.create_task(pool.send(envelope(), MESSAGE, Held()))]
            await until(lambda: len(server.messages) == 1)
            tasks += [
                asyncio.create_task(pool.send(envelope(), MESSAGE, Held(), urgent=urgent))
                for urgent in (False, True)
            ]
            await until(lambda: server.connections >= 2 and pool.sessions == 1)
            closing = asyncio.create_task(pool.close())
            await asyncio.sleep(0)
            server.hang_up()
            await asyncio.wait_for(closing, 10)
            assert pool.sessions == 0
            assert pool._retry is None
            found = await asyncio.wait_for(asyncio.gather(*tasks), 1)
            server.answers.clear()
            late = await asyncio.wait_for(pool.send(envelope(), MESSAGE, Held()), 10)
            await pool.close()
            return found, late

        (lost, *waiting), late = asyncio.run(run())
        assert letters(lost) == "u"
        for each in waiting:
            assert letters(each) == "relay"
            assert each.trouble_reply is not None
            assert each.trouble_reply.code == 421
        assert letters(late) == "d", "one that had found the pool before still goes out"


@pytest.mark.parametrize(
    ("name", "source", "greeting"),
    [
        ("mail.shop.test", "", "mail.shop.test"),
        ("localhost", "", "[127.0.0.1]"),
        ("localhost", "127.0.0.9", "[127.0.0.9]"),
        ("a1b2c3", "", "[127.0.0.1]"),
    ],
)
def test_it_greets_by_its_own_name_or_address(
    name: str, source: str, greeting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []

    def look_up() -> str:
        lookups.append(threading.current_thread().name)
        return name

    monkeypatch.setattr("socket.getfqdn", look_up)
    with SmtpServer(answers={".": ["stall"] * 3}) as server:

        async def work(pool: Pool) -> None:
            sends = [pool.send(envelope(), MESSAGE, Held()) for _ in range(3)]
            done = asyncio.gather(*sends)
            await until(lambda: len(server.messages) == 3)
            server.release()
            await done

        with_pool(
            server.port, work, ehlo_name="", source_address=source, connections=3, reserved=0,
            send_ahead=False, timeouts=LONG,
        )  # fmt: skip
        assert [line for line in server.commands if "EHLO" in line] == [f"EHLO {greeting}"] * 3
    assert len(lookups) == 1
    assert lookups != [threading.main_thread().name]


def test_a_resolver_that_takes_its_time_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def look_up() -> str:
        asked.set()
        assert answer.wait(10)
        return "mail.shop.test"

    monkeypatch.setattr("socket.getfqdn", look_up)
    with SmtpServer() as server:

        async def work(pool: Pool) -> None:
            task = asyncio.create_task(pool.send(envelope(), MESSAGE, Held()))
            await until(asked.is_set)  # This loop goes on while the look-up does not.
            answer.set()
            await task

        with_pool(server.port, work, ehlo_name="", timeouts=LONG)
        assert server.commands[0] == "EHLO mail.shop.test"
