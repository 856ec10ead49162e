"""A message is accepted, delivered over SMTP, and its whole story can be read."""

from __future__ import annotations

from tests.support.system import running


def test_accepts_then_delivers() -> None:
    with running() as system:
        identifier = system.send(
            to=["a@example.test", "Ann <b@example.test>"], bcc="hidden@example.test",
            subject="Grüße", html="<p>Thank you.</p>",
        )  # fmt: skip
        (captured,) = system.server.wait_for(1)
        system.wait_status(identifier, "delivered")
        assert captured.mail_from == "orders@shop.test"
        assert captured.recipients == ["a@example.test", "b@example.test", "hidden@example.test"]
        assert b"hidden" not in captured.data
        assert captured.header("Message-ID") == f"<{identifier[4:]}@shop.test>"
        (attempt,) = system.recipients(identifier)[2]["attempts"]
        assert (attempt["code"], attempt["enhanced_code"], attempt["reply"]) == (250, "2.0.0", "Ok")
        assert system.ledger(identifier) == ["accepted", "attempt"]
        system.reconcile()
