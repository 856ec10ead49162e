"""The store does not answer, or only reads: 503 within 2 s, and all goes on by itself after it."""

from __future__ import annotations

import signal
import time

from tests.support.system import System, message, poll, running


def refused(system: System) -> str:
    """Send a message that must be refused in time; the problem's code."""
    began = time.monotonic()
    status, body, headers = system.ask("POST", "/v1/messages", message())
    assert time.monotonic() - began < 2
    assert status == 503
    assert int(headers["retry-after"]) > 0
    return str(body["code"])


def test_a_store_that_stalls() -> None:
    with running() as system:
        system.kill("redis", signal.SIGSTOP)
        # Unknown when the request was sent, unavailable when a new connection got no answer.
        codes = {refused(system) for _ in range(4)}
        assert codes <= {"acceptance_unknown", "unavailable"}
        poll(lambda: system.ask("GET", "/readyz")[1]["reasons"] == ["store_unreachable"])
        assert refused(system) == "unavailable"
        system.kill("redis", signal.SIGCONT)
        poll(lambda: system.ask("GET", "/readyz")[0] == 200)
        identifier = system.send()
        system.wait_status(identifier, "delivered")
        assert system.ledger(identifier) == ["accepted", "attempt"]
        system.reconcile()


def test_a_store_that_only_reads() -> None:
    with running() as system:
        client = system.client()
        client.replicaof("127.0.0.1", "1")
        assert refused(system) == "unavailable"
        poll(lambda: system.ask("GET", "/readyz")[1]["reasons"] == ["store_read_only"])
        told = system.samples(system.exporter)
        assert (told["posthaste_store_up"], told["posthaste_accepting"]) == (1, 0)
        assert told['posthaste_refusing{reason="store_read_only"}'] == 1
        client.replicaof("NO", "ONE")
        client.close()
        poll(lambda: system.ask("GET", "/readyz")[0] == 200)
        identifier = system.send()
        system.wait_status(identifier, "delivered")
        assert system.ledger(identifier) == ["accepted", "attempt"]
