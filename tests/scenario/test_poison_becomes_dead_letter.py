"""A message that kills its worker three times is a dead letter; its neighbours are delivered."""

from __future__ import annotations

import os
import signal

from tests.support.smtp_server import Captured, SmtpServer
from tests.support.system import System, message, running


def test_poison_becomes_dead_letter() -> None:
    server = SmtpServer()
    with running(server=server) as system:
        server.on_message = lambda captured: _kill(system, captured)
        messages = [message(subject=f"n{number}") for number in range(20)]
        messages.insert(7, message(subject="poison"))
        _, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": messages})
        ids = [result["id"] for result in body["results"]]
        system.wait_status(ids[7], "dead", 60)
        for identifier in ids[:7] + ids[8:]:
            system.wait_status(identifier, "delivered", 30)
        kinds = [kind for kind in system.ledger(ids[7]) if kind != "attempt"]
        assert kinds == ["accepted", "crashed", "crashed", "crashed", "dead"]
        system.reconcile()


def _kill(system: System, captured: Captured) -> None:
    if captured.header("Subject") == "poison":
        for pid in system.pids("worker"):
            os.kill(pid, signal.SIGKILL)
