"""kill -9 of a worker while the server has its message: sent again, with the same Message-ID."""

from __future__ import annotations

import time

from tests.support.smtp_server import SmtpServer
from tests.support.system import running


def test_worker_dies_mid_send() -> None:
    with running(server=SmtpServer(answers={".": ["stall"]}), settings="") as system:
        identifier = system.send()
        system.server.wait_until(lambda: len(system.server.messages) == 1)
        killed = time.monotonic()
        system.kill("worker")
        (delivered,) = system.server.wait_for(1, 20)
        assert time.monotonic() - killed < 10
        system.wait_status(identifier, "delivered")
        first, second = system.server.messages
        assert second is delivered
        assert first.header("Message-ID") == second.header("Message-ID")
        assert system.ledger(identifier) == ["accepted", "crashed", "attempt"]
        system.reconcile()
