"""B3, B18: whatever a server says costs little, and whatever a field holds is one command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.smtp_client import NO_PIPELINING, envelope, letters, send_many, send_once
from tests.support.smtp_server import USUAL, SmtpServer
from workers.smtp import Envelope, Stage
from workers.smtp.transaction import stuff

UNKNOWN = "550 5.1.1 unknown"
CONTROLS = [chr(code) for code in (*range(32), 127)]


def test_b15_required_tls_is_never_given_up() -> None:
    with SmtpServer() as server:
        transaction = send_once(server.port, tls="required")
        assert transaction.stage is Stage.TLS
        assert "MAIL" not in " ".join(server.commands)


def test_b16_data_after_starttls_ends_the_session() -> None:
    answers = {"EHLO": "250-test\r\n250 STARTTLS", "STARTTLS": "220 go\r\n250 injected"}
    with SmtpServer(answers=dict(answers)) as server:
        transaction = send_once(server.port, tls="required")
        assert transaction.trouble == "unexpected data"
        assert "MAIL" not in " ".join(server.commands)


@pytest.mark.parametrize("control", CONTROLS, ids=[f"{ord(each):02x}" for each in CONTROLS])
def test_b3_no_control_character_reaches_the_server(control: str) -> None:
    """In no argument of a command: refused before a byte of it is written, or encoded."""
    inside = f"a{control}b"
    offered = "250-t\r\n250-PIPELINING\r\n250-DSN\r\n250 AUTH PLAIN LOGIN"
    with SmtpServer(answers={"EHLO": offered}) as server:
        for to in (
            Envelope(f"{inside}@a.test", ((0, "a@b.test"),)),
            Envelope("", ((0, f"{inside}@b.test"),)),
            Envelope("", ((0, "a@b.test"), (1, f"a@{inside}.test"))),
        ):
            found = send_once(server.port, to, dsn="failure")
            assert found.recipients[0].text == "control character in a command"
        for auth in ("plain", "login"):
            signing_in: dict[str, Any] = {"user": inside, "password": "p", "auth": auth}
            found = send_once(server.port, **signing_in)
            assert (found.stage, found.trouble) == (Stage.AUTH, "control character in a command")
        assert set(server.commands) == {"EHLO here", "QUIT"}
        found = send_once(server.port, ehlo_name=inside)
        assert (found.stage, found.trouble) == (Stage.EHLO, "control character in a command")
        assert set(server.commands) == {"EHLO here", "QUIT"}
        send_once(server.port, envelope(envid=inside), dsn="failure")
        assert f"MAIL FROM:<from@a.test> RET=HDRS ENVID=a+{ord(control):02X}b" in server.commands


def test_b4_dot_stuffing() -> None:
    assert stuff(b".\r\n.a\r\nb.\r\n..\r\n") == b"..\r\n..a\r\nb.\r\n...\r\n"


HOSTILE = {
    "endless lines": "flood",
    "one endless line": "2" * 700_000,
    "100,000 lines": "250-x\r\n" * 100_000 + "250 x",
    "a byte at a time": "drip",
    "NUL": "2\x0050 ok",
    "8-bit": "\xff\xfe\xfd",
    "codes that differ": "250-a\r\n251 b",
    "no code": "OK",
    "one that does not exist": "950 x",
    "nothing but line ends": "\r\n\r\n\r\n",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("verb", ["banner", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_b18_a_hostile_server_costs_little(verb: str, answer: str) -> None:
    began, before = time.monotonic(), resident()
    with SmtpServer(answers={verb: answer}) as server:
        found = send_once(server.port)
        assert found.trouble
        assert found.data is None
        assert found.dot_sent == (verb == ".")
    assert time.monotonic() - began < 8
    assert resident() - before < 60 * 2**20, "what it says is not kept"


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_b18_odd_but_legal_replies_are_understood() -> None:
    answers: dict[str, Any] = {
        "banner": "220-welcome\r\n220-\r\n220 to us",
        "EHLO": "250-t\r\n250-pipelining\r\n250-\r\n250-X-ODD \xff=1\r\n250 size 1000000",
        "MAIL": "250",
        "RCPT": "251 2.1.5 will forward \x1b[31m\x7f",
        ".": "250-2.0.0 queued\r\n250 2.0.0 as \xff1",
    }
    with SmtpServer(answers=answers) as server:
        found = send_once(server.port)
        assert found.data is not None
        assert (found.data.code, found.data.enhanced) == (250, "2.0.0")
        assert found.data.text == "queued as \ufffd1"
        assert found.recipients[0].text == "will forward \ufffd[31m\ufffd"
        assert "SIZE=" in server.commands[1]


@pytest.mark.parametrize("verb", ["banner", "EHLO", "MAIL", "DATA"])
def test_b18_replies_before_the_command_end_the_session(verb: str) -> None:
    usual = USUAL[verb]
    with SmtpServer(answers={verb: f"{usual}\r\n250 early\r\n250 birds"}) as server:
        found = send_once(server.port)
        assert found.trouble
        assert not found.dot_sent
        assert not server.messages


@pytest.mark.parametrize(("lines", "understood"), [(100, True), (101, False)])
def test_b18_a_reply_has_so_many_lines_at_most(lines: int, understood: bool) -> None:
    reply = "250-x\r\n" * (lines - 1) + "250 x"
    with SmtpServer(answers={"MAIL": reply}) as server:
        found = send_once(server.port)
        assert found.trouble == ("" if understood else "reply too long")


EXTRA = {
    "MAIL, first refused": ({"MAIL": "250 ok\r\n250 extra", "RCPT": [UNKNOWN, "250 ok"]}, "ff"),
    "MAIL, second refused": ({"MAIL": "250 ok\r\n250 extra", "RCPT": ["250 ok", UNKNOWN]}, "ff"),
    "MAIL, both refused": ({"MAIL": "250 ok\r\n250 extra", "RCPT": UNKNOWN}, "ff"),
    "MAIL, the extra one refuses": ({"MAIL": f"250 ok\r\n{UNKNOWN}"}, "ff"),
    "MAIL refused": ({"MAIL": "553 no\r\n250 extra"}, "ff"),
    "RCPT": ({"RCPT": [f"250 ok\r\n{UNKNOWN}", "250 ok"]}, "ff"),
    "RCPT, refused twice": ({"RCPT": [f"{UNKNOWN}\r\n{UNKNOWN}", "250 ok"]}, "ff"),
    "last RCPT": ({"RCPT": ["250 ok", f"250 ok\r\n{UNKNOWN}"]}, "ff"),
    "DATA refused": ({"DATA": "554 no\r\n250 extra"}, "ff"),
    "RSET": ({"RCPT": UNKNOWN, "DATA": "503 no", "RSET": "451 odd\r\n250 extra"}, "ff"),
}


@pytest.mark.parametrize("ehlo", [None, NO_PIPELINING])
@pytest.mark.parametrize(("answers", "outcome"), EXTRA.values(), ids=EXTRA.keys())
def test_b18_an_extra_reply_bounces_nobody(
    answers: dict[str, Any], outcome: str, ehlo: str | None
) -> None:
    """Which reply is whose cannot be told any more, so none of them is final."""
    told = {verb: list(what) if isinstance(what, list) else what for verb, what in answers.items()}
    if ehlo:
        told["EHLO"] = ehlo
    with SmtpServer(answers=told) as server:
        found = send_once(server.port, envelope("a@b.test", "c@b.test"))
        assert letters(found, 2) == outcome
        assert found.recipients == {}
        assert found.data is None
        assert not server.messages


def test_b18_an_extra_reply_to_one_message_does_not_bounce_the_next() -> None:
    with SmtpServer(answers={".": [f"250 2.0.0 Ok\r\n{UNKNOWN}"]}) as server:
        assert [letters(each) for each in send_many(server.port, 3)] == ["d", "f", "d"]
        assert len(server.answered()) == 2
