"""A worker is stopped past its lease: another one delivers, and the first writes nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.support.smtp_server import SmtpServer
from tests.support.system import poll, running


def test_worker_hangs_past_its_lease() -> None:
    with running(server=SmtpServer(answers={"DATA": ["stall"]})) as system:
        identifier = system.send()
        system.server.wait_until(lambda: "DATA" in system.server.commands)
        (hung,) = system.pids("worker")
        environment = {
            **os.environ,
            "POSTHASTE_CONFIG": str(system.home / "posthaste.toml"),
            "POSTHASTE_STORE_REDIS_URL": system.redis_url,
            "POSTHASTE_RELAY_URL": f"smtp://127.0.0.1:{system.server.port}",
        }
        other = subprocess.Popen([sys.executable, "-m", "workers.main"], env=environment)
        try:
            spool = system.spool()
            poll(lambda: spool.depth().live_workers == 2)
            spool.close()
            os.kill(hung, signal.SIGSTOP)
            system.wait_status(identifier, "delivered")
            system.server.release()  # The hung one's DATA is answered now ...
            os.kill(hung, signal.SIGCONT)
            follow_up = system.send(subject="another")
            system.wait_status(follow_up, "delivered")
            poll(lambda: len(system.server.answered()) == 2)
        finally:
            other.terminate()
            other.wait(30)
        # ... and yet it has sent no message: its lease was over.
        assert [each.header("Subject") for each in system.server.messages] == [
            "Your order",
            "another",
        ]
        assert system.ledger(identifier) == ["accepted", "crashed", "attempt"]
        system.reconcile()
