"""At maxmemory nothing is accepted, and everything that was is delivered."""

from __future__ import annotations

from tests.support.smtp_server import SmtpServer
from tests.support.system import message, poll, running


def test_memory_full_still_drains() -> None:
    server = SmtpServer(answers={"banner": "421 4.3.2 not now"})
    with running(server=server) as system:
        _, body, _ = system.ask(
            "POST",
            "/v1/messages/batch",
            {"messages": [message(subject=f"n{number}") for number in range(100)]},
        )
        ids = [result["id"] for result in body["results"]]
        client = system.client()
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.9))
        status, body, headers = system.ask("POST", "/v1/messages", message())
        assert (status, body["code"]) == (503, "unavailable")
        assert "retry-after" in headers
        poll(lambda: system.ask("GET", "/readyz")[1]["reasons"] == ["store_memory"])
        told = system.samples(system.exporter)
        assert told['posthaste_refusing{reason="store_memory"}'] == 1
        assert told['posthaste_reconciliation{class="transactional"}'] == 0
        server.answers.clear()
        for identifier in ids:
            system.wait_status(identifier, "delivered", 60)
        assert client.info("memory")["used_memory"] > client.info("memory")["maxmemory"]
        client.config_set("maxmemory", 0)
        client.close()
        poll(lambda: system.ask("GET", "/readyz")[0] == 200)
        identifier = system.send(subject="after")
        system.wait_status(identifier, "delivered")
        assert system.ledger(identifier) == ["accepted", "attempt"]
        system.reconcile()
