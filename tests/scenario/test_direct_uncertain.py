"""Mail that goes directly and is lost sight of at the final dot: held, or sent again; never in two
places of our own accord."""

from __future__ import annotations

import subprocess
import sys

from tests.support.mx_world import World, started, world
from tests.support.system import poll

RECORDS = {
    ("two.test", "MX"): ["10 mx1.two.test.", "20 mx2.two.test."],
    ("mx1.two.test", "A"): ["127.0.0.3"],
    ("mx2.two.test", "A"): ["127.0.0.4"],
}


def posthaste(here: World, *words: str) -> str:
    """An operator's command; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", *words, "--home", str(here.system.home)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_to_be_held_waits_for_an_operator_and_no_other_host_gets_it() -> None:
    with world(RECORDS) as here:
        first = here.server("127.0.0.3", answers={".": ["drop", "drop"]})
        second = here.server("127.0.0.4")
        with started(here) as here:
            mails = []
            for _ in range(2):
                mails.append(here.system.send(to="a@two.test", on_uncertain="hold"))
                here.system.wait_status(mails[-1], "uncertain")
            (attempt,) = here.attempts(mails[0])
            assert str(attempt["note"]).endswith("by mx1.two.test [127.0.0.3]")
            assert attempt["bytes_sent"] == len(first.messages[0].raw) + len(".\r\n")
            # Mail that comes later is settled, and so would these have been, had they gone on.
            here.system.wait_status(here.system.send(to="b@two.test"), "delivered")
            assert (len(first.messages), second.connections) == (3, 0)
            assert {here.system.recipients(each)[0]["status"] for each in mails} == {"uncertain"}
            shown = posthaste(here, "uncertain", "show", mails[0])
            assert "mx1.two.test [127.0.0.3]" in shown
            posthaste(here, "uncertain", "resend", mails[0])
            here.system.wait_status(mails[0], "delivered")
            posthaste(here, "uncertain", "drop", mails[1])
            here.system.wait_status(mails[1], "cancelled")
            same = [each.header("Message-ID") for each in (first.messages[0], first.messages[3])]
            assert same[0] == same[1]
            assert (len(first.messages), second.connections) == (4, 0)
            assert here.settle_accounts(mails[0]) == [
                "accepted", "rerouted", "attempt", "requeued", "attempt",
            ]  # fmt: skip
            assert here.settle_accounts(mails[1])[-1] == "dropped"


def test_what_is_to_be_held_stays_so_when_its_worker_dies_at_the_dot() -> None:
    with world(RECORDS) as here:
        first = here.server("127.0.0.3", answers={".": ["stall"]})
        second = here.server("127.0.0.4")
        with started(here) as here:
            mail = here.system.send(to="a@two.test", on_uncertain="hold")
            first.wait_until(lambda: len(first.messages) == 1)
            here.system.kill("worker")
            poll(lambda: here.system.recipients(mail)[0]["status"] == "uncertain")
            note = str(here.attempts(mail)[-1]["note"])
            assert note.startswith("worker ended at the final dot; ")
            assert note.endswith("; by mx1.two.test [127.0.0.3]")
            assert (len(first.messages), second.connections) == (1, 0)
            assert here.settle_accounts(mail) == ["accepted", "rerouted", "crashed"]
