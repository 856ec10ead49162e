"""Our client against a real Postfix with TLS and AUTH: the protocol as it is spoken out there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from shared.clock import SystemClock
from shared.model.message import Address, Attachment, Content, Head, Recipient
from shared.render import render
from tests.support.dkim_keys import ed25519_key, rsa_key, verifies
from tests.support.postfix import PASSWORD, USER, Postfix, postfix
from tests.support.smtp_client import MESSAGE, Held, envelope, with_pool
from workers.sign import Dkim
from workers.smtp import Envelope, Pool, Transaction


@pytest.fixture(scope="module")
def server() -> Iterator[Postfix]:
    with postfix() as running:
        yield running


def session(server: Postfix, work: Any, **fields: Any) -> Any:
    wait = dict.fromkeys(("connect", "banner", "command", "data", "block", "final"), 20)
    values = {
        "tls": "required", "tls_name": "mx.test", "ca_file": server.ca_file, "user": USER,
        "password": PASSWORD, "timeouts": wait, "dsn": "failure", "connections": 2, **fields,
    }  # fmt: skip
    return with_pool(server.port, work, **values)


def sending(*jobs: tuple[Envelope, bytes]) -> Any:
    async def work(pool: Pool) -> list[Transaction]:
        return list(await asyncio.gather(*(pool.send(*job, Held()) for job in jobs)))

    return work


@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5", ""])
def test_signed_messages_arrive_as_they_were(server: Postfix, auth: str) -> None:
    before = len(list(server.inbox.glob("*")))
    keys = (rsa_key(), ed25519_key())
    signer = Dkim({"shop.test": keys}, SystemClock())
    jobs = []
    for number in range(12):
        head = Head(
            "app", "bulk", f"<{auth}{number}@shop.test>", Address("orders@shop.test", "Shöp"), "",
            (Recipient("to", "a@b.test", "Ä"),), f"Nr {number}", 1_800_000_000_000,
        )  # fmt: skip
        content = Content(
            text=f".\n..\nleading dots {number}\n" + "long " * 300 + "\n \t\n\n",
            html="<p>é</p>" * number,
            attachments=(Attachment("a.bin", "application/pdf", bytes(range(256)) * number),),
        )
        message = signer.sign(render(head, content), "shop.test").message
        jobs.append((envelope("a@b.test", envid=f"id{auth}{number}"), message))
    found = session(server, sending(*jobs), auth=auth)
    assert [each.data.code for each in found] == [250] * 12
    delivered = server.delivered(before + 12)
    sent = {message for _, message in jobs}
    whole = set()
    for data in delivered:
        raw = data.replace(b"\n", b"\r\n")
        start = raw.find(b"DKIM-Signature:")
        if raw[start:] in sent:
            assert verifies(raw[start:], *keys) == [True, True]
            whole.add(raw[start:])
    assert whole == sent, "every byte, with its final line end and its dots"


def test_each_recipient_has_its_own_reply(server: Postfix) -> None:
    (found,) = session(
        server, sending((envelope("a@b.test", "nobody@b.test", "x@elsewhere.test"), MESSAGE))
    )
    codes = {index: reply.code for index, reply in found.recipients.items()}
    assert (codes[0], codes[1]) == (250, 554)
    assert found.data.code == 250


def test_all_refused_and_the_session_goes_on(server: Postfix) -> None:
    found = session(
        server,
        sending(
            (envelope("nobody@b.test"), MESSAGE),
            (envelope("a@b.test"), MESSAGE),
            (envelope("nobody@b.test"), MESSAGE),
            (envelope("a@b.test"), MESSAGE),
        ),
        connections=1,
    )
    assert [each.recipients[0].code for each in found] == [554, 250, 554, 250]
    assert [each.data.code if each.data else 0 for each in found if each.dot_sent] == [250, 250]


def test_too_large_is_refused_before_it_is_sent(server: Postfix) -> None:
    (found,) = session(server, sending((envelope(), b"X: y\r\n\r\n" + b"line\r\n" * 50_000)))
    assert found.recipients[0].enhanced == "5.3.4"
    assert found.bytes_sent == 0


def test_an_address_in_utf_8(server: Postfix) -> None:
    message = b"Subject: x\r\nTo: j\xc3\xb6rg@b.test\r\n\r\nhello\r\n"
    (found,) = session(server, sending((envelope("jörg@b.test", smtputf8=True), message)))
    assert found.data is not None
    assert found.data.code == 250


def test_a_wrong_password_is_the_relays_trouble(server: Postfix) -> None:
    (found,) = session(server, sending((envelope(), MESSAGE)), password="wrong")
    assert found.trouble_reply is not None
    assert found.trouble_reply.code == 535
    assert found.mail is None


def test_b15_without_tls_it_takes_nothing(server: Postfix) -> None:
    (found,) = session(
        server, sending((envelope(), MESSAGE)), tls="none", user="", password="", ca_file=""
    )
    assert found.mail is not None
    assert found.mail.code == 530
