"""Mail that waits for a relay is moved to another one: each message arrives once, there."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.scenario.test_routes import relays, started
from tests.support.smtp_server import SmtpServer
from tests.support.system import System, poll

MESSAGES = 50
ROUTE = """
[[route]]
name = "elsewhere"
relay = "other"
recipient_domains = ["elsewhere.test"]
"""


def move(system: System, *arguments: str) -> dict[str, object]:
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "move", *arguments, "--json", "--home",
         str(system.home)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_mail_of_a_suspended_relay_is_delivered_once_by_another_one() -> None:
    with (
        SmtpServer() as main,
        SmtpServer() as other,
        started(main, relays(main, other) + ROUTE) as system,
    ):
        main.answers["RCPT"] = "450 4.2.0 later"
        late = system.send(to="late@example.test")
        poll(lambda: [each["attempts"] for each in system.recipients(late)] != [[]])
        assert system.ask("POST", "/v1/destinations/main/suspend", {})[0] == 200
        main.answers.clear()
        sent = [system.send(to=f"c{at}@example.test") for at in range(MESSAGES - 1)]
        parts = system.send(to=["near@example.test"], cc=["far@elsewhere.test"])
        told = move(system, "main", "--to", "other")
        assert (told["moved"], told["stay"]) == (MESSAGES + 1, 0)
        for identifier in (*sent, late, parts):
            system.wait_status(identifier, "delivered")
        assert [each for one in main.messages for each in one.recipients] == []
        arrived = [each for one in other.messages for each in one.recipients]
        assert sorted(arrived) == sorted(
            [f"c{at}@example.test" for at in range(MESSAGES - 1)]
            + ["late@example.test", "near@example.test", "far@elsewhere.test"]
        )
        assert system.ledger(sent[0]) == ["accepted", "moved", "attempt"]
        assert system.ledger(late).count("moved") == 1
        assert system.ask("POST", "/v1/destinations/main/resume", {})[0] == 200
        system.wait_status(system.send(), "delivered")  # New mail goes where the routes say.
        assert [one.recipients for one in main.messages][-1:] == [["customer@example.test"]]
        a_limit_keeps_mail_until_it_is_cleared(system)
        system.reconcile()


def a_limit_keeps_mail_until_it_is_cleared(system: System) -> None:
    path = "/v1/destinations/main/limit"
    assert system.ask("PUT", path, {"per_hour": 1, "seconds": 600})[0] == 200
    sent = [system.send(to=f"l{at}@example.test") for at in range(3)]

    def keeps() -> bool:
        found = [system.recipients(each)[0] for each in sent]
        return [each["waiting_reason"] for each in found].count("per_hour of main") == 2

    poll(keeps)
    status, told, _ = system.ask("GET", path)
    assert (status, told["limits"][0]["used"]) == (200, 1)
    assert system.ask("DELETE", path)[0] == 200
    for identifier in sent:
        system.wait_status(identifier, "delivered", 5)
