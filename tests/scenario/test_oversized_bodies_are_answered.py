"""A client that sends too much, and reads only when it has sent everything, gets its 413 (B21)."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from tests.support.system import running


def test_oversized_bodies_are_answered() -> None:
    with running() as system:
        parts = urlsplit(system.http)
        for _ in range(3):
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
            connection.request(
                "POST",
                "/v1/messages/batch",
                b"x" * 40_000_000,
                {"Authorization": f"Bearer {system.key}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            body = json.loads(response.read())
            assert (response.status, body["status"]) == (413, 413)
            connection.close()
        identifier = system.send()
        system.wait_status(identifier, "delivered")
        assert system.ledger(identifier) == ["accepted", "attempt"]
