"""kill -9 of the store while clients send: a 202 is never lost, a refusal comes within 2 s."""

from __future__ import annotations

import time

from tests.support.system import message, running


def test_redis_dies_at_accept() -> None:
    with running() as system:
        accepted, slowest, refused = {}, 0.0, 0
        for number in range(300):
            if number in (50, 150):
                system.kill("redis")
            key = {"Idempotency-Key": f"k{number}"}
            for _ in range(200):
                began = time.monotonic()
                status, body, headers = system.ask(
                    "POST", "/v1/messages", message(subject=f"n{number}"), headers=key
                )
                slowest = max(slowest, time.monotonic() - began)
                if status == 202:
                    accepted[number] = body["id"]
                    break
                assert status == 503
                assert body["code"] in ("unavailable", "acceptance_unknown")
                assert int(headers["retry-after"]) > 0
                refused += 1
                time.sleep(0.05)
        assert len(accepted) == 300
        assert refused > 0
        assert slowest < 2
        for identifier in accepted.values():
            system.wait_status(identifier, "delivered")
        subjects = {captured.header("Subject") for captured in system.server.answered()}
        assert subjects == {f"n{number}" for number in range(300)}
        assert system.ledger(accepted[0])[:1] == ["accepted"]
        system.reconcile()
