"""A 5xx is a bounce for its recipient alone; the others are delivered in the same transaction."""

from __future__ import annotations

from typing import Any

from tests.support.smtp_server import SmtpServer
from tests.support.system import System, poll, running


def _settled(system: System, identifier: str) -> list[dict[str, Any]]:
    """The recipients once none of them is open."""
    found = system.recipients(identifier)
    return [] if any(each["status"] == "queued" for each in found) else found


def test_bounces_are_told_apart() -> None:
    server = SmtpServer(answers={"RCPT": ["250 2.1.5 Ok", "550 5.1.1 no such user"]})
    with running(server=server) as system:
        identifier = system.send(to=["a@example.test", "b@example.test", "c@example.test"])
        (captured,) = system.server.wait_for(1)
        assert captured.recipients == ["a@example.test", "c@example.test"]
        recipients = poll(lambda: _settled(system, identifier))
        assert [each["status"] for each in recipients] == ["delivered", "bounced", "delivered"]
        assert recipients[1]["attempts"][0]["enhanced_code"] == "5.1.1"
        assert system.ledger(identifier) == ["accepted", "attempt"]
