"""A message cancelled before it goes is never delivered, and stays cancelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.system import message, running


def test_cancelled_in_time() -> None:
    with running() as system:
        at = datetime.now(UTC) + timedelta(seconds=1)
        _, body, _ = system.ask("POST", "/v1/messages", message(send_at=at.isoformat()))
        identifier = body["id"]
        status, body, _ = system.ask("POST", f"/v1/messages/{identifier}/cancel")
        assert (status, body["recipients"][0]["status"]) == (200, "cancelled")
        status, body, _ = system.ask("POST", f"/v1/messages/{identifier}/cancel")
        assert (status, body["code"]) == (409, "already_cancelled")
        after = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        _, body, _ = system.ask("POST", "/v1/messages", message(send_at=after))
        system.wait_status(body["id"], "delivered")  # What was due after it has gone.
        assert len(system.server.messages) == 1
        assert system.ledger(identifier) == ["accepted", "cancelled"]
        status, body, _ = system.ask("POST", f"/v1/messages/{body['id']}/cancel")
        assert (status, body["code"]) == (409, "too_late")
