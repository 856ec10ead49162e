"""TLS to a relay in each mode, against good certificates, bad ones, and tampering."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConfigError
from shared.tls import client_context
from tests.support.certificates import Authority
from tests.support.smtp_client import MESSAGE, Held, envelope, send_once, with_pool
from tests.support.smtp_server import SmtpServer
from workers.smtp import Pool, Stage, Transaction
from workers.smtp.wire import Wire

OFFERING = "250-test\r\n250-PIPELINING\r\n250 STARTTLS"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def tls_server(context: ssl.SSLContext | None, **fields: Any) -> SmtpServer:
    answers = {"EHLO": OFFERING, **fields.pop("answers", {})}
    return SmtpServer(context=context, answers=answers, **fields)


def mailed(server: SmtpServer) -> bool:
    return "MAIL" in " ".join(server.commands)


@pytest.mark.parametrize("mode", ["implicit", "required", "opportunistic"])
def test_b17_a_message_goes_out_encrypted(authority: Authority, mode: str) -> None:
    with tls_server(authority.server(), implicit=mode == "implicit") as server:
        found = send_once(server.port, tls=mode, ca_file=authority.ca_file)
        assert found.data is not None
        assert found.data.code == 250
        assert server.secured == ["TLSv1.3"]
        assert found.protection == ("TLS unverified" if mode == "opportunistic" else "")
        assert server.messages[0].data == MESSAGE


def test_b16_after_starttls_the_server_is_asked_anew(authority: Authority) -> None:
    with tls_server(authority.server(), answers={}) as server:
        server.answers["EHLO"] = [OFFERING, "250-test\r\n250 8BITMIME"]
        found = send_once(
            server.port, envelope(eight_bit=True), tls="required", ca_file=authority.ca_file
        )
        assert found.dot_sent
        assert server.commands[:3] == ["EHLO here", "STARTTLS", "EHLO here"]
        # SIZE and PIPELINING were offered before only, so they do not count any more.
        assert "MAIL FROM:<from@a.test> BODY=8BITMIME" in server.commands


@pytest.mark.parametrize("mode", ["implicit", "required"])
@pytest.mark.parametrize("fault", ["wrong name", "expired", "unknown authority"])
def test_b17_a_bad_certificate_stops_everything(
    authority: Authority, tmp_path: Path, mode: str, fault: str
) -> None:
    trusted = authority.ca_file
    context = authority.server()
    if fault == "wrong name":
        context = authority.server("other.test")
    elif fault == "expired":
        context = authority.server(expired=True)
    else:
        trusted = Authority(tmp_path).ca_file
    with tls_server(context, implicit=mode == "implicit") as server:
        found = send_once(server.port, tls=mode, ca_file=trusted)
        assert found.trouble == "certificate not valid for this relay"
        assert found.stage in (Stage.CONNECT, Stage.TLS)
        assert not mailed(server)
        assert not server.signed_in


def test_b17_the_system_does_not_trust_just_anybody(authority: Authority) -> None:
    with tls_server(authority.server()) as server:
        assert send_once(server.port, tls="required").trouble.startswith("certificate")


def test_a_name_of_its_own_in_the_certificate(authority: Authority) -> None:
    with tls_server(authority.server("mx.other.test")) as server:
        found = send_once(
            server.port, tls="required", ca_file=authority.ca_file, tls_name="mx.other.test"
        )
        assert found.dot_sent


@pytest.mark.parametrize("wanted", [True, False])
def test_a_client_certificate(authority: Authority, wanted: bool) -> None:
    with tls_server(authority.server(client_certificates=True)) as server:
        certificate = authority.client("sender.test") if wanted else ""
        found = send_once(
            server.port, tls="required", ca_file=authority.ca_file, client_certificate=certificate
        )
        assert found.dot_sent == wanted
        assert mailed(server) == wanted


@pytest.mark.parametrize("mode", ["required", "opportunistic"])
def test_tls_1_1_is_not_spoken(authority: Authority, mode: str) -> None:
    context = authority.server()
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with tls_server(context) as server:
        found = send_once(server.port, tls=mode, ca_file=authority.ca_file)
        assert not server.secured
        assert found.dot_sent == (mode == "opportunistic")
        if mode == "required":
            assert found.trouble == "TLS handshake broke"


@pytest.mark.parametrize(
    "answers",
    [
        {"EHLO": "250-test\r\n250 PIPELINING"},
        {"STARTTLS": "454 4.7.0 not available"},
        {"STARTTLS": "220 go\r\n250 injected"},
        {"STARTTLS": "220 go ahead"},
        {"STARTTLS": "drop"},
        {"STARTTLS": "stall"},
    ],
)
def test_b15_required_tls_is_never_given_up(authority: Authority, answers: dict[str, str]) -> None:
    server = tls_server(authority.server(), answers=answers, users={"u": "p"})
    with server:
        found = send_once(
            server.port, tls="required", ca_file=authority.ca_file, user="u", password="p",
            timeouts={"connect": 1, "command": 1, "banner": 1},
        )  # fmt: skip
        assert found.trouble
        assert found.mail is None
        assert not mailed(server)
        assert "AUTH" not in " ".join(server.commands)
        assert server.connections == 1


@pytest.mark.parametrize(
    ("answers", "connections", "protection"),
    [
        ({"EHLO": "250-test\r\n250 PIPELINING"}, 1, "no TLS offered, sent in plain text"),
        ({"STARTTLS": "454 4.7.0 not now"}, 1, "TLS refused, sent in plain text"),
        ({"STARTTLS": "220 go ahead"}, 2, "TLS handshake broke, sent in plain text"),
        ({"STARTTLS": "220 go\r\n250 injected"}, 2, "TLS handshake broke, sent in plain text"),
        ({"STARTTLS": "drop"}, 2, "TLS handshake broke, sent in plain text"),
    ],
)
def test_opportunistic_tls_falls_back_once_and_says_so(
    authority: Authority, answers: dict[str, str], connections: int, protection: str
) -> None:
    with tls_server(authority.server(), answers=answers) as server:
        found = send_once(
            server.port, tls="opportunistic", timeouts={"connect": 1, "command": 1, "final": 1}
        )
        assert found.dot_sent
        assert found.protection == protection
        assert server.connections == connections


def test_opportunistic_tls_takes_any_certificate(authority: Authority) -> None:
    with tls_server(authority.server("other.test", expired=True)) as server:
        assert send_once(server.port, tls="opportunistic").protection == "TLS unverified"
        assert server.secured == ["TLSv1.3"]


def test_many_messages_over_one_encrypted_session(authority: Authority) -> None:
    body = b"Subject: x\r\n\r\n" + b".line of text\r\n" * 10_000

    async def work(pool: Pool) -> list[Transaction]:
        return [await pool.send(envelope(), body, Held()) for _ in range(3)]

    with tls_server(authority.server()) as server:
        found = with_pool(
            server.port, work, tls="required", ca_file=authority.ca_file,
            timeouts={"final": 10, "command": 10, "data": 10, "block": 10},
        )  # fmt: skip
        assert all(each.dot_sent for each in found)
        assert [each.data for each in server.messages] == [body] * 3
        assert server.connections == 1


def test_contexts_are_made_once() -> None:
    assert client_context() is client_context()
    assert client_context() is not client_context(False)
    assert client_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_files_that_are_no_certificates_are_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate")
    with pytest.raises(ConfigError, match="not usable as PEM"):
        client_context(True, str(wrong))
    with pytest.raises(ConfigError, match="not usable as PEM"):
        client_context(True, "", str(wrong))


def test_tls_1_2_is_the_least_whatever_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(*_: object, **__: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        return context

    monkeypatch.setattr(ssl, "create_default_context", lax)
    client_context.cache_clear()
    try:
        assert client_context().minimum_version == ssl.TLSVersion.TLSv1_2
        assert client_context(False).minimum_version == ssl.TLSVersion.TLSv1_2
    finally:
        client_context.cache_clear()


@pytest.mark.parametrize("mode", ["required", "opportunistic"])
def test_b16_an_injection_during_the_handshake_is_never_read(
    authority: Authority, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that come between STARTTLS's answer and the end of the handshake, in the clear."""
    secured: list[Wire] = []
    start_tls = asyncio.base_events.BaseEventLoop.start_tls

    async def injected(loop: Any, transport: Any, protocol: Any, *args: Any, **more: Any) -> Any:
        if isinstance(protocol, Wire):  # Ours; the server's end does the same.
            protocol.data_received(b"250-test\r\n250 AUTH PLAIN\r\n")
            secured.append(protocol)
        return await start_tls(loop, transport, protocol, *args, **more)

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "start_tls", injected)
    with tls_server(authority.server()) as server:
        found = send_once(server.port, tls=mode, ca_file=authority.ca_file)
        assert len(secured) == 1
        assert not secured[0]._buffer
        if mode == "required":
            assert (found.stage, found.trouble) == (Stage.TLS, "unexpected data")
            assert not mailed(server)
        else:
            assert found.protection == "TLS handshake broke, sent in plain text"


def test_421_to_starttls_is_not_a_reason_for_plain_text(authority: Authority) -> None:
    with tls_server(authority.server(), answers={"STARTTLS": "421 4.3.2 closing"}) as server:
        found = send_once(server.port, tls="opportunistic")
        assert found.trouble_reply is not None
        assert (found.trouble_reply.code, found.protection) == (421, "")
        assert not mailed(server)
        assert server.connections == 1
