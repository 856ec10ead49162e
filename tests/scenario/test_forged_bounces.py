"""B39: forged, altered and replayed reports change nothing for anybody else; true ones do.

The return paths and references are those that a worker has made.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from shared.feedback.tokens import REFERENCE_HEADER
from shared.settings import Settings, StoreSettings
from shared.store.redis_returns import RedisReturns
from shared.store.redis_suppressions import RedisSuppressions
from tests.support.returns import DOMAIN, arf, dsn
from tests.support.smtp_server import Captured
from tests.support.system import QUICK, System, message, poll, running

COMPLAINTS = f"complaints@{DOMAIN}"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    settings = f"{QUICK}\n[bounces]\ndomains = ['{DOMAIN}']\n"
    with running("--workers", "1", "--bounces", "0", settings=settings) as found:
        yield found


def bring(system: System, recipient: str, report: bytes, sender: str = "") -> int:
    """Bring a report; the code of the reply that decided."""
    host, _, port = system.facts()["bounces"].removeprefix("smtp://").partition(":")
    with smtplib.SMTP(host, int(port)) as client:
        try:
            client.sendmail(sender, [recipient], report)
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients[recipient][0]
        return 250


def copies(system: System, identifier: str) -> dict[str, Captured]:
    """The copies of a message by recipient, once it is delivered."""
    system.wait_status(identifier, "delivered")
    mine = f"<{identifier.removeprefix('msg_')}@shop.test>"
    found = [each for each in system.server.messages if each.header("Message-ID") == mine]
    return {each.recipients[0]: each for each in found}


def statuses(system: System, identifier: str) -> list[str]:
    return [each["status"] for each in system.recipients(identifier)]


def store(system: System) -> Settings:
    return Settings(store=StoreSettings(redis_url=system.redis_url))


def reasons(system: System) -> list[str]:
    """Why mail is kept, the last first."""
    returns = RedisReturns(store(system))
    try:
        return [each.reason for each in returns.kept(100)]
    finally:
        returns.close()


def listed(system: System, address: str) -> list[tuple[str, str, str]]:
    """Application, reason and source of an address's suppressions."""
    suppressions = RedisSuppressions(store(system))
    try:
        found = suppressions.find(address)
        return [(each.application, each.reason, each.source) for each in found]
    finally:
        suppressions.close()


def test_b39_a_recipient_can_only_bounce_his_own_copy(system: System) -> None:
    identifier = system.send(to=["alice@example.test", "mallory@example.test"])
    mine = copies(system, identifier)["mallory@example.test"]
    token = mine.header(REFERENCE_HEADER)
    assert mine.mail_from == f"b-{token}@{DOMAIN}"
    # He says of his own return path that it is her address that is dead.
    assert bring(system, mine.mail_from, dsn("alice@example.test")) == 250
    assert statuses(system, identifier) == ["delivered", "bounced"]
    # He changes a letter of it, has its header where anybody can write it, or none of it.
    altered = token[:30] + ("a" if token[30] != "a" else "b") + token[31:]
    assert bring(system, f"b-{altered}@{DOMAIN}", dsn("alice@example.test")) == 550
    for report, reason in (
        (dsn("alice@example.test", reference=altered), "bad_token"),
        (dsn("alice@example.test", top=token), "no_token"),
        (dsn("alice@example.test"), "no_token"),
        (arf(altered, address="alice@example.test"), "bad_token"),
        (arf("", top=token, address="alice@example.test"), "no_token"),
        (b"Subject: please\r\n\r\nalice@example.test is dead: 550 5.1.1\r\n", "no_report"),
    ):
        assert bring(system, COMPLAINTS, report, "mallory@example.test") == 250
        assert reasons(system)[0] == reason
    assert statuses(system, identifier) == ["delivered", "bounced"]
    assert listed(system, "alice@example.test") == []
    assert system.ledger(identifier).count("bounced") == 1
    assert set(system.ledger(identifier)) == {"accepted", "attempt", "bounced"}


def test_b39_a_report_that_comes_again_counts_once(system: System) -> None:
    identifier = system.send(to="carol@example.test")
    copy = copies(system, identifier)["carol@example.test"]
    reference = copy.header(REFERENCE_HEADER)
    for recipient in (copy.mail_from, copy.mail_from.upper(), COMPLAINTS, f"abuse@{DOMAIN}"):
        assert bring(system, recipient, dsn("carol@example.test", reference=reference)) == 250
    assert statuses(system, identifier) == ["bounced"]
    assert system.ledger(identifier) == ["accepted", "attempt", "bounced"]
    assert listed(system, "carol@example.test") == [("default", "bounce", "dsn")]
    system.reconcile()


def test_what_only_informs_changes_nothing(system: System) -> None:
    identifier = system.send(to="dave@example.test")
    path = copies(system, identifier)["dave@example.test"].mail_from
    delayed = dsn("dave@example.test", status="4.4.1", code="451 later", action="delayed")
    away = b"Subject: Automatic reply\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n"
    before = reasons(system)
    for report in (delayed, away, dsn("dave@example.test", status="2.0.0", action="relayed")):
        assert bring(system, path, report) == 250
    assert system.ledger(identifier) == ["accepted", "attempt"]
    assert reasons(system) == before


def test_a_complaint_stops_all_but_critical_mail(system: System) -> None:
    identifier = system.send(to="erin@example.test", **{"class": "bulk"})
    reference = copies(system, identifier)["erin@example.test"].header(REFERENCE_HEADER)
    for _ in range(2):
        assert bring(system, COMPLAINTS, arf(reference, address="erin@example.test")) == 250
    assert system.ledger(identifier) == ["accepted", "attempt", "complained"]
    assert listed(system, "erin@example.test") == [("default", "complaint", "arf")]
    status, body, _ = system.ask("POST", "/v1/messages", message(to="erin@example.test"))
    assert status == 202
    poll(lambda: statuses(system, body["id"]) == ["suppressed"])
    urgent = system.send(to="erin@example.test", **{"class": "critical"})
    system.wait_status(urgent, "delivered")
    counted: dict[str, Any] = system.samples(system.facts()["bounces_operator"])
    assert counted['posthaste_returned_mail_total{kind="complaint",outcome="noted"}'] == 1
    assert counted['posthaste_returned_mail_total{kind="complaint",outcome="repeated"}'] == 1
    assert counted['posthaste_returned_recipients_refused_total{reason="bad_token"}'] >= 1
    system.reconcile()
