"""`posthaste up`: refuses clearly, restarts what dies, resumes, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.supervisor.processes import started_at
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import System, poll, running

COMMAND = [sys.executable, "-m", "shared.cli.main"]


def posthaste(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=90, check=False
    )


def facts(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "up.json").read_text())
    return found


def all_pids(found: dict[str, Any]) -> list[int]:
    return [pid for group in found["pids"].values() for pid in group]


@pytest.mark.parametrize("flag", ["--http", "--operator", "--bounces", "--inbox", "--inbox-smtp"])
def test_a_busy_port_names_the_port_and_the_flag(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        free = [] if flag == "--http" else ["--http", "0"]
        found = posthaste("up", "--home", str(tmp_path), *free, flag, port, "--detach")
    assert found.returncode == 2
    assert port in found.stderr
    assert f"{flag} PORT" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "up.json").exists()


def test_a_wrong_setting_is_told(tmp_path: Path) -> None:
    (tmp_path / "posthaste.toml").write_text("[web]\nthreds = 3\n")
    found = posthaste("up", "--home", str(tmp_path), "--http", "0", "--detach")
    assert found.returncode == 2
    assert "web.threads" in found.stderr


def test_the_whole_life_of_an_installation() -> None:
    with installation("--inbox", "0", "--workers", "1", "--web", "1") as up:
        home = up["home"]
        assert set(up["pids"]) == {
            "supervisor", "redis", "inbox", "web", "bounces", "exporter", "worker",
        }  # fmt: skip
        assert (home / "up.json").stat().st_mode & 0o077 == 0
        assert all((home / each).stat().st_mode & 0o077 == 0 for each in ("key", "feedback-key"))
        again = posthaste("up", "--home", str(home), "--http", "0")
        assert again.returncode == 2
        assert "already runs" in again.stderr
        status = posthaste("status", "--home", str(home), "--json")
        assert status.returncode == 0
        assert all(row["up"] for row in json.loads(status.stdout)["processes"])
        created = posthaste("key", "create", "--app", "billing", "--home", str(home))
        assert created.returncode == 0
        assert created.stdout.startswith("ph_")
        assert len(created.stdout.split()) == 1
        listed = json.loads(posthaste("key", "list", "--json", "--home", str(home)).stdout)
        assert [row["app"] for row in listed] == ["default", "billing"]
        assert posthaste("key", "revoke", listed[1]["id"], "--home", str(home)).returncode == 0
        assert posthaste("key", "revoke", "nothing", "--home", str(home)).returncode == 2
        pids = all_pids(facts(home))
    assert not any(started_at(pid) for pid in pids)


@pytest.mark.parametrize("role", ["redis", "inbox", "web", "bounces", "exporter", "worker"])
def test_a_killed_process_is_replaced_once_all_of_it_is_gone(role: str) -> None:
    with installation("--inbox", "0", "--workers", "1", "--web", "1") as up:
        home = up["home"]
        (old,) = up["pids"][role]
        children = _children(old)
        os.kill(old, signal.SIGKILL)
        poll(lambda: facts(home)["pids"][role] not in ([], [old]))
        assert not any(started_at(pid) for pid in [old, *children])
        assert facts(home)["restarts"] >= 1
        log = (home / "log" / "up.log").read_text()
        assert f"{role}-1 (pid {old}) ended with signal 9; starting again in" in log


def _children(parent: int) -> list[int]:
    """The pids whose parent this is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def test_a_killed_supervisor_leaves_a_home_that_starts_again(tmp_path: Path) -> None:
    options = ("up", "--home", str(tmp_path), "--http", "0", "--workers", "1", "--detach")
    with SmtpServer(answers={"banner": "421 4.3.2 later"}) as server:
        relay = ("--smtp-relay", f"smtp://127.0.0.1:{server.port}")
        assert posthaste(*options, *relay).returncode == 0
        first = facts(tmp_path)
        system = System({**first, "home": tmp_path}, server)
        identifier = system.send()
        os.kill(first["pids"]["supervisor"][0], signal.SIGKILL)
        server.answers.clear()
        assert posthaste(*options, *relay).returncode == 0
        second = facts(tmp_path)
        try:
            assert not any(started_at(pid) for pid in all_pids(first))
            assert second["key"] == first["key"]
            resumed = System({**second, "home": tmp_path}, server)
            resumed.wait_status(identifier, "delivered")
        finally:
            assert posthaste("down", "--home", str(tmp_path)).returncode == 0
    assert posthaste("status", "--home", str(tmp_path)).returncode == 3
    assert posthaste("down", "--home", str(tmp_path)).returncode == 0


def test_a_stop_finishes_or_releases_what_is_in_flight() -> None:
    server = SmtpServer(answers={".": ["stall"]})
    with running(server=server) as system:
        identifier = system.send()
        server.wait_until(lambda: len(server.messages) == 1)
        old = system.kill("worker", signal.SIGTERM)
        server.release()
        system.wait_status(identifier, "delivered")
        system.wait_restarted("worker", old)
        assert system.ledger(identifier) == ["accepted", "attempt"]
        assert len(server.messages) == 1


def test_with_too_little_disk_queued_mail_still_goes(tmp_path: Path) -> None:
    options = ("up", "--home", str(tmp_path), "--http", "0", "--workers", "1", "--detach")
    with SmtpServer(answers={"banner": "421 4.3.2 later"}) as server:
        relay = ("--smtp-relay", f"smtp://127.0.0.1:{server.port}")
        assert posthaste(*options, *relay).returncode == 0
        identifier = System({**facts(tmp_path), "home": tmp_path}, server).send()
        assert posthaste("down", "--home", str(tmp_path)).returncode == 0
        server.answers.clear()
        reserve = "[store]\ndisk_reserve_bytes = 1000000000000000\n"
        (tmp_path / "posthaste.toml").write_text(reserve)
        assert posthaste(*options, *relay).returncode == 0
        try:
            system = System({**facts(tmp_path), "home": tmp_path}, server)
            assert system.ask("GET", "/readyz")[1]["reasons"] == ["store_disk"]
            system.wait_status(identifier, "delivered")
            assert system.ledger(identifier) == ["accepted", "attempt"]
        finally:
            assert posthaste("down", "--home", str(tmp_path)).returncode == 0


def test_commands_without_a_store_say_what_to_do(tmp_path: Path) -> None:
    found = posthaste("key", "list", "--home", str(tmp_path))
    assert found.returncode == 2
    assert "posthaste up" in found.stderr
    environment = {**os.environ, "POSTHASTE_STORE_REDIS_URL": "redis://127.0.0.1:1/0"}
    away = subprocess.run(
        [*COMMAND, "key", "list"], capture_output=True, text=True, check=False, env=environment
    )
    assert away.returncode == 2
    assert "store.redis_url" in away.stderr
    bad = posthaste("key", "create", "--app", "a", "--from", "not a domain")
    assert bad.returncode == 2
    assert "--from" in bad.stderr
