"""P5: a relay that is slow to answer bulk mail does not hold up a critical message."""

from __future__ import annotations

from tests.support.smtp_server import SmtpServer
from tests.support.system import message, poll, running


def test_critical_passes_bulk() -> None:
    server = SmtpServer(answers={".": ["stall"] * 8})
    with running(server=server) as system:
        bulk = [message(**{"class": "bulk", "subject": f"n{number}"}) for number in range(300)]
        status, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": bulk})
        assert status == 202
        poll(lambda: len(server.messages) == 8)
        urgent = system.send(**{"class": "critical", "subject": "reset"})
        system.wait_status(urgent, "delivered", 15)
        assert [each.header("Subject") for each in server.answered()] == ["reset"]
        server.release()
        for result in body["results"]:
            system.wait_status(result["id"], "delivered", 60)
        assert len(server.answered()) == 301
        system.reconcile()
