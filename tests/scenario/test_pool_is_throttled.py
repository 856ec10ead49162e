"""A member of a pool that asks for less stands still, and the next one takes over."""

from __future__ import annotations

from typing import Any

from tests.scenario.test_pool_fails_over import POOL, attempts
from tests.scenario.test_routes import relays
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System

SHAPING = """
[[rule]]
name = "test"
text = 'too many mails from you'
suspend_seconds = 600
slow = true
"""


def shown(system: System, name: str) -> dict[str, Any]:
    rows = system.ask("GET", "/v1/destinations")[1]["data"]
    return next((row for row in rows if row["destination"] == name), {})


def test_mail_goes_on_by_the_other_and_then_by_the_first_again() -> None:
    with SmtpServer() as main, SmtpServer() as other:
        settings = QUICK + relays(main, other) + POOL
        with installation(
            "--web", "1", "--workers", "2", settings=settings, shaping=SHAPING
        ) as facts:
            system = System(facts, main)
            system.wait_status(system.send(), "delivered")
            main.answers["."] = "451 4.7.1 too many mails from you"
            sent = [system.send() for _ in range(20)]
            for mail in sent:
                system.wait_status(mail, "delivered")
                (one,) = system.recipients(mail)
                assert (one["attempt_count"], one["attempts"][-1]["via"]) == (1, "other")
            there = shown(system, "main")
            assert there["state"] == "backing_off"
            assert there["reason"] == "asked for less: 451 4.7.1 (rule test)"
            assert len(main.answered()) == 1
            assert len(other.answered()) == 20
            ids = [each.header("Message-ID") for each in other.answered()]
            assert len(set(ids)) == 20
            main.answers.clear()
            assert system.ask("POST", "/v1/destinations/main/resume", {})[0] == 200
            back = system.send()
            system.wait_status(back, "delivered")
            assert attempts(system, back) == ["main"]
            assert system.ledger(sent[-1])[-1] == "attempt"
            system.reconcile()
