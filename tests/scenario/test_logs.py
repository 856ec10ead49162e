"""What real processes write to their logs, given input that wants to get into them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.breaking import EVERYTHING, WAYS
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, message, poll, running

ADDRESS = "maria.secret@customer.example"
SUBJECT = "Pregnancy test result 4711"
FORGED = '{"timestamp":"2026-01-01T00:00:00.000Z","level":"critical","event":"forged"}'


def written(system: System, role: str) -> str:
    """All that the processes of a role wrote."""
    return "".join(path.read_text() for path in sorted((system.home / "log").glob(f"{role}-*.log")))


def lines(text: str) -> list[dict[str, Any]]:
    """Each line, which must be a JSON object with what each has."""
    found = []
    for line in text.splitlines():
        told = json.loads(line)
        assert list(told)[:2] == ["timestamp", "level"], line
        assert {"event", "logger"} <= set(told), line
        found.append(told)
    return found


def wait_line(system: System, role: str, wanted: Callable[[dict[str, Any]], bool]) -> Any:
    """The first line that is wanted, once it is there."""
    return poll(lambda: next(filter(wanted, lines(written(system, role))), None))


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"outage"}))
def test_what_breaks_is_told_without_what_it_had_in_hand(way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.breaking", way, ""],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == ""
    told = lines(done.stderr)
    assert told
    for secret in EVERYTHING:
        assert secret not in done.stderr
    if way != "records":
        broke = next(each for each in told if "exception" in each)
        assert any("explode" in place for each in broke["exception"] for place in each["at"])


def test_a_message_is_followed_by_its_ids_and_its_address_by_its_hash() -> None:
    server = SmtpServer(answers={"RCPT": ["450 4.2.1 busy"]})
    with running(server=server) as system:
        status, body, _ = system.ask(
            "POST", "/v1/messages",
            {"from": "orders@shop.test", "to": ADDRESS, "subject": SUBJECT, "text": "x"},
            headers={"X-Request-Id": "req-17"},
        )  # fmt: skip
        assert status == 202
        system.server.wait_for(1)
        request = wait_line(system, "web", lambda line: line.get("request_id") == "req-17")
        assert {name: request[name] for name in ("event", "method", "route", "status")} == {
            "event": "request", "method": "POST", "route": "/v1/messages", "status": 202,
        }  # fmt: skip
        assert request["message_id"] == body["id"]
        assert 0 < request["ms"] < 60_000
        attempt = wait_line(system, "worker", lambda line: line["event"] == "attempt")
        assert attempt["message_id"] == body["id"]
        assert attempt["leg"].startswith(body["id"].removeprefix("msg_"))
        assert attempt["request_id"] == "req-17"
        assert attempt["outcomes"] == {"deferred": 1}
        assert (attempt["code"], attempt["enhanced_code"]) == (450, "4.2.1")
        hashed = subprocess.run(
            [sys.executable, "-m", "shared.cli.main", "log-hash", ADDRESS.upper(),
             "--home", str(system.home)],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        assert attempt["recipients"] == [hashed]


def test_a_message_of_a_batch_leads_to_its_request_and_back() -> None:
    server = SmtpServer(answers={"RCPT": ["550 5.1.1 no such user"]})
    with running(server=server) as system:
        status, body, _ = system.ask(
            "POST", "/v1/messages/batch",
            {"messages": [message(), message(to="nobody"), message(to=ADDRESS)]},
            headers={"X-Request-Id": "nightly-4"},
        )  # fmt: skip
        assert status == 202
        request = wait_line(system, "web", lambda line: line.get("request_id") == "nightly-4")
        assert (request["accepted"], request["refused"]) == (2, 1)
        sent = {each["id"] for each in body["results"] if "id" in each}
        bounced = poll(
            lambda: {
                line["message_id"]
                for line in lines(written(system, "worker"))
                if (line["event"], line.get("request_id")) == ("attempt", "nightly-4")
            }
        )
        assert bounced <= sent
        shown = subprocess.run(
            [sys.executable, "-m", "shared.cli.main", "message", "show", bounced.pop(),
             "--home", str(system.home)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert "came with request nightly-4" in shown


HOSTILE = (
    f"550 5.1.1 <{ADDRESS}> maria.secret: '{SUBJECT}'\x1b[2J\x07 \xe2\x80\xae {FORGED}",
    f"550-{FORGED}\r\n550 {FORGED} Bearer abcdefgh",
    f"550 https://evil.test/?who={ADDRESS}&key=ph_0123456789abcdef_SSSSSSSS",
    f"450 4.0.0 {'x' * 3000} {ADDRESS}",
    "450 \xff\xfe\x00\x0b\x0c\x85",
)


def _raw(system: System, data: bytes) -> None:
    """Bytes to the API's listener, as they are."""
    parts = urlsplit(system.http)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_nothing_hostile_gets_into_the_logs() -> None:
    server = SmtpServer(answers={"RCPT": list(HOSTILE)})
    off = '[bounces]\nsuppress = "off"\n'  # Else what the first is told keeps the others away.
    settings = QUICK + '\n[log]\nlevel = "debug"\n' + off
    with running(server=server, settings=settings) as system:
        secrets = ["maria", "Pregnancy", "4711", "evil.test/?", "SSSSSSSS", "abcdefgh", "hunter2"]
        secrets += [system.key, system.key[-20:]]
        for _ in HOSTILE:
            system.send(to=ADDRESS, subject=SUBJECT, text="hunter2", html=f"<p>{SUBJECT}</p>")
        for body, path in (
            ({"from": "x", "to": ADDRESS, "subject": SUBJECT}, "/v1/messages"),
            ({"nonsense\n" + FORGED: ADDRESS}, "/v1/messages"),
            ([ADDRESS, SUBJECT], f"/v1/messages?to={ADDRESS}&key={system.key}"),
            ({"messages": [{"to": ADDRESS}]}, "/v1/messages/batch"),
            ({}, f"/v1/{ADDRESS}/{SUBJECT.replace(' ', '%20')}/%0a%0d{system.key}"),
        ):
            status, _, _ = system.ask("POST", path, body)
            assert status in (202, 400, 404, 422)
        for request_id in (system.key, ADDRESS, "a\tb", FORGED):
            _, _, headers = system.ask(
                "GET", f"/v1/messages/{ADDRESS}", headers={"X-Request-Id": request_id}
            )
            assert headers["x-request-id"] != request_id
        for data in (
            f"GET /{ADDRESS} HTTP/9.9\r\nAuthorization: Bearer {system.key}\r\n\r\n",
            f"MARIA\x1b[1m /{FORGED} HTTP/1.1\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: x\r\nBad Header {ADDRESS}: {system.key}\r\n\r\n",
            f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{ADDRESS}",
            f"{FORGED}\r\n{FORGED}\r\n\r\n",
        ):
            _raw(system, data.encode())
        poll(lambda: written(system, "worker").count('"event":"attempt"') >= len(HOSTILE))
        poll(lambda: written(system, "web").count('"event":"request_refused"') >= 3)
        text = "".join(written(system, role) for role in ("web", "worker"))
        told = lines(text)
        for secret in secrets:
            assert secret not in text, secret
        assert not any(unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") for each in
                       text.replace("\n", ""))  # fmt: skip
        assert not [line for line in told if line["event"] == "forged"]
        refused = [line for line in told if line["event"] == "request_refused"]
        assert not [line for line in refused if {"request_id", "application"} & set(line)]
        assert all(len(line.encode()) <= 4000 for line in text.splitlines())
        replies = [line["reply"] for line in told if line["event"] == "attempt"]
        assert any("[2J" in reply and "\\u202e" in reply for reply in replies), "not lost"
        routes = {line["route"] for line in told if line["event"] == "request"}
        assert routes <= {
            "/v1/messages", "/v1/messages/batch", "/v1/messages/<identifier>", "other", "/livez",
            "/readyz", "/metrics",
        }  # fmt: skip


