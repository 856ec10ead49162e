"""The SMTP client against a server that does everything wrong: each fault is a value."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from shared.settings import TimeoutSettings
from tests.support.smtp_client import (
    MESSAGE,
    Held,
    envelope,
    relay_to,
    send_once,
    serving,
    with_pool,
)
from tests.support.smtp_server import USUAL, SmtpServer
from workers.smtp import Pool, Stage, Transaction
from workers.smtp.replies import command
from workers.smtp.transaction import stuff
from workers.smtp.types import Broken

SLOW = TimeoutSettings(connect=10, banner=10, command=10, data=10, block=30, final=30, quit=0.2)
NO_PIPELINING = "250-test\r\n250 SIZE"


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


@pytest.mark.parametrize("verb", ["banner", "EHLO"])
@pytest.mark.parametrize("answer", ["drop", "stall", "421 4.3.2 no", "554 no", "garbage"])
def test_trouble_before_mail_is_the_relays(verb: str, answer: str) -> None:
    with SmtpServer(answers={verb: answer}) as server:
        transaction = send_once(server.port)
        assert transaction.mail is None
        assert transaction.trouble
        assert transaction.stage <= Stage.EHLO
        assert not server.messages


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["drop", "stall", "garbage", "1" * 5000, "250-" * 3])
def test_a_session_that_breaks_before_the_dot(verb: str, answer: str) -> None:
    with SmtpServer(answers={verb: answer}) as server:
        transaction = send_once(server.port)
        assert transaction.trouble
        assert not transaction.dot_sent
        assert not server.messages


@pytest.mark.parametrize("answer", ["drop", "stall", "garbage"])
def test_a_session_that_breaks_after_the_dot(answer: str) -> None:
    with SmtpServer(answers={".": answer}) as server:
        transaction = send_once(server.port)
        assert transaction.trouble
        assert transaction.dot_sent
        assert transaction.data is None


@pytest.mark.parametrize("ehlo", [None, NO_PIPELINING])
def test_every_recipient_has_its_own_reply(ehlo: str | None) -> None:
    answers: dict[str, Any] = {"RCPT": ["550 5.1.1 no", "250 ok", "451 4.7.1 later"]}
    with SmtpServer(answers={**answers, **({"EHLO": ehlo} if ehlo else {})}) as server:
        transaction = send_once(server.port, envelope("a@b.test", "c@b.test", "d@b.test"))
        codes = {index: reply.code for index, reply in transaction.recipients.items()}
        assert codes == {0: 550, 1: 250, 2: 451}
        assert server.messages[0].recipients == ["c@b.test"]


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


def test_sessions_are_kept_and_capped() -> None:
    with SmtpServer() as server:

        async def work(pool: Pool) -> None:
            for _ in range(7):
                await pool.send(envelope(), MESSAGE, Held())

        with_pool(server.port, work, messages_per_connection=3)
        assert server.connections == 3
        assert len(server.messages) == 7
        assert server.commands.count("QUIT") == 3


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


def test_b15_required_tls_is_never_given_up() -> None:
    with SmtpServer() as server:
        transaction = send_once(server.port, tls="required")
        assert transaction.stage is Stage.TLS
        assert "MAIL" not in " ".join(server.commands)


def test_b16_data_after_starttls_ends_the_session() -> None:
    answers = {"EHLO": "250-test\r\n250 STARTTLS", "STARTTLS": "220 go\r\n250 injected"}
    with SmtpServer(answers=dict(answers)) as server:
        transaction = send_once(server.port, tls="required")
        assert transaction.trouble == "unexpected data"
        assert "MAIL" not in " ".join(server.commands)


@pytest.mark.parametrize("control", ["\r\n", "\n", "\0", "\x7f", "\x1b"])
def test_b3_control_characters_never_reach_a_command(control: str) -> None:
    with pytest.raises(Broken, match="control"):
        command(f"RCPT TO:<a{control}b@c.test>")


def test_b4_dot_stuffing() -> None:
    assert stuff(b".\r\n.a\r\nb.\r\n..\r\n") == b"..\r\n..a\r\nb.\r\n...\r\n"


HOSTILE = {
    "endless lines": "flood",
    "one endless line": "2" * 700_000,
    "100,000 lines": "250-x\r\n" * 100_000 + "250 x",
    "a byte at a time": "drip",
    "NUL": "2\x0050 ok",
    "8-bit": "\xff\xfe\xfd",
    "codes that differ": "250-a\r\n251 b",
    "no code": "OK",
    "one that does not exist": "950 x",
    "nothing but line ends": "\r\n\r\n\r\n",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("verb", ["banner", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_b18_a_hostile_server_costs_little(verb: str, answer: str) -> None:
    began, before = time.monotonic(), resident()
    with SmtpServer(answers={verb: answer}) as server:
        found = send_once(server.port)
        assert found.trouble
        assert found.data is None
        assert found.dot_sent == (verb == ".")
    assert time.monotonic() - began < 8
    assert resident() - before < 60 * 2**20, "what it says is not kept"


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_b18_odd_but_legal_replies_are_understood() -> None:
    answers: dict[str, Any] = {
        "banner": "220-welcome\r\n220-\r\n220 to us",
        "EHLO": "250-t\r\n250-pipelining\r\n250-\r\n250-X-ODD \xff=1\r\n250 size 1000000",
        "MAIL": "250",
        "RCPT": "251 2.1.5 will forward \x1b[31m\x7f",
        ".": "250-2.0.0 queued\r\n250 2.0.0 as \xff1",
    }
    with SmtpServer(answers=answers) as server:
        found = send_once(server.port)
        assert found.data is not None
        assert (found.data.code, found.data.enhanced) == (250, "2.0.0")
        assert found.data.text == "queued as \ufffd1"
        assert found.recipients[0].text == "will forward \ufffd[31m\ufffd"
        assert "SIZE=" in server.commands[1]


def test_a_refusal_right_after_354_is_heard_before_anything_is_sent() -> None:
    with SmtpServer(answers={"DATA": "354 go ahead\r\n554 5.7.1 on second thought"}) as server:
        found = send_once(server.port)
        assert found.data is not None
        assert (found.data.code, found.dot_sent, found.bytes_sent) == (554, False, 0)
        assert not server.messages


@pytest.mark.parametrize("verb", ["banner", "EHLO", "MAIL", "DATA"])
def test_b18_replies_before_the_command_end_the_session(verb: str) -> None:
    usual = USUAL[verb]
    with SmtpServer(answers={verb: f"{usual}\r\n250 early\r\n250 birds"}) as server:
        found = send_once(server.port)
        assert found.trouble
        assert not found.dot_sent
        assert not server.messages


async def until_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak SMTP up to the 354."""
    writer.write(b"220 x\r\n")
    await reader.readline()
    writer.write(b"250-x\r\n250 PIPELINING\r\n")
    await reader.readuntil(b"DATA\r\n")
    writer.write(b"250 a\r\n250 b\r\n354 c\r\n")


