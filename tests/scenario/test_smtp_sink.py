"""Our client against Postfix's smtp-sink with its fault switches: every fault has its outcome."""

from __future__ import annotations

import asyncio
import os

import pytest

from shared.outgoing_settings import TimeoutSettings
from tests.support.smtp_client import MESSAGE, SHORT, Held, envelope, with_pool
from tests.support.smtp_sink import BINARY, SmtpSink
from workers.classify import outcomes
from workers.smtp import Pool, Transaction

SLOW = TimeoutSettings(command=20, data=20, block=20, final=20, quit=0.2)
LARGE = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 20_000


@pytest.fixture(autouse=True)
def needs_sink() -> None:
    if BINARY is None:
        if os.environ.get("CI") == "true":
            pytest.fail("smtp-sink is missing: install the Debian package postfix")
        pytest.skip("smtp-sink is not here (Debian package postfix)")


def send(
    port: int, count: int = 1, message: bytes = MESSAGE, timeouts: TimeoutSettings = SHORT
) -> list[Transaction]:
    async def work(pool: Pool) -> list[Transaction]:
        sends = (pool.send(envelope("a@b.test", "c@b.test"), message, Held()) for _ in range(count))
        return list(await asyncio.gather(*sends))

    return with_pool(port, work, connections=2, timeouts=timeouts)


def letters(transaction: Transaction) -> str:
    found = outcomes(transaction, (0, 1))
    return "relay" if found.relay_trouble else "".join(reply.status for reply in found.replies)


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ((), "dd"),
        (("-e",), "dd"),  # No ESMTP.
        (("-p",), "dd"),  # No PIPELINING.
        (("-8",), "dd"),  # No 8BITMIME.
        (("-E",), "dd"),  # No ENHANCEDSTATUSCODES.
        (("-P",), "dd"),  # A Cisco PIX in between.
        (("-T", "1"), "dd"),  # A TCP window of one byte.
        (("-r", "connect"), "relay"),
        (("-r", "ehlo"), "relay"),
        (("-r", "mail"), "ff"),
        (("-r", "rcpt"), "ff"),
        (("-r", "data"), "ff"),
        (("-r", "."), "ff"),
        (("-f", "connect"), "relay"),
        (("-f", "mail"), "bb"),
        (("-f", "rcpt"), "bb"),
        (("-f", "data"), "bb"),
        (("-f", "."), "bb"),
        (("-q", "connect"), "relay"),
        (("-q", "ehlo"), "relay"),
        (("-q", "mail"), "relay"),
        (("-q", "rcpt"), "ff"),
        (("-q", "data"), "ff"),
        (("-q", "."), "uu"),
        (("-Q", "connect"), "relay"),
        (("-Q", "ehlo"), "relay"),
        (("-Q", "mail"), "ff"),
        (("-Q", "rcpt"), "ff"),
        (("-Q", "data"), "ff"),
        (("-Q", "."), "ff"),
        (("-p", "-q", "rcpt"), "ff"),
        (("-p", "-f", "rcpt"), "bb"),
        (("-p", "-Q", "."), "ff"),
    ],
    ids=" ".join,
)
def test_a_fault_has_its_outcome(options: tuple[str, ...], outcome: str) -> None:
    with SmtpSink(*options) as sink:
        assert letters(*send(sink.port)) == outcome


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_it_refuses_the_data_before_the_end(seconds: str) -> None:
    with SmtpSink("-A", seconds) as sink:
        (found,) = send(sink.port, message=LARGE * 20, timeouts=SLOW)
        assert letters(found) == "bb"


def test_it_reads_no_further() -> None:
    with SmtpSink("-H", "60", "-T", "1024") as sink:
        (found,) = send(sink.port, message=LARGE * 20)
        assert found.trouble == "timed out"
        assert letters(found) == "ff"
        assert not found.dot_sent


def test_large_messages_through_a_small_window() -> None:
    with SmtpSink("-T", "1024") as sink:
        assert [letters(each) for each in send(sink.port, 5, LARGE)] == ["dd"] * 5


def test_replies_out_of_order_bounce_nobody() -> None:
    """With a delay smtp-sink answers DATA before RCPT: a 503 there says nothing about anybody."""
    with SmtpSink("-W", "rcpt:1") as sink:
        (found,) = send(sink.port)
        assert found.recipients[0].code == 503
        assert letters(found) == "ff"
