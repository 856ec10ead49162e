"""A relay that is not there costs no message an attempt; when it comes, the mail goes."""

from __future__ import annotations

from tests.support.smtp_server import SmtpServer
from tests.support.system import message, poll, running


def test_relay_away_keeps_mail() -> None:
    server = SmtpServer(answers={"banner": ["421 4.3.2 not now"] * 3})
    with running(server=server) as system:
        _, body, _ = system.ask(
            "POST", "/v1/messages/batch", {"messages": [message() for _ in range(50)]}
        )
        ids = [result["id"] for result in body["results"]]
        for identifier in ids:
            system.wait_status(identifier, "delivered", 60)
            (recipient,) = system.recipients(identifier)
            assert recipient["attempt_count"] == 1
            assert system.ledger(identifier) == ["accepted", "attempt"]
        poll(lambda: len(server.messages) == 50)