def test_a_refusal_in_the_middle_of_the_data_is_heard() -> None:
    body = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 2_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer)
        await reader.readexactly(100_000)
        writer.write(b"552 5.3.4 too much\r\n")
        await asyncio.sleep(60)  # Reads no more; the client must not wait for that.

    async def run() -> Transaction:
        async with serving(serve) as port:
            pool = Pool(relay_to(port, timeouts=SLOW))
            found = await asyncio.wait_for(pool.send(envelope(), body, Held()), 20)
            await pool.close()
            return found

    found = asyncio.run(run())
    assert found.data is not None
    assert (found.data.code, found.dot_sent) == (552, False)


def test_a_server_that_takes_the_data_too_slowly_is_given_up() -> None:
    body = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 2_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer)
        while await reader.read(1000):
            await asyncio.sleep(0.05)

    async def run() -> Transaction:
        async with serving(serve, limit=1024) as port:
            pool = Pool(relay_to(port, timeouts=SLOW, min_bytes_per_second=100_000.0))
            found = await asyncio.wait_for(pool.send(envelope(), body, Held()), 60)
            await pool.close()
            return found

    found = asyncio.run(run())
    assert found.trouble == "timed out"
    assert not found.dot_sent
    assert 0 < found.bytes_sent < len(body)
