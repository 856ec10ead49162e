"""Direct delivery to a real Postfix and a real Exim, as mail hosts are out there."""

from __future__ import annotations

import base64
import email.policy
import re
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenario.test_dkim_end_to_end import keys_in
from tests.support.dkim_keys import ed25519_key, rsa_key, verifies
from tests.support.mx_world import ROUTE, World, started, world
from tests.support.real_mx import HOSTS, STS_DOMAINS, RealMx, real_mx, records
from tests.support.system import message

SECURE = """
[[route]]
name = "secure"
direct = true
tls = "required"
recipient_domains = ["*.secure.test"]
"""
POLICY = "version: STSv1\nmode: enforce\nmx: mx.postfix.test\nmx: mx.exim.test\nmx: mx.self.test\n"
KEYS = (rsa_key(), ed25519_key())
ATTACHED = (
    "Subject: Grüße\r\nFrom: a@b.test\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nÄÖÜ\r\n"
)
"""A message of 8-bit lines: attached it goes as 8bit, or as a file where that cannot be."""


class Real(World):
    """The small internet of `real_mx`, and the system."""

    mx: RealMx

    def mail(self, **fields: Any) -> tuple[str, str]:
        """Send a message: its id and its Message-ID."""
        status, body, _ = self.system.ask("POST", "/v1/messages", message(**fields))
        assert status == 202, body
        return body["id"], body["message_id"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with real_mx() as mx, world(records()) as found:
        found.__class__ = Real
        assert isinstance(found, Real)
        found.mx, found.port = mx, mx.port
        context = mx.authority.server(*(f"mta-sts.{each}" for each in STS_DOMAINS))
        found.policy(context, POLICY + "max_age: 604800\n")
        direct = f'ca_file = "{mx.authority.ca_file}"'
        keys = keys_in(tmp_path_factory.mktemp("keys"))
        with started(found, direct=direct, route=SECURE + ROUTE + keys):
            yield found
        # They have nothing to complain of, but that we turn away from the wrong certificate.
        log = mx.postfix.log().replace("lost connection after STARTTLS", "") + mx.exim.log()
        assert not re.findall(r"pipelining|synchroni|lost connection after|unexpected|panic", log)


def signed(arrived: bytes) -> bytes:
    """Without what the servers have added on top."""
    return arrived[arrived.index(b"DKIM-Signature:") :]


def test_every_byte_arrives_and_both_signatures_hold(here: Real) -> None:
    people = ["a@postfix.test", "b@exim.test", "c@old.test"]
    text = ".\n..\n.leading dots\n" + "long " * 500 + "\nÄ\n \t\n\n"
    page, data = "<p>é</p>\n.\n" * 300, bytes(range(256)) * 40
    attached = {"filename": "a.bin", "content": base64.b64encode(data).decode()}
    mail, message_id = here.mail(
        to=people, subject="Grüße", text=text, html=page, attachments=[attached]
    )
    here.system.wait_status(mail, "delivered")
    for arrived in here.mx.arrived(message_id, 3):
        assert verifies(signed(arrived), *KEYS) == [True, True]
        parsed = email.message_from_bytes(arrived, policy=email.policy.default)
        found = [each.get_payload(decode=True) for each in parsed.walk()]
        plain, markup, binary = [each for each in found if isinstance(each, bytes)]
        for sent, got in ((text, plain), (page, markup)):
            assert got.decode().replace("\r\n", "\n").rstrip("\n") == sent.rstrip("\n")
        assert binary == data
    assert here.hops(mail) == ["mx:mx.postfix.test", "mx:mx.exim.test", "mx:mx.old.test"]
    assert here.settle_accounts(mail) == ["accepted", "rerouted", *["attempt"] * 3]


def test_8_bit_lines_go_as_they_are_or_as_a_file_where_they_cannot(here: Real) -> None:
    attached = {
        "filename": "a.eml", "content_type": "message/rfc822",
        "content": base64.b64encode(ATTACHED.encode()).decode(),
    }  # fmt: skip
    people = ["a@postfix.test", "b@exim.test", "c@old.test"]
    mail, message_id = here.mail(to=people, attachments=[attached])
    here.system.wait_status(mail, "delivered")
    for text in here.mx.arrived(message_id, 3):
        assert verifies(signed(text), *KEYS) == [True, True]
        old = b"Delivered-To: c@old.test" in text
        assert text.isascii() == old
        assert (ATTACHED.encode() in text) != old
    assert here.settle_accounts(mail) == ["accepted", "rerouted", *["attempt"] * 3]


def test_an_address_in_utf_8_goes_where_it_is_offered_and_bounces_where_not(here: Real) -> None:
    mails = [here.mail(to=f"jörg@{each}") for each in ("postfix.test", "exim.test", "old.test")]
    for (mail, message_id), fate in zip(mails, ("delivered", "delivered", "bounced"), strict=True):
        here.system.wait_status(mail, fate)
        if fate == "delivered":
            (text,) = here.mx.arrived(message_id)
            assert "jörg@".encode() in text
        else:
            assert here.last(mail)[:2] == (553, "5.6.7")
        assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


@pytest.mark.parametrize("domain", ["postfix.test", "exim.test", "old.test"])
def test_an_unknown_recipient_bounces_and_the_others_of_the_transaction_have_it(
    here: Real, domain: str
) -> None:
    mail, message_id = here.mail(to=[f"{each}@{domain}" for each in ("a", "nobody", "b")])
    here.wait(mail, "delivered", "bounced", "delivered")
    attempts = here.attempts(mail)
    assert [each["code"] for each in attempts] == [250, 550, 250]
    assert "nknown" in str(attempts[1]["reply"])
    here.mx.arrived(message_id, 2)
    assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


def test_a_greylisted_recipient_is_deferred_alone_and_goes_later(here: Real) -> None:
    mail, message_id = here.mail(to=["a@exim.test", "grey@exim.test"])
    here.wait(mail, "delivered", "deferred")
    first = here.attempts(mail)[1]
    assert (first["code"], first["enhanced_code"]) == (451, "4.7.1")
    here.mx.exim.let_grey_in()
    here.system.wait_status(mail, "delivered")
    assert len(here.mx.arrived(message_id, 2)) == 2
    assert set(here.settle_accounts(mail)[2:]) == {"attempt"}


@pytest.mark.parametrize(
    ("domain", "encrypted"),
    [("postfix.test", True), ("exim.test", True), ("self.test", True), ("old.test", False)],
)
def test_what_can_be_encrypted_is_whoever_has_signed_the_certificate(
    here: Real, domain: str, encrypted: bool
) -> None:
    mail, message_id = here.mail(to=f"a@{domain}")
    here.system.wait_status(mail, "delivered")
    (text,) = here.mx.arrived(message_id)
    # Exim 4.96 says utf8 of all that comes by a session once that was so for one message.
    received = re.search(rb"with (?:utf8)?(e?smtps?)\b", text, re.IGNORECASE)
    assert received is not None
    assert received[1].upper() == (b"ESMTPS" if encrypted else b"ESMTP")
    note = str(here.attempts(mail)[0]["note"])
    assert ("TLS unverified" in note) == encrypted
    assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


@pytest.mark.parametrize("why", ["secure", "sts"])
def test_where_tls_must_prove_who_it_is_only_those_that_do_get_anything(
    here: Real, why: str
) -> None:
    """A route with `tls = "required"`, and an enforced MTA-STS policy."""
    mail, message_id = here.mail(
        to=[f"{each}@{each}.{why}.test" for each in ("postfix", "exim", "self")]
    )
    here.wait(mail, "delivered", "delivered", "deferred")
    for text in here.mx.arrived(message_id, 2):
        assert re.search(rb"with (?:utf8)?e?smtps", text, re.IGNORECASE)
    *proved, other = here.attempts(mail)[:3]
    assert [str(each["note"]).startswith("by mx.") for each in proved] == [True, True]
    asked = "MTA-STS" if why == "sts" else "TLS is required"
    assert (other["code"], other["enhanced_code"]) == (451, "4.7.5")
    assert str(other["reply"]).startswith(f"{asked}: certificate")
    assert f"self@self.{why}.test" not in here.mx.postfix.log()
    assert here.settle_accounts(mail)[:2] == ["accepted", "rerouted"]


def test_the_other_one_of_two_gets_it_while_one_is_stopped(here: Real) -> None:
    here.mx.exim.stop()
    try:
        mails = [here.mail(to=f"p{number}@both.test") for number in range(8)]
        for mail, message_id in mails:
            here.system.wait_status(mail, "delivered")
            (text,) = here.mx.arrived(message_id)
            assert b"by mx.postfix.test" in text
            assert "by a.both.test [127.0.0.4]" in str(here.attempts(mail)[-1]["note"])
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]
    finally:
        here.mx.exim.start()


