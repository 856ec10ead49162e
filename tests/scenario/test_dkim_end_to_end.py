"""Signed from the API to the wire: keys by domain, what has none, what must have one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.dkim import to_pem
from tests.support.dkim_keys import ed25519_key, rsa_key, verifies
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, message, poll, running


def keys_in(folder: Path, domain: str = "shop.test") -> str:
    """Settings for an RSA and an Ed25519 key."""
    text = ""
    for key in (rsa_key(domain), ed25519_key(domain)):
        path = folder / f"{key.selector}.pem"
        path.write_bytes(to_pem(key.private))
        text += f'[[dkim]]\ndomain = "{domain}"\nselector = "{key.selector}"\nkey_file = "{path}"\n'
    return text


def metric(system: System, name: str) -> float:
    return system.samples(system.exporter)[name]


def test_b43_what_arrives_is_signed(tmp_path: Path) -> None:
    application = '[application.default]\nreturn_path = "bounces@shop.test"\n'
    with running(settings=QUICK + keys_in(tmp_path) + application) as system:
        page = "<p>Hello,</p>\n<p><a href='https://shop.test/r'>reset</a></p>"
        signed = system.send(html=page, text=None, headers={"List-Unsubscribe": "<https://x.test>"})
        below = system.send(**{"from": "a@mail.shop.test", "return_path": "own@shop.test"})
        unsigned = system.send(**{"from": "a@other.test"})
        for identifier in (signed, below, unsigned):
            system.wait_status(identifier, "delivered")
        by_from = {each.header("From"): each for each in system.server.answered()}
        keys = (rsa_key(), ed25519_key())
        first = by_from["Shop <orders@shop.test>"]
        assert verifies(first.data, *keys) == [True, True]
        assert b"[reset](https://shop.test/r)" in first.data
        assert first.mail_from == "bounces@shop.test"
        second = by_from["a@mail.shop.test"]
        assert verifies(second.data, *keys) == [True, True]
        assert second.mail_from == "own@shop.test"
        assert b"DKIM-Signature" not in by_from["a@other.test"].data
        assert metric(system, "posthaste_unsigned_total") == 1


def test_require_dkim_refuses_at_accept(tmp_path: Path) -> None:
    with running(settings="require_dkim = true\n" + QUICK + keys_in(tmp_path)) as system:
        status, body, _ = system.ask("POST", "/v1/messages", message(**{"from": "a@other.test"}))
        assert status == 422
        assert [(each["pointer"], each["code"]) for each in body["errors"]] == [
            ("/from", "dkim_key_missing"),
        ]  # fmt: skip
        system.wait_status(system.send(**{"from": "a@eu.shop.test"}), "delivered")


@pytest.mark.parametrize("relay", ['dkim = "off"', 'dkim_skip_headers = ["Message-ID", "Date"]'])
def test_a_relay_that_signs_or_rewrites(tmp_path: Path, relay: str) -> None:
    settings = QUICK + f"[[relay]]\n{relay}\n" + keys_in(tmp_path)
    with running(settings=settings) as system:
        system.wait_status(system.send(), "delivered")
        (captured,) = system.server.answered()
        if "off" in relay:
            assert b"DKIM-Signature" not in captured.data
            assert metric(system, "posthaste_unsigned_total") == 0
        else:
            changed = re.sub(
                rb"Message-ID: [^\r]*", b"Message-ID: <other@relay.test>", captured.data
            )
            assert changed != captured.data
            assert verifies(changed, rsa_key(), ed25519_key()) == [True, True]


def test_b5_a_relay_without_8bitmime_gets_7_bit(tmp_path: Path) -> None:
    inner = "U3ViamVjdDogYQ0KDQpoZWxsw7YNCg=="  # A message with an 8-bit line.
    part = {"filename": "m.eml", "content": inner, "content_type": "message/rfc822"}
    for offered, kind in (
        ("250-t\r\n250 8BITMIME", b"message/rfc822"),
        ("250-t\r\n250 SIZE", b"application/octet-stream"),
    ):
        server = SmtpServer(answers={"EHLO": offered})
        with running(server=server, settings=QUICK + keys_in(tmp_path)) as system:
            system.wait_status(system.send(attachments=[part]), "delivered")
            (captured,) = system.server.answered()
            assert kind in captured.data
            assert captured.data.isascii() == (kind == b"application/octet-stream")
            assert verifies(captured.data, rsa_key(), ed25519_key()) == [True, True]


def test_an_address_that_needs_smtputf8_bounces_where_it_cannot_go() -> None:
    with running() as system:
        identifier = system.send(to="jörg@example.test")
        system.wait_status(identifier, "bounced")
        (recipient,) = system.recipients(identifier)
        assert "5.6.7" in str(recipient)
        assert not system.server.messages


def test_a_non_ascii_bcc_costs_nobody_else_the_message() -> None:
    with running() as system:
        identifier = system.send(to="a@example.test", bcc=["jörg@example.test", "c@example.test"])
        (captured,) = system.server.wait_for(1)
        assert captured.recipients == ["a@example.test", "c@example.test"]
        poll(lambda: statuses(system, identifier) == ["delivered", "bounced", "delivered"])
        assert len(system.server.messages) == 1
        assert sorted(system.ledger(identifier)) == [
            "accepted", "attempt", "attempt", "rerouted",
        ]  # fmt: skip


def statuses(system: System, identifier: str) -> list[str]:
    return [each["status"] for each in system.recipients(identifier)]
