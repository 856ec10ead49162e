"""A scheduled message waits for its time, can be moved, and then goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.system import message, running


def test_scheduled_waits() -> None:
    with running() as system:
        later = datetime.now(UTC) + timedelta(hours=1)
        status, body, _ = system.ask("POST", "/v1/messages", message(send_at=later.isoformat()))
        assert (status, body["status"]) == (202, "scheduled")
        identifier = body["id"]
        (recipient,) = system.recipients(identifier)
        assert recipient["waiting_for"] == "send_at"
        now_ready = system.send(subject="now")
        system.wait_status(now_ready, "delivered")
        assert len(system.server.messages) == 1
        soon = datetime.now(UTC) + timedelta(seconds=1.5)
        status, body, _ = system.ask(
            "PATCH", f"/v1/messages/{identifier}", {"send_at": soon.isoformat()}
        )
        assert (status, body["recipients"][0]["status"]) == (200, "scheduled")
        system.wait_status(identifier, "delivered")
        assert datetime.now(UTC) >= soon
        assert system.ledger(identifier) == ["accepted", "rescheduled", "attempt"]
