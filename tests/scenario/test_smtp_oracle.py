"""What a server gets from us is what it gets from aiosmtplib, byte for byte."""

from __future__ import annotations

import asyncio

import aiosmtplib
import pytest

from tests.support.smtp_client import envelope, send_once
from tests.support.smtp_server import SmtpServer

BODIES = [
    b"\r\n",
    b".\r\n",
    b"..\r\n.\r\n",
    b"Subject: x\r\n\r\n.\r\n..\r\n...x\r\n",
    b"Subject: x\r\n\r\ntext\r\n\r\n\r\n",
    b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n.y\r\n" * 5000,
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("pipelining", [True, False])
def test_b4_the_same_bytes_as_another_client(body: bytes, pipelining: bool) -> None:
    answers = {} if pipelining else {"EHLO": "250-t\r\n250 SIZE"}
    with SmtpServer(answers=dict(answers)) as server:
        assert send_once(server.port, envelope("a@b.test", "c@b.test"), body).dot_sent
        asyncio.run(
            aiosmtplib.send(
                body, sender="from@a.test", recipients=["a@b.test", "c@b.test"],
                hostname="127.0.0.1", port=server.port, start_tls=False,
            )
        )  # fmt: skip
        ours, theirs = server.messages
        assert ours.raw == theirs.raw
        assert (ours.mail_from, ours.recipients) == (theirs.mail_from, theirs.recipients)
        assert ours.data == body
