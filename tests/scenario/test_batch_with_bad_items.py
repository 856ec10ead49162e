"""In a batch every item stands for itself: bad ones are refused, good ones delivered."""

from __future__ import annotations

from tests.support.system import message, running


def test_batch_with_bad_items() -> None:
    with running() as system:
        status, body, _ = system.ask(
            "POST",
            "/v1/messages/batch",
            {
                "messages": [
                    message(idempotency_key="one"),
                    message(to="nobody", subject="a\r\nBcc: x@y.test"),
                    message(to="second@example.test"),
                    message(idempotency_key="one"),
                    "not an object",
                    message(idempotency_key="one", subject="another"),
                ]
            },
        )
        assert status == 202
        results = body["results"]
        assert results[0] == results[3]
        assert [each["pointer"] for each in results[1]["error"]["errors"]] == ["/to", "/subject"]
        assert results[4]["error"]["status"] == 422
        assert results[5]["error"]["code"] == "idempotency_mismatch"
        for at in (0, 2):
            system.wait_status(results[at]["id"], "delivered")
            assert system.ledger(results[at]["id"]) == ["accepted", "attempt"]
        assert len(system.server.messages) == 2
        system.reconcile()
