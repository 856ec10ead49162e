"""kill -9 of web between commit and answer: the client's retry finds the message it made."""

from __future__ import annotations

import http.client
import threading
import time
from functools import partial

from tests.support.system import System, message, poll, running


def _send(system: System, number: int, done: dict[int, str]) -> None:
    """Send until there is an answer, as a client does, always with the same key."""
    key = {"Idempotency-Key": f"k{number}"}
    for _ in range(2000):
        try:
            status, body, _ = system.ask(
                "POST", "/v1/messages", message(subject=f"n{number}"), headers=key
            )
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
            continue
        assert status in (202, 503), body
        if status == 202:
            done[number] = body["id"]
            return


def _has(done: dict[int, str], count: int) -> bool:
    return len(done) >= count


def test_web_dies_after_commit() -> None:
    with running() as system:
        done: dict[int, str] = {}

        def client(start: int) -> None:
            for number in range(start, 400, 4):
                _send(system, number, done)

        threads = [threading.Thread(target=client, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for share in (60, 160, 260):
            poll(partial(_has, done, share))
            old = system.kill("web")
            system.wait_restarted("web", old)
        for thread in threads:
            thread.join()
        assert len(done) == 400
        for identifier in done.values():
            system.wait_status(identifier, "delivered")
        subjects = sorted(captured.header("Subject") for captured in system.server.answered())
        assert subjects == sorted(f"n{number}" for number in range(400))  # Each of them once.
        assert system.ledger(done[0]) == ["accepted", "attempt"]
        system.reconcile()
