"""The store stalls for longer than a lease: what is in flight is not given to anybody else."""

from __future__ import annotations

import signal
import time

from tests.support.smtp_server import SmtpServer
from tests.support.system import running


def test_redis_stall_reaps_nothing() -> None:
    with running("--workers", "2", server=SmtpServer(answers={".": ["stall"]})) as system:
        identifier = system.send()
        system.server.wait_until(lambda: len(system.server.messages) == 1)
        system.kill("redis", signal.SIGSTOP)
        time.sleep(4.5)  # More than two leases.
        system.kill("redis", signal.SIGCONT)
        time.sleep(3)  # More than the pause of the reaper.
        system.server.release()
        system.wait_status(identifier, "delivered")
        assert len(system.server.messages) == 1
        assert system.ledger(identifier) == ["accepted", "attempt"]
