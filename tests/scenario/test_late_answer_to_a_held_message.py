"""A worker is stopped at the final dot of a message to be held; the server's 250 counts later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

from tests.support.smtp_server import SmtpServer
from tests.support.system import poll, running


def test_late_answer_to_a_held_message() -> None:
    with running("--workers", "2", server=SmtpServer(answers={".": ["stall"]})) as system:
        identifier = system.send(on_uncertain="hold")
        system.server.wait_until(lambda: len(system.server.messages) == 1)
        # Whoever has it is stopped; the other one's pump goes on.
        spool = system.spool()
        poll(lambda: spool.depth().live_workers == 2)
        spool.close()
        hung = _holder(system.pids("worker"), system.server.port)
        os.kill(hung, signal.SIGSTOP)
        try:
            system.wait_status(identifier, "uncertain")
            system.server.release()
            system.server.wait_for(1)
        finally:
            os.kill(hung, signal.SIGCONT)
        system.wait_status(identifier, "delivered")
        assert system.ledger(identifier) == ["accepted", "crashed", "attempt"]
        (recipient,) = system.recipients(identifier)
        assert [each["code"] for each in recipient["attempts"]] == [250]
        assert len(system.server.messages) == 1
        system.reconcile()


def _holder(pids: list[int], port: int) -> int:
    """The process with a connection to the server."""
    remote = f"0100007F:{port:04X}"
    with open("/proc/net/tcp") as table:
        sockets = {
            f"socket:[{fields[9]}]"
            for fields in (line.split() for line in table)
            if fields[2] == remote and fields[3] == "01"
        }
    (found,) = [pid for pid in pids if sockets & set(_open_files(pid))]
    return found


def _open_files(pid: int) -> Iterator[str]:
    """What the process has open."""
    for each in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # It was closed meanwhile.
            yield os.readlink(f"/proc/{pid}/fd/{each}")
