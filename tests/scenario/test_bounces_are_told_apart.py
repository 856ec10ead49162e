"""A 5xx is a bounce for its recipient alone; the others are delivered in the same transaction."""

from __future__ import annotations

from typing import Any

from shared.settings import Settings, StoreSettings
from shared.store.redis_suppressions import RedisSuppressions
from tests.support.smtp_server import SmtpServer
from tests.support.system import System, poll, running


def _settled(system: System, identifier: str) -> list[dict[str, Any]]:
    """The recipients once none of them is open."""
    found = system.recipients(identifier)
    return [] if any(each["status"] == "queued" for each in found) else found


def test_bounces_are_told_apart() -> None:
    server = SmtpServer(answers={"RCPT": ["250 2.1.5 Ok", "550 5.1.1 no such user"]})
    with running(server=server) as system:
        identifier = system.send(to=["a@example.test", "b@example.test", "c@example.test"])
        (captured,) = system.server.wait_for(1)
        assert captured.recipients == ["a@example.test", "c@example.test"]
        recipients = poll(lambda: _settled(system, identifier))
        assert [each["status"] for each in recipients] == ["delivered", "bounced", "delivered"]
        assert recipients[1]["attempts"][0]["enhanced_code"] == "5.1.1"
        assert system.ledger(identifier) == ["accepted", "attempt"]


def test_a_dead_address_is_on_the_list_by_the_time_it_is_told_as_bounced() -> None:
    """Words outweigh the code: spam is no dead address, and 5.7.1 may be one."""
    answers = ["550 5.1.1 blocked for spam", "554 5.7.1 <b@example.test>: User unknown"]
    with running(server=SmtpServer(answers={"RCPT": answers})) as system:
        identifier = system.send(to=["a@example.test", "B@example.test"])
        recipients = poll(lambda: _settled(system, identifier))
        assert [each["status"] for each in recipients] == ["bounced", "bounced"]
        told = [each["attempts"][0] for each in recipients]
        assert [(each["category"], each["suppresses"]) for each in told] == [
            ("reputation", False), ("mailbox_unknown", True),
        ]  # fmt: skip
        settings = Settings(store=StoreSettings(redis_url=system.redis_url))
        suppressions = RedisSuppressions(settings)
        (entry,) = suppressions.page("", 10).entries
        suppressions.close()
        assert (entry.address, entry.source) == ("b@example.test", "smtp")
        assert system.ledger(identifier) == ["accepted", "attempt"]
