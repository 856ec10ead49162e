"""Signing in to a relay, by each mechanism."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.smtp_client import MESSAGE as BODY
from tests.support.smtp_client import Held, envelope, send_once, with_pool
from tests.support.smtp_server import SmtpServer
from workers.smtp import Pool, Stage, Transaction

SECRET = "pass wörd:="


def auth_server(*mechanisms: str, keyword: str = "AUTH ", **users: str) -> SmtpServer:
    offered = f"250-test\r\n250-PIPELINING\r\n250 {keyword}{' '.join(mechanisms)}"
    return SmtpServer(answers={"EHLO": offered}, users=users or {"user": SECRET})


def signing_in(server: SmtpServer, **fields: Any) -> Transaction:
    """One message; the password goes over loopback, which a relay's entry must allow."""
    values = {"user": "user", "password": SECRET, "insecure_auth": True, **fields}
    return send_once(server.port, **values)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("chosen", [True, False])
def test_each_mechanism(mechanism: str, chosen: bool) -> None:
    offered = ("GSSAPI", mechanism.lower())
    with auth_server(*offered) as server:
        found = signing_in(server, auth=mechanism.lower() if chosen else "")
        assert found.dot_sent
        assert server.signed_in == [f"{mechanism} user"]


def test_without_tls_the_password_stays_here_if_it_can() -> None:
    with auth_server("PLAIN", "LOGIN", "CRAM-MD5") as server:
        signing_in(server)
        assert server.signed_in == ["CRAM-MD5 user"]
        assert SECRET not in " ".join(server.commands)


def test_the_old_form_of_the_keyword() -> None:
    with auth_server("LOGIN", "PLAIN", keyword="AUTH=") as server:
        assert signing_in(server).dot_sent


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_refusal_is_the_relays_trouble(mechanism: str) -> None:
    with auth_server(mechanism, user="another") as server:
        found = signing_in(server)
        assert found.stage is Stage.AUTH
        assert found.trouble_reply is not None
        assert found.trouble_reply.code == 535
        assert not server.messages
        assert SECRET not in repr(found)


def test_no_common_mechanism() -> None:
    with auth_server("GSSAPI", "SCRAM-SHA-256") as server:
        found = signing_in(server)
        assert found.trouble == "the server offers no way to sign in"
        assert "MAIL" not in " ".join(server.commands)


@pytest.mark.parametrize("answer", ["334 not base64!", "drop", "stall", "334", "garbage"])
def test_a_server_that_breaks_while_we_sign_in(answer: str) -> None:
    with auth_server("CRAM-MD5") as server:
        server.answers["AUTH"] = answer
        found = signing_in(server)
        assert found.stage is Stage.AUTH
        assert found.trouble


def test_xoauth2_with_a_token_from_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("good-token\n")
    with auth_server("XOAUTH2", "PLAIN", user="good-token") as server:
        found = signing_in(server, password="", auth="xoauth2", token_file=str(token))
        assert found.dot_sent
        assert server.signed_in == ["XOAUTH2 user"]


def test_xoauth2_asks_the_command_again_when_the_token_has_expired(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script = tmp_path / "token.sh"
    script.write_text(
        f'#!/bin/sh\necho x >> {calls}\nwc -l < {calls} | sed "s/ *//; s/^/token-/"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)

    async def work(pool: Pool) -> list[Transaction]:
        first = await pool.send(envelope(), BODY, Held())
        server.users["user"] = "token-2"  # The first one is not valid any more.
        second = await pool.send(envelope(), BODY, Held())
        return [first, second]

    with auth_server("XOAUTH2", user="token-1") as server:
        found = with_pool(
            server.port, work, user="user", auth="xoauth2", insecure_auth=True,
            token_command=str(script), messages_per_connection=1,
            timeouts={"command": 10, "final": 5},
        )  # fmt: skip
        assert all(each.dot_sent for each in found)
        assert server.signed_in == ["XOAUTH2 user"] * 2
        assert calls.read_text().count("x") == 2


def test_xoauth2_refused_twice_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("stale")
    with auth_server("XOAUTH2", user="fresh") as server:
        found = signing_in(server, password="", auth="xoauth2", token_file=str(token))
        assert found.trouble_reply is not None
        assert found.trouble_reply.code == 535
        assert "stale" not in repr(found)


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        ("/nowhere/at/all", "the token command cannot be run"),
        ("false", "the token command ended with exit code 1"),
        ("echo", "the token is empty or not printable ASCII"),
        ("printf a\\\\nb", "the token is empty or not printable ASCII"),
        ("sleep 30", "the token command takes too long"),
    ],
)
def test_a_token_command_that_fails_is_the_relays_trouble(
    command: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.smtp.auth.TOKEN_SECONDS", 0.5)
    began = time.monotonic()
    with auth_server("XOAUTH2") as server:
        found = signing_in(server, password="", auth="xoauth2", token_command=command)
        assert found.trouble == trouble
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("answer", ["334", "250 2.0.0 Ok", "334 \xff\xfe"])
def test_nothing_but_235_is_success(mechanism: str, answer: str) -> None:
    with auth_server(mechanism) as server:
        server.answers["AUTH"] = answer
        found = signing_in(server, auth=mechanism.lower())
        assert found.stage is Stage.AUTH
        assert found.trouble
        assert "MAIL" not in " ".join(server.commands)


def test_a_token_file_is_read_for_each_sign_in(tmp_path: Path) -> None:
    """A token that was replaced is not tried first: some servers count refusals."""
    token = tmp_path / "token"
    token.write_text("token-1")

    async def work(pool: Pool) -> list[Transaction]:
        first = await pool.send(envelope(), BODY, Held())
        token.write_text("token-2")
        server.users["user"] = "token-2"
        return [first, await pool.send(envelope(), BODY, Held())]

    with auth_server("XOAUTH2", user="token-1") as server:
        found = with_pool(
            server.port, work, user="user", auth="xoauth2", insecure_auth=True,
            token_file=str(token), messages_per_connection=1,
        )  # fmt: skip
        assert all(each.dot_sent for each in found)
        assert sum(line.startswith("AUTH") for line in server.commands) == 2