def test_these_servers_are_what_the_other_tests_take_them_for(here: Real) -> None:
    """What they offer, and how they answer at their limits."""
    for domain, offers in (("postfix.test", True), ("exim.test", True), ("old.test", False)):
        (address,) = HOSTS[domain].values()
        with smtplib.SMTP(address, here.port) as client:
            client.ehlo("client.test")
            for each in ("starttls", "pipelining", "chunking", "8bitmime", "smtputf8"):
                assert client.has_extn(each) == offers
    (few,), (busy,) = HOSTS["few.test"].values(), HOSTS["busy.test"].values()
    with smtplib.SMTP(few, here.port) as client:
        client.ehlo("client.test")
        client.mail("a@shop.test")
        found = [client.rcpt(f"{each}@few.test") for each in "abc"]
        assert [code for code, _ in found] == [250, 250, 452]
        assert found[2][1].startswith(b"4.5.3 Error: too many recipients")
    with smtplib.SMTP(busy, here.port) as client:
        client.ehlo("client.test")
        with pytest.raises(smtplib.SMTPConnectError, match=r"421, .*too many connections"):
            smtplib.SMTP(busy, here.port)


def test_who_is_too_many_for_a_transaction_goes_on_in_the_next_one(here: Real) -> None:
    mail, message_id = here.mail(to=[f"{each}@few.test" for each in "abcde"])
    here.system.wait_status(mail, "delivered")
    assert len(here.mx.arrived(message_id, 5)) == 5
    _, body, _ = here.system.ask("GET", f"/v1/messages/{mail}")
    assert [each["attempt_count"] for each in body["recipients"]] == [1] * 5
    refused = [each for each in here.attempts(mail) if each["code"] == 452]
    assert refused  # Told by Postfix, and no attempt of anybody.
    assert {(each["enhanced_code"], each["charged"]) for each in refused} == {("4.5.3", False)}
