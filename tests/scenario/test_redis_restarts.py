"""The store is killed with mail queued and in flight: all of it arrives, by itself."""

from __future__ import annotations

from tests.support.smtp_server import SmtpServer
from tests.support.system import message, running


def test_redis_restarts() -> None:
    server = SmtpServer(answers={".": ["stall"] * 5})
    with running(server=server) as system:
        _, body, _ = system.ask(
            "POST",
            "/v1/messages/batch",
            {"messages": [message(subject=f"n{number}") for number in range(200)]},
        )
        ids = [result["id"] for result in body["results"]]
        old = system.kill("redis")
        system.wait_restarted("redis", old)
        system.server.release()
        for identifier in ids:
            system.wait_status(identifier, "delivered")
        by_subject: dict[str, set[str]] = {}
        for captured in system.server.answered():
            ids_seen = by_subject.setdefault(captured.header("Subject"), set())
            ids_seen.add(captured.header("Message-ID"))
        assert len(by_subject) == 200
        assert all(len(each) == 1 for each in by_subject.values())
        assert system.ledger(ids[0])[0] == "accepted"
        assert system.ledger(ids[0])[-1] == "attempt"
        system.reconcile()