def test_health_checks_and_delivered_mail_are_quiet() -> None:
    with running() as system:
        system.send()
        system.server.wait_for(1)
        status, _, _ = system.ask("GET", "/readyz")
        assert status == 200
        system.ask("GET", "/v1/nothing")
        wait_line(system, "web", lambda line: line.get("route") == "other")
        assert "/readyz" not in written(system, "web")
        assert '"event":"attempt"' not in written(system, "worker")
        assert "example.test" not in written(system, "worker")


def test_lines_of_gunicorn_itself_are_ours(tmp_path: Path) -> None:
    """Its arbiter cannot bind: told as JSON, with the address that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [
            sys.executable, "-P", "-m", "gunicorn", "-c", "python:web.gunicorn_conf",
            "web.wsgi:application",
        ]  # fmt: skip
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            env={"POSTHASTE_WEB_LISTEN": f"127.0.0.1:{port}", "PATH": "/usr/bin:/bin"},
        ) as process:  # fmt: skip
            assert process.stderr is not None
            first = json.loads(process.stderr.readline())
            process.kill()
        assert first["logger"] == "gunicorn.error"
        assert first["level"] == "error"
        assert str(port) in first["event"]


@pytest.mark.parametrize("role", ["web", "worker"])
@pytest.mark.parametrize("name", ["level", "format", "addresses"])
def test_a_wrong_setting_is_told(name: str, role: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", role], capture_output=True, text=True, timeout=60,
        env={f"POSTHASTE_LOG_{name.upper()}": "wrong", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 2
    assert f"log.{name} must be one of" in done.stderr


def test_a_hash_needs_a_key_that_all_have(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shared.cli.main", "log-hash", ADDRESS]
    plain = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=plain)
    assert done.returncode == 2
    assert "log.address_key_file" in done.stderr
    short = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path,
        env={**plain, "POSTHASTE_LOG_ADDRESS_KEY": "short"},
    )  # fmt: skip
    assert short.returncode == 2
    assert "16 characters" in short.stderr
    good = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path,
        env={**plain, "POSTHASTE_LOG_ADDRESS_KEY": "k" * 16},
    )  # fmt: skip
    assert good.returncode == 0
    assert good.stdout.startswith("addr:")
