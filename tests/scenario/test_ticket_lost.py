"""Tickets may be lost: mail that may go has another one within half a second."""

from __future__ import annotations

import signal
import time

from tests.support.system import running


def test_ticket_lost() -> None:
    with running() as system:
        warm = system.send()
        system.wait_status(warm, "delivered")
        system.kill("worker", signal.SIGSTOP)
        identifier = system.send(subject="second")
        client = system.client()
        assert client.llen("dramatiq:transactional") == 1
        assert client.delete("dramatiq:transactional", "dramatiq:transactional.msgs") == 2
        assert client.zcard("ph:tickets:1") == 1  # It still counts as outstanding.
        client.close()
        resumed = time.monotonic()
        system.kill("worker", signal.SIGCONT)
        system.wait_status(identifier, "delivered")
        assert time.monotonic() - resumed < 2
        assert system.ledger(identifier) == ["accepted", "attempt"]
