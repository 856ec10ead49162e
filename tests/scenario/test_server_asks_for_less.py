"""A server that asks for less gets less: its site stands still, then has mail again more slowly.

Nobody is charged for it, and no other site waits. Each test has a site of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.support.mx_world import World, started, world
from tests.support.smtp_server import SmtpServer
from tests.support.system import message, poll

SITES = range(2, 20)
RECORDS = {(f"s{n}.test", "MX"): [f"10 mx.s{n}.test."] for n in SITES} | {
    (f"mx.s{n}.test", "A"): [f"127.0.0.{n}"] for n in SITES
}
LIMITED = "450 4.7.1 rate limited"
REASON = "asked for less: 450 4.7.1 (rule busy)"
SHAPING = """
[[rule]]
name = "busy"
text = 'too many connections|rate limited'
suspend_seconds = 1
slow = true

[[rule]]
name = "nap"
text = 'a nap'
suspend_seconds = 600

[[rule]]
name = "wink"
text = 'a wink'
suspend_seconds = 0.001

[[rule]]
name = "hint"
text = 'a little slower'
slow = true
"""


class Site:
    """One of the sites: its server, and what the installation shows of it."""

    def __init__(self, here: World, number: int, **script: Any) -> None:
        self.domain, self.hop = f"s{number}.test", f"mx:mx.s{number}.test"
        self.server: SmtpServer = here.server(f"127.0.0.{number}", **script)
        self._here = here

    def send(self, *people: str, **fields: Any) -> str:
        """A message to somebody, or to these."""
        to = [f"{each}@{self.domain}" for each in people or ("a",)]
        return self._here.system.send(to=to, **fields)

    def batch(self, count: int, **fields: Any) -> list[str]:
        """Messages that are accepted together."""
        mails = [message(to=f"p{number}@{self.domain}", **fields) for number in range(count)]
        status, body, _ = self._here.system.ask("POST", "/v1/messages/batch", {"messages": mails})
        assert status == 202, body
        return [each["id"] for each in body["results"]]

    def shown(self, what: str) -> Any:
        """A field of the destination; None when nobody knows it."""
        status, body, _ = self._here.system.ask("GET", f"/v1/destinations/{self.hop}")
        return body["data"][0][what] if status == 200 else None

    def copies(self) -> list[str]:
        """The Message-IDs of what it has taken."""
        return [each.header("Message-ID") for each in self.server.answered() if each.raw]

    def begun(self) -> int:
        """Transactions."""
        return sum(each.startswith("MAIL") for each in self.server.commands)


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with world(RECORDS) as here:
        here.server("127.0.0.250")  # For the port.
        with started(here, shaping=SHAPING, workers=2) as here:
            yield here


def charges(here: World, mail: str) -> Sequence[tuple[int, list[bool]]]:
    """For each recipient how many attempts count, and for each that is told whether it does."""
    return [
        (each["attempt_count"], [one["charged"] for one in each["attempts"]])
        for each in here.system.recipients(mail)
    ]


@pytest.mark.parametrize(("number", "hold", "verb"), [(2, "resend", "MAIL"), (3, "hold", ".")])
def test_its_site_stands_still_is_probed_once_and_then_has_less(
    here: World, number: int, hold: str, verb: str
) -> None:
    times: list[float] = []
    site = Site(here, number, on_message=lambda mail: times.append(time.monotonic()))
    site.batch(10, on_uncertain=hold)
    site.server.wait_for(10)
    poll(lambda: not site.shown("in_flight"))
    site.server.answers[verb] = LIMITED
    began = site.begun()
    mails = [site.send(on_uncertain=hold)]
    poll(lambda: site.shown("state") == "backing_off")
    assert site.shown("reason") == REASON
    mails += site.batch(4, on_uncertain=hold)
    other = Site(here, number + 10)
    here.system.wait_status(other.send(), "delivered")
    (waits,) = here.system.recipients(mails[0])
    assert (waits["status"], waits["waiting_for"]) == ("queued", "relay_trouble")
    assert waits["waiting_reason"] == REASON
    poll(lambda: site.shown("strikes") >= 2)
    least, begun, most = site.shown("strikes"), site.begun() - began, site.shown("strikes")
    site.server.answers.clear()
    assert least <= begun <= most + 1  # The first one, and one probe a pause.
    assert charges(here, mails[0]) == [(0, [False])]
    site.server.wait_for(14, 30)  # The one that was told so twice stays away for longer.
    assert 1 / 32 <= site.shown("rate_limit") <= 10 / 4  # It had 10 a second at most.
    assert times[-1] - times[-4] > 0.5
    (away,) = here.system.recipients(mails[0])
    assert (away["status"], away["waiting_for"]) == ("queued", "retry")
    for mail in mails[1:]:
        here.system.wait_status(mail, "delivered")
        assert [count for count, _ in charges(here, mail)] == [1]
    assert len(site.copies()) == len(set(site.copies())) == 14
    assert here.settle_accounts(mails[1]) == ["accepted", "rerouted", "attempt"]


def test_a_late_answer_of_what_was_under_way_ends_no_pause(here: World) -> None:
    site = Site(here, 4, answers={".": ["stall"]})
    slow = site.send()
    site.server.wait_until(lambda: len(site.server.messages) == 1)
    site.server.answers["MAIL"] = "451 4.7.0 a nap"
    refused = site.send()
    poll(lambda: site.shown("state") == "backing_off")
    site.server.release()
    here.system.wait_status(slow, "delivered")
    assert (site.shown("state"), site.begun()) == ("backing_off", 2)
    site.server.answers.clear()
    assert here.system.ask("POST", f"/v1/destinations/{site.hop}/resume", {})[0] == 200
    here.system.wait_status(refused, "delivered")
    assert len(site.copies()) == 2
    assert charges(here, refused) == [(1, [False, True])]
    assert here.settle_accounts(refused) == ["accepted", "rerouted", "attempt"]


def test_what_is_about_one_recipient_suspends_nobody(here: World) -> None:
    replies = {
        "full": "452 4.2.2 mailbox full, rate limited",
        "grey": "450 4.7.1 Greylisted, too many connections",
        "busy": "450 4.2.1 rate limited",
    }
    site = Site(here, 5)
    site.server.answers = {f"RCPT {who}@s5.test": [text] * 3 for who, text in replies.items()}
    before = here.counters()
    mails = [site.send(who) for who in replies]
    for mail in mails:
        here.system.wait_status(mail, "delivered")
        assert charges(here, mail) == [(4, [True] * 4)]
        assert here.settle_accounts(mail) == ["accepted", "rerouted", *["attempt"] * 4]
    assert (site.shown("strikes"), site.shown("rate_limit")) in ((0, None), (None, None))
    for name in ("relay_troubles", "slowed_down"):
        assert here.counters().get(name, 0) == before.get(name, 0)


def test_a_rule_may_slow_down_without_a_pause(here: World) -> None:
    site = Site(here, 6)
    site.batch(120)
    site.server.wait_for(120)
    site.server.answers["."] = ["451 4.7.1 a little slower"]
    mail = site.send()
    here.system.wait_status(mail, "delivered")
    assert charges(here, mail) == [(2, [True, True])]
    assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt", "attempt"]
    assert 1 / 2 <= site.shown("rate_limit") <= 120 / 2
    assert (site.shown("strikes"), site.shown("reason")) == (0, None)
    logs = (here.system.home / "log").glob("worker-*.log")
    lines = [line for log in logs for line in log.read_text().splitlines() if site.hop in line]
    assert sum("destination_asked_for_less" in line for line in lines) == 1


def test_what_is_to_be_held_is_not_uncertain_when_its_dot_was_answered(here: World) -> None:
    site = Site(here, 7, answers={".": [LIMITED]})
    mail = site.send("a", "b", on_uncertain="hold")
    here.system.wait_status(mail, "delivered")
    assert charges(here, mail) == [(1, [False, True])] * 2
    assert [each.answered for each in site.server.messages] == [False, True]
    assert here.settle_accounts(mail) == ["accepted", "rerouted", "attempt"]


@pytest.mark.parametrize(
    ("number", "answers"),
    [(8, {"MAIL": "450 4.7.1 a wink"}), (9, {"banner": "421 4.7.0 a little slower"}),
     (10, {".": "451 4.7.1 a wink"})],
)  # fmt: skip
def test_one_that_always_does_is_asked_seldom(
    here: World, number: int, answers: dict[str, str]
) -> None:
    site = Site(here, number, answers=answers)
    site.batch(30)
    poll(lambda: (site.shown("strikes") or 0) >= 2)
    before, strikes = site.server.connections + site.begun(), site.shown("strikes")
    poll(lambda: site.shown("strikes") > strikes)
    # A probe a pause, on a new session each; two more, should this test have come late.
    assert site.server.connections + site.begun() - before <= 6
