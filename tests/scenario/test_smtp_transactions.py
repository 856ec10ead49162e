"""One message from end to end: what arrives, how replies are matched, when sessions are kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.smtp_client import (
    MESSAGE,
    NO_PIPELINING,
    Held,
    envelope,
    send_once,
    with_pool,
)
from tests.support.smtp_server import SmtpServer
from workers.smtp import Pool, Transaction


@pytest.mark.parametrize("ehlo", [None, NO_PIPELINING])
def test_a_message_arrives_as_it_was(ehlo: str | None) -> None:
    with SmtpServer(answers={"EHLO": ehlo} if ehlo else {}) as server:
        transaction = send_once(server.port, envelope("a@b.test", "c@d.test"))
        assert transaction.data is not None
        assert (transaction.data.code, transaction.data.enhanced) == (250, "2.0.0")
        (captured,) = server.messages
        assert captured.data == MESSAGE
        assert captured.raw == b"Subject: x\r\n\r\n..leading\r\n...two\r\nend\r\n"
        assert captured.recipients == ["a@b.test", "c@d.test"]


def test_helo_where_ehlo_is_not_known() -> None:
    with SmtpServer(answers={"EHLO": "502 5.5.1 what"}) as server:
        assert send_once(server.port).dot_sent
        assert "HELO here" in server.commands


@pytest.mark.parametrize("ehlo", [None, NO_PIPELINING])
def test_every_recipient_has_its_own_reply(ehlo: str | None) -> None:
    answers: dict[str, Any] = {"RCPT": ["550 5.1.1 no", "250 ok", "451 4.7.1 later"]}
    with SmtpServer(answers={**answers, **({"EHLO": ehlo} if ehlo else {})}) as server:
        transaction = send_once(server.port, envelope("a@b.test", "c@b.test", "d@b.test"))
        codes = {index: reply.code for index, reply in transaction.recipients.items()}
        assert codes == {0: 550, 1: 250, 2: 451}
        assert server.messages[0].recipients == ["c@b.test"]


def test_sessions_are_kept_and_capped() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> None:
            for _ in range(7):
                await pool.send(envelope(), MESSAGE, Held())

        with_pool(server.port, work, messages_per_connection=3)
        assert server.connections == 3
        assert len(server.messages) == 7
        assert server.commands.count("QUIT") == 3


def test_a_kept_session_that_died_is_replaced_unseen() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> Transaction:
            await pool.send(envelope(), MESSAGE, Held())
            server.answers["MAIL"] = ["drop"]
            return await pool.send(envelope(), MESSAGE, Held())

        transaction = with_pool(server.port, work)
        assert transaction.data is not None
        assert transaction.data.code == 250
        assert server.connections == 2


def test_an_idle_session_is_closed() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> None:
            await pool.send(envelope(), MESSAGE, Held())
            while "QUIT" not in server.commands:
                await asyncio.sleep(0.01)

        with_pool(server.port, work, idle_seconds=0.1)


def test_a_lost_lease_stops_before_the_dot() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> Transaction:
            return await pool.send(envelope(), MESSAGE, Held(at_dot=False))

        transaction = with_pool(server.port, work)
        assert transaction.trouble == "lease lost"
        assert not transaction.dot_sent
        assert not server.messages


def test_large_messages_go_in_blocks() -> None:
    with SmtpServer() as server:
        body = b"Subject: x\r\n\r\n" + b".line of text\r\n" * 20_000

        async def work(pool: Pool) -> Transaction:
            return await pool.send(envelope(), body, Held())

        assert with_pool(server.port, work).dot_sent
        assert server.messages[0].data == body


def test_smtputf8_is_refused_where_it_is_not_offered() -> None:
    with SmtpServer() as server:
        transaction = send_once(server.port, envelope("jörg@b.test", smtputf8=True))
        assert transaction.recipients[0].enhanced == "5.6.7"
        assert not server.messages
    offered = "250-test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8"
    with SmtpServer(answers={"EHLO": offered}) as server:
        send_once(server.port, envelope("jörg@b.test", smtputf8=True))
        assert server.commands[1] == "MAIL FROM:<from@a.test> SMTPUTF8 BODY=8BITMIME"
        assert server.messages[0].recipients == ["jörg@b.test"]


def test_all_refused_but_data_accepted_ends_with_a_dot() -> None:
    with SmtpServer(answers={"RCPT": "550 5.1.1 no"}) as server:

        async def work(pool: Pool) -> tuple[Transaction, Transaction]:
            first = await pool.send(envelope(), MESSAGE, Held())
            server.answers.clear()
            return first, await pool.send(envelope(), MESSAGE, Held())

        first, second = with_pool(server.port, work)
        assert not first.dot_sent
        assert second.data is not None
        assert server.messages[0].raw == b""
        assert "RSET" in server.commands
        assert server.connections == 1


def test_a_421_ends_the_session_and_harms_no_other_message() -> None:
    with SmtpServer(answers={".": ["421 4.3.2 closing"]}) as server:

        async def work(pool: Pool) -> list[Transaction]:
            return [await pool.send(envelope(), MESSAGE, Held()) for _ in range(2)]

        first, second = with_pool(server.port, work)
        assert first.data is not None
        assert second.data is not None
        assert (first.data.code, second.data.code) == (421, 250)
        assert server.connections == 2
