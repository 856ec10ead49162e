"""Relays and keys are read again on SIGHUP: no stop, no lost mail, and no harm by a wrong file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.dkim import to_pem
from tests.support.certificates import Authority
from tests.support.dkim_keys import ed25519_key, verifies
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, poll


def relay(server: SmtpServer, more: str = "") -> str:
    return f'[[relay]]\nhost = "127.0.0.1"\nport = {server.port}\ntls = "none"\n{more}'


@contextmanager
def started(server: SmtpServer, settings: str) -> Iterator[System]:
    with installation("--web", "1", "--workers", "1", settings=QUICK + settings) as facts:
        yield System(facts, server)


def reload(system: System, settings: str) -> subprocess.CompletedProcess[str]:
    (system.home / "posthaste.toml").write_text(QUICK + settings)
    return subprocess.run(
        [sys.executable, "-P", "-m", "shared.cli.main", "reload", "--home", str(system.home)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def log(system: System) -> str:
    return (system.home / "log" / "worker-1.log").read_text()


def test_a_changed_relay_takes_the_mail_from_then_on(tmp_path: Path) -> None:
    key = ed25519_key()
    path = tmp_path / "key.pem"
    path.write_bytes(to_pem(key.private))
    signing = f'[[dkim]]\ndomain = "shop.test"\nselector = "e1"\nkey_file = "{path}"\n'
    with SmtpServer() as first, SmtpServer() as second, started(first, relay(first)) as system:
        workers = system.pids("worker")
        system.wait_status(system.send(), "delivered")
        assert reload(system, relay(second) + signing).returncode == 0
        poll(lambda: log(system).count("settings_reloaded") == 1)
        poll(lambda: "QUIT" in first.commands)
        for _ in range(3):
            system.wait_status(system.send(), "delivered")
        assert len(first.answered()) == 1
        assert len(second.answered()) == 3
        assert verifies(second.answered()[0].data, key) == [True]
        assert system.pids("worker") == workers
        assert "settings_wait_for_restart" not in log(system)
        more = "[dns]\nport = 5353\n[direct]\nmta_sts = false\n"
        assert reload(system, relay(second) + signing + more).returncode == 0
        poll(lambda: '"changed":["dns","direct.mta_sts"]' in log(system))


def test_a_wrong_file_changes_nothing() -> None:
    with SmtpServer() as server, started(server, relay(server)) as system:
        found = reload(system, relay(server, 'ehlo_name = "a b"\n'))
        assert found.returncode == 2
        assert "ehlo_name must be a host name" in found.stderr
        assert "Traceback" not in found.stderr
        system.kill("supervisor", 1)  # SIGHUP from somebody who did not check first.
        system.kill("worker", 1)
        poll(lambda: "settings_not_reloaded" in log(system))
        system.wait_status(system.send(), "delivered")


def test_mail_for_a_relay_that_went_takes_the_one_that_is_there() -> None:
    with SmtpServer() as server, SmtpServer() as away:
        old = relay(away, 'name = "old"\n')
        new = relay(server, 'name = "new"\n')
        away.answers["banner"] = "421 4.3.2 not now"
        with started(away, old) as system:
            identifiers = [system.send() for _ in range(5)]
            poll(lambda: away.connections > 1)
            assert reload(system, new).returncode == 0
            for identifier in identifiers:
                system.wait_status(identifier, "delivered", 60)
            assert len(server.answered()) == 5
            system.reconcile()


def test_without_a_running_installation(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-P", "-m", "shared.cli.main", "reload", "--home", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert found.returncode == 2
    assert "posthaste up" in found.stderr


@pytest.mark.parametrize("trusted", [True, False])
def test_b15_b17_mail_waits_until_the_relay_can_be_trusted(tmp_path: Path, trusted: bool) -> None:
    authority = Authority(tmp_path)
    server = SmtpServer(
        context=authority.server(),
        answers={"EHLO": "250-t\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 STARTTLS"},
        users={"shop": "secret"},
    )
    (tmp_path / "password").write_text("secret\n")
    with server:
        secure = (
            f'[[relay]]\nhost = "localhost"\nport = {server.port}\ntls = "required"\n'
            f'user = "shop"\npassword_file = "{tmp_path}/password"\n'
        )
        known = secure + f'ca_file = "{authority.ca_file}"\n'
        with started(server, known if trusted else secure) as system:
            identifier = system.send()
            if not trusted:
                poll(lambda: "certificate not valid for this relay" in log(system))
                assert "AUTH" not in " ".join(server.commands)
                assert system.recipients(identifier)[0]["status"] == "queued"
                assert reload(system, known).returncode == 0
            system.wait_status(identifier, "delivered")
            assert server.signed_in[0] == "PLAIN shop"
            assert "secret" not in log(system)


def test_a_relays_rate_holds_and_a_reload_changes_it() -> None:
    times: list[float] = []
    server = SmtpServer(on_message=lambda captured: times.append(time.monotonic()))
    with server, started(server, relay(server, "rate = 2.0\n")) as system:
        began = time.monotonic()
        for identifier in [system.send() for _ in range(5)]:
            system.wait_status(identifier, "delivered")
        # Two a second after the first; a permit may come half an interval early. The first message
        # may arrive late where the machine is busy, but never before it was sent.
        assert times[-1] - began >= 1.7
        assert reload(system, relay(server)).returncode == 0
        poll(lambda: "settings_reloaded" in log(system))
        for identifier in [system.send() for _ in range(40)]:
            system.wait_status(identifier, "delivered")
        assert times[-1] - times[5] < 15


def test_b17_signing_in_without_tls_is_visible() -> None:
    offered = "250-t\r\n250 AUTH PLAIN"
    with SmtpServer(answers={"EHLO": offered}, users={"shop": "secret"}) as server:
        text = relay(server, 'user = "shop"\npassword = "secret"\ninsecure_auth = true\n')
        with started(server, text) as system:
            system.wait_status(system.send(), "delivered")
            assert "relay_signs_in_without_verified_tls" in log(system)
            assert "secret" not in log(system)
