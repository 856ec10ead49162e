"""A pool of two real relays: one that ends under load is passed by, and what it may have is not."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from tests.scenario.test_routes import relays, started
from tests.support.smtp_server import SmtpServer
from tests.support.system import System, poll

POOL = """
[[route]]
name = "both"
relays = ["main", "other"]
"""


def attempts(system: System, identifier: str) -> list[str]:
    (recipient,) = system.recipients(identifier)
    return [each["via"] for each in recipient["attempts"]]


def arrived_or_may_have(system: System, identifier: str) -> bool:
    """Delivered; or its connection was lost after the final dot, so that it stays with `main`."""
    (recipient,) = system.recipients(identifier)
    outcomes = [each["outcome"] for each in recipient["attempts"]]
    stays = "uncertain" in outcomes and recipient["destination"] == "main"
    return recipient["status"] == "delivered" or stays


@pytest.mark.timeout(180)
def test_a_relay_that_ends_under_load_loses_nothing() -> None:
    with ExitStack() as stack, SmtpServer() as other:
        main = SmtpServer()
        running = ExitStack()
        stack.callback(running.close)
        running.enter_context(main)
        system = stack.enter_context(started(main, relays(main, other) + POOL))
        sent = [system.send() for _ in range(30)]
        main.wait_for(30)
        assert other.messages == []
        sent += [system.send() for _ in range(20)]
        running.close()  # It is gone.
        sent += [system.send() for _ in range(50)]
        for identifier in sent:
            poll(partial(arrived_or_may_have, system, identifier), 60)
        assert attempts(system, sent[-1]) == ["other"]
        rows = system.ask("GET", "/v1/destinations")[1]["data"]
        states = {row["destination"]: row["state"] for row in rows}
        assert states["main"] in ("backing_off", "probing")
        assert states["pool:both"] not in ("backing_off", "probing")
        back = stack.enter_context(SmtpServer(port=main.port))
        poll(lambda: system.send() and back.answered(), 60)
        for identifier in sent:
            system.wait_status(identifier, "delivered", 60)
        assert sum(len(each.answered()) for each in (main, other, back)) >= len(sent)
        system.reconcile()


def test_what_may_have_arrived_is_not_given_to_another_relay() -> None:
    with (
        SmtpServer() as main,
        SmtpServer() as other,
        started(main, relays(main, other) + POOL) as system,
    ):
        main.answers["."] = "drop"
        mail = system.send()
        poll(lambda: attempts(system, mail))
        assert system.ask("POST", "/v1/destinations/main/suspend", {})[0] == 200
        elsewhere = system.send()
        system.wait_status(elsewhere, "delivered")
        assert attempts(system, elsewhere) == ["other"]
        poll(lambda: system.recipients(mail)[0]["waiting_for"] == "suspended")
        assert system.recipients(mail)[0]["destination"] == "main"
        main.answers.clear()
        assert system.ask("POST", "/v1/destinations/main/resume", {})[0] == 200
        system.wait_status(mail, "delivered")
        assert attempts(system, mail) == ["main", "main"]
        assert [each.header("Message-ID") for each in main.messages] == [
            system.ask("GET", f"/v1/messages/{mail}")[1]["message_id"]
        ] * 2
        assert len(other.answered()) == 1
        system.reconcile()
