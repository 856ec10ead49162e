"""A server that says 451 again and again makes attempts, not crashes, and then a delivery."""

from __future__ import annotations

from tests.support.smtp_server import SmtpServer
from tests.support.system import running


def test_deferrals_are_not_crashes() -> None:
    server = SmtpServer(answers={".": ["451 4.3.0 later"] * 5})
    with running(server=server) as system:
        identifier = system.send()
        system.wait_status(identifier, "delivered")
        (recipient,) = system.recipients(identifier)
        assert recipient["attempt_count"] == 6
        assert [each["code"] for each in recipient["attempts"]] == [451] * 5 + [250]
        assert system.ledger(identifier) == ["accepted"] + ["attempt"] * 6
        assert len({each.header("Message-ID") for each in server.messages}) == 1
        system.reconcile()
