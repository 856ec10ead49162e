"""Every command met by every fault: what becomes of the recipient, and of the message after it.

The letters are those of `letters`: d delivered, f deferred, b bounced, u uncertain, `relay` when
it is the relay's trouble and nobody is charged for it.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.outgoing_settings import TimeoutSettings
from tests.support.certificates import Authority
from tests.support.smtp_client import (
    MESSAGE,
    NO_PIPELINING,
    Held,
    envelope,
    letters,
    send_once,
    with_pool,
)
from tests.support.smtp_server import SmtpServer
from workers.smtp import Pool, Transaction

FAULTS = {
    "4xx": "451 4.3.0 later",
    "421": "421 4.3.2 closing",
    "503": "503 5.5.1 bad sequence of commands",
    "5xx": "554 5.6.0 no",
    "3xx": "354 odd",
    "drop": "drop",
    "stall": "stall",
    "drip": "drip",
    "flood": "flood",
    "garbage": "garbage",
    "endless line": "1" * 5000,
    "unfinished": "250-more",
}
PATIENT = TimeoutSettings(connect=9, banner=9, command=9, data=9, block=9, final=9, quit=0.2)
WAITED_FOR = {"banner": "banner", "DATA": "data", ".": "final"}
REFUSED = "550 5.1.1 nobody here"


def waits(verb: str, fault: str) -> TimeoutSettings:
    """A short wait where the fault is that no reply comes, else what no busy machine exceeds."""
    if fault not in ("stall", "drip", "unfinished"):
        return PATIENT
    return msgspec.structs.replace(PATIENT, **{WAITED_FOR.get(verb, "command"): 0.4})


# -- the set-up ---------------------------------------------------------------------------------

TLS_OFFER = "250-test\r\n250-PIPELINING\r\n250 STARTTLS"
USER_LINE = "DXNLCG=="
"""What LOGIN's second step begins with, as the scripted server looks it up: `user` in base64."""
STEPS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "banner": ({}, "banner", {}),
    "EHLO": ({}, "EHLO", {}),
    "HELO": ({"EHLO": "502 5.5.1 what"}, "HELO", {}),
    "STARTTLS": ({"EHLO": TLS_OFFER}, "STARTTLS", {"tls": "required"}),
    "EHLO over TLS": ({"EHLO": [TLS_OFFER]}, "EHLO", {"tls": "required"}),
    "AUTH": ({"EHLO": "250-t\r\n250 AUTH PLAIN"}, "AUTH", {"auth": "plain"}),
    "AUTH LOGIN, the user": (
        {"EHLO": "250-t\r\n250 AUTH LOGIN", "AUTH": "334 VXNlcm5hbWU6"}, USER_LINE,
        {"auth": "login"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.server()


def broken_set_up(
    step: str, answer: str, context: ssl.SSLContext, **relay: Any
) -> tuple[Transaction, SmtpServer]:
    """One message to a server with a fault before MAIL."""
    answers, verb, fields = STEPS[step]
    told = [*answers[verb], answer] if isinstance(answers.get(verb), list) else answer
    if "auth" in fields:
        relay |= {"user": "user", "password": "secret", "insecure_auth": True}
    server = SmtpServer(answers={**answers, verb: told}, context=context)
    with server:
        found = send_once(server.port, **{**fields, **relay})
    return found, server


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_before_mail_is_the_relays(
    step: str, fault: str, authority: Authority, context: ssl.SSLContext
) -> None:
    found, server = broken_set_up(
        step, FAULTS[fault], context, timeouts=waits(step, fault), ca_file=authority.ca_file
    )
    assert letters(found) == "relay"
    assert found.mail is None
    assert (found.trouble_reply is not None) == (fault in ("4xx", "421", "503", "5xx", "3xx"))
    assert not [line for line in server.commands if line.startswith("MAIL")]
    assert server.connections == 1
    assert "secret" not in repr(found)


def test_454_to_auth_is_the_relays(authority: Authority, context: ssl.SSLContext) -> None:
    found, _ = broken_set_up("AUTH", "454 4.7.0 temporary authentication failure", context)
    assert found.trouble_reply is not None
    assert found.trouble_reply.code == 454


# -- the transaction ----------------------------------------------------------------------------

BROKEN = ("drop", "stall", "drip", "flood", "garbage", "endless line", "unfinished", "3xx")
EXPECTED = {
    "MAIL": {"4xx": "f", "421": "f", "503": "f", "5xx": "b", **dict.fromkeys(BROKEN, "relay")},
    "RCPT": {"4xx": "f", "421": "f", "503": "f", "5xx": "b", **dict.fromkeys(BROKEN, "f")},
    "DATA": {
        "4xx": "f", "421": "f", "503": "f", "5xx": "b", **dict.fromkeys(BROKEN, "f"), "3xx": "d",
    },
    ".": {"4xx": "f", "421": "f", "503": "f", "5xx": "b", **dict.fromkeys(BROKEN, "u")},
}  # fmt: skip
CASES = [(verb, fault) for verb, outcomes in EXPECTED.items() for fault in outcomes]
CASES.remove(("MAIL", "unfinished"))  # What comes next ends it: a server that is out of step.


@pytest.mark.parametrize(("verb", "fault"), CASES)
@pytest.mark.parametrize("pipelining", [True, False])
def test_a_fault_has_its_outcome(verb: str, fault: str, pipelining: bool) -> None:
    answers: dict[str, Any] = {verb: [FAULTS[fault]]}
    if not pipelining:
        answers["EHLO"] = NO_PIPELINING

    async def work(pool: Pool) -> list[Transaction]:
        return [await pool.send(envelope(), MESSAGE, Held()) for _ in range(2)]

    with SmtpServer(answers=answers) as server:
        first, second = with_pool(server.port, work, timeouts=waits(verb, fault))
        assert letters(first) == EXPECTED[verb][fault]
        assert first.dot_sent == (verb == "." or (verb, fault) == ("DATA", "3xx"))
        assert letters(second) == "d", "a fault harms no other message"
        kept = fault in ("4xx", "503", "5xx") or first.data == second.data
        assert server.connections == (1 if kept else 2), "such a session is not used again"


# -- what follows a refusal ---------------------------------------------------------------------

REFUSALS = {"MAIL": "553 5.1.8 no", "RCPT": REFUSED, "DATA": "554 5.6.0 no"}


def refused(
    refusal: str, pipelining: bool, fault: str = ""
) -> tuple[list[Transaction], SmtpServer]:
    """Two messages, the first one refused; RSET after it is met by the fault."""
    answers: dict[str, Any] = {refusal: [REFUSALS[refusal]]}
    if fault:
        answers["RSET"] = [FAULTS[fault]]
    if refusal == "RCPT" and pipelining:
        answers["DATA"] = ["503 5.5.1 no valid recipients"]
    if not pipelining:
        answers["EHLO"] = NO_PIPELINING

    async def work(pool: Pool) -> list[Transaction]:
        return [await pool.send(envelope(), MESSAGE, Held()) for _ in range(2)]

    server = SmtpServer(answers=answers)
    with server:
        return with_pool(server.port, work, timeouts=waits("RSET", fault)), server


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_not_final_when_rset_is_not_answered(
    refusal: str, fault: str, pipelining: bool
) -> None:
    """Replies are matched by counting: without RSET's own it may have been another command's."""
    (first, second), server = refused(refusal, pipelining, fault)
    assert letters(first) == "f"
    assert first.trouble
    assert letters(second) == "d"
    assert server.connections == 2


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_final_when_rset_is_answered(refusal: str, pipelining: bool) -> None:
    (first, second), server = refused(refusal, pipelining)
    assert letters(first) == "b"
    assert letters(second) == "d"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("4xx", "b"), ("421", "b"), ("5xx", "b"), ("drop", "b"), ("stall", "b"), ("drip", "b"),
        ("garbage", "f"), ("3xx", "f"), ("flood", "f"),
    ],
)  # fmt: skip
def test_the_empty_dot_after_every_recipient_was_refused(fault: str, outcome: str) -> None:
    """The 354 has shown that the refusals were theirs; only nonsense puts that in doubt."""
    answers: dict[str, str | list[str]] = {"RCPT": REFUSED, ".": FAULTS[fault]}
    with SmtpServer(answers=answers) as server:
        found = send_once(server.port, timeouts=waits(".", fault))
        assert letters(found) == outcome
        assert not found.dot_sent
        assert server.messages[0].raw == b""
        assert ("RSET" in server.commands) == (fault in ("4xx", "5xx"))


