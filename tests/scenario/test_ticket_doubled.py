"""Tickets may be doubled, late or senseless: nothing is delivered twice by it."""

from __future__ import annotations

from shared.store.tickets import template
from tests.support.system import running


def test_ticket_doubled() -> None:
    with running("--workers", "2") as system:
        client = system.client()
        text = template().replace(b"@CLASS@", b"transactional")
        for number in range(50):
            name = f"extra-{number % 10}"
            body = text.replace(b"@ID@", name.encode())
            client.hset("dramatiq:transactional.msgs", name, body)
            client.rpush("dramatiq:transactional", name)
        client.hset("dramatiq:transactional.msgs", "broken", b"{not json")
        client.rpush("dramatiq:transactional", "broken", "without text")
        client.publish("ph:wake", "transactional")
        client.close()
        ids = [system.send(subject=f"n{number}") for number in range(20)]
        for identifier in ids:
            system.wait_status(identifier, "delivered")
            assert system.ledger(identifier) == ["accepted", "attempt"]
        assert len(system.server.messages) == 20
