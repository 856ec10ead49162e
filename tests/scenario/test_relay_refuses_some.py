"""A relay that takes some envelopes and not others: others' mail goes on, and it is seen why."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, message, poll, running

DENIED = "554 5.7.1 Relay access denied"


class Picky(SmtpServer):
    """Relays for nobody at notours.test."""

    def _answer(self, verb: str) -> str:
        if verb == "RCPT" and "@notours.test" in self.commands[-1]:
            return DENIED
        return super()._answer(verb)


def submit(system: System, *messages: dict[str, object]) -> list[str]:
    status, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": messages})
    assert status == 202
    return [result["id"] for result in body["results"]]


def test_one_application_s_recipients_do_not_stop_the_mail_of_others() -> None:
    with running("--workers", "2", server=Picky()) as system:
        bad = submit(system, *(message(to=f"{n}@notours.test") for n in range(400)))
        good = submit(system, *(message() for _ in range(3)), message(**{"class": "critical"}))
        for identifier in good:
            system.wait_status(identifier, "delivered", 40)
        later = submit(system, message())
        system.wait_status(later[0], "delivered", 5)
        (refused,) = system.recipients(bad[0])
        assert refused["status"] == "queued"
        assert refused["attempt_count"] == 0
        poll(lambda: any(_said(system, identifier) for identifier in bad[:5]))
        assert system.samples(system.exporter)["posthaste_relay_troubles_total"] > 0
        log = (system.home / "log" / "worker-1.log").read_text()
        log += (system.home / "log" / "worker-2.log").read_text()
        assert "relay_trouble" in log or "relay_refuses_some" in log
        system.reconcile()


def _said(system: System, identifier: str) -> bool:
    """Whether the message shows what the relay said, as an attempt that is not charged."""
    (recipient,) = system.recipients(identifier)
    told = recipient["attempts"]
    return bool(told) and (told[-1]["code"], told[-1]["charged"]) == (554, False)


def test_what_is_refused_again_and_again_is_kept_once_and_goes_when_the_relay_relents() -> None:
    server = SmtpServer(answers={"RCPT": [DENIED] * 3})
    with running(server=server) as system:
        identifier = system.send()
        poll(lambda: _said(system, identifier))
        (recipient,) = system.recipients(identifier)
        assert recipient["attempt_count"] == 0
        assert recipient["waiting_for"] == "retry"
        assert recipient["waiting_reason"] == "refused to relay: 554 5.7.1"


def test_one_recipient_among_others_is_not_charged_either() -> None:
    with running(server=Picky()) as system:
        identifier = system.send(to=["a@example.test", "b@notours.test"])
        poll(lambda: system.recipients(identifier)[0]["status"] == "delivered")
        taken, refused = system.recipients(identifier)
        assert refused["status"] == "deferred"
        again = datetime.fromisoformat(refused["next_attempt_at"])
        assert again - datetime.now(UTC) > timedelta(seconds=30)  # The schedule says 0.3.
        assert refused["attempts"][-1]["code"] == 554
        assert system.samples(system.exporter)["posthaste_relay_troubles_total"] == 1
        assert taken["attempts"][-1]["code"] == 250


STOPS_SOON = QUICK.replace("[worker]", "[worker]\nstop_seconds = 1.0")


@pytest.mark.parametrize(
    ("number", "note"),
    [
        (signal.SIGTERM, "stopped while waiting for the final reply"),
        (signal.SIGKILL, "worker ended at the final dot"),
    ],
)
def test_a_worker_that_ends_at_the_dot_leaves_the_evidence(number: int, note: str) -> None:
    server = SmtpServer(
        answers={"RCPT": ["250 2.1.5 fine", "550 5.1.1 no such user"], ".": "stall"}
    )
    with running(server=server, settings=STOPS_SOON) as system:
        identifier = system.send(to=["a@x.test", "b@x.test"], on_uncertain="hold")
        server.wait_until(lambda: len(server.messages) == 1)
        system.kill("worker", number)
        poll(lambda: system.recipients(identifier)[0]["status"] == "uncertain")
        held, bounced = system.recipients(identifier)
        assert bounced["status"] == "bounced"
        told = held["attempts"][-1]
        assert told["last_reply"] == "250 2.1.5 fine"
        assert told["bytes_sent"] == len(server.messages[0].raw) + len(".\r\n")
        assert told["note"] == note
        server.release()
        system.reconcile()