@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
@pytest.mark.parametrize("pipelining", [True, False])
def test_nothing_is_asked_of_a_server_that_is_closing(verb: str, pipelining: bool) -> None:
    answers: dict[str, Any] = {verb: FAULTS["421"]}
    if not pipelining:
        answers["EHLO"] = NO_PIPELINING
    with SmtpServer(answers=answers) as server:
        assert letters(send_once(server.port)) == "f"
        assert not {"RSET", "QUIT"} & set(server.commands)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_quit_is_of_no_account(fault: str) -> None:
    began = time.monotonic()
    with SmtpServer(answers={"QUIT": FAULTS[fault]}) as server:
        assert letters(send_once(server.port, timeouts=PATIENT)) == "d"
        assert "QUIT" in server.commands
    assert time.monotonic() - began < 5


def test_mail_deferred_and_recipients_refused_is_a_deferral() -> None:
    """What RCPT is told after MAIL was refused is only that MAIL comes first."""
    answers: dict[str, str | list[str]] = {
        "MAIL": "451 4.3.0 later", "RCPT": REFUSED, "DATA": "554 5.5.1 no valid recipients",
    }  # fmt: skip
    with SmtpServer(answers=answers) as server:
        found = send_once(server.port, envelope("a@b.test", "c@b.test"))
        assert letters(found, 2) == "ff"
        assert found.recipients == {}


@pytest.mark.parametrize("answers", [{"banner": "421 4.3.2 busy"}, {"EHLO": "421 4.3.2 busy"}])
def test_opportunistic_tls_falls_back_for_the_handshake_alone(
    tmp_path: Path, answers: dict[str, str]
) -> None:
    with SmtpServer(answers=dict(answers)) as server:
        found = send_once(server.port, tls="opportunistic")
        assert (letters(found), found.protection, server.connections) == ("relay", "", 1)
        port = server.port
    found = send_once(port, tls="opportunistic")
    assert (found.trouble, found.protection) == ("connection refused", "")
