"""`posthaste up` under trouble of its own: no disk, no terminal, a strange directory, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.supervisor.home import Home
from shared.supervisor.plan import Options, Plan, make
from shared.supervisor.processes import started_at
from tests.support.installation import installation
from tests.support.system import poll

COMMAND = [sys.executable, "-P", "-m", "shared.cli.main"]
SMALL = ("--http", "0", "--workers", "1", "--web", "1")


def posthaste(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=90, check=False, cwd=cwd
    )


def planned(home: Home) -> Plan:
    """What would run, with free ports."""
    plan = make(home, Options(http=0), str(home.directory / "s"))
    plan.release()
    return plan


def facts(home: Path) -> dict[str, Any]:
    """up.json, empty while there is none."""
    return Home(home).read_up()


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "posthaste.toml").write_text("[web]\nthreads = -1\n")
    found = posthaste("up", "--home", str(tmp_path), *SMALL, "--detach")
    assert found.returncode == 2
    assert "web-1 ended with" in found.stderr
    assert "  | " in found.stderr
    assert posthaste("status", "--home", str(tmp_path)).returncode == 3


def test_a_wrong_relay_ends_the_start(tmp_path: Path) -> None:
    found = posthaste("up", "--home", str(tmp_path), *SMALL, "--smtp-relay", "bogus", "--detach")
    assert found.returncode == 2
    assert "url must be smtp://" in found.stderr
    assert posthaste("status", "--home", str(tmp_path)).returncode == 3


def test_packages_of_the_current_directory_are_not_ours(tmp_path: Path) -> None:
    for name in ("web", "workers", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not this one')\n")
    try:
        found = posthaste("up", *SMALL, "--detach", cwd=tmp_path)
        assert found.returncode == 0, found.stderr
    finally:
        assert posthaste("down", cwd=tmp_path).returncode == 0


def test_up_outlives_whoever_read_its_output(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "up", "--home", str(tmp_path), *SMALL], stdout=write, stderr=subprocess.DEVNULL
    )
    os.close(write)
    try:
        poll(lambda: facts(tmp_path).get("ready"), 60)
        os.close(read)
        (old,) = facts(tmp_path)["pids"]["worker"]
        os.kill(old, signal.SIGKILL)
        poll(lambda: facts(tmp_path)["pids"]["worker"] not in ([], [old]))
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(60)


def test_up_outlives_a_record_that_cannot_be_written() -> None:
    with installation("--workers", "1", "--web", "1") as up:
        home: Path = up["home"]
        (old,) = up["pids"]["worker"]
        kept = (home / "up.json").read_text()
        (home / "up.json").unlink()
        (home / "up.json").mkdir()  # As on a full disk, the replacement is refused.
        try:
            os.kill(old, signal.SIGKILL)
            poll(lambda: "runs again" in (home / "log" / "up.log").read_text())
            assert started_at(up["pids"]["supervisor"][0])
        finally:
            (home / "up.json").rmdir()
            if not facts(home):
                Home(home).write_private(home / "up.json", kept)
        poll(lambda: facts(home)["pids"]["worker"] not in ([], [old]))


def test_status_tells_of_a_process_that_waits_for_its_next_start() -> None:
    with installation("--workers", "1", "--web", "1") as up:
        home: Path = up["home"]
        (home / "posthaste.toml").write_text("[nothing]\n")  # From now on a role cannot start.
        os.kill(up["pids"]["worker"][0], signal.SIGKILL)
        poll(lambda: facts(home)["restarts"] >= 3)
        poll(lambda: not facts(home)["pids"]["worker"])
        status = posthaste("status", "--home", str(home), "--json")
        assert status.returncode == 1
        rows = {row["role"]: row for row in json.loads(status.stdout)["processes"]}
        assert not rows["worker"]["up"]
        assert rows["worker"]["restarts"] >= 3
        assert rows["redis"] == {**rows["redis"], "up": True, "restarts": 0}


def test_down_ends_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    assert posthaste("up", "--home", str(tmp_path), *SMALL, "--detach").returncode == 0
    before = facts(tmp_path)
    os.kill(before["pids"]["supervisor"][0], signal.SIGKILL)
    poll(lambda: not started_at(before["pids"]["supervisor"][0]))
    assert posthaste("down", "--home", str(tmp_path)).returncode == 0
    assert not any(started_at(pid) for pids in before["pids"].values() for pid in pids)
    again = posthaste("down", "--home", str(tmp_path))
    assert (again.returncode, "nothing runs" in again.stdout) == (0, True)


def test_a_relay_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.prepare()
    inbox = planned(home)
    assert inbox.environment["POSTHASTE_RELAY_URL"] == inbox.inbox_smtp
    monkeypatch.setenv("POSTHASTE_RELAY_URL", "smtp://relay.example:587")
    assert "POSTHASTE_RELAY_URL" not in planned(home).environment


def test_the_store_is_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    planned(home)
    lines = (home.redis / "server.conf").read_text().splitlines()
    (most,) = [int(line.split()[1]) for line in lines if line.startswith("maxmemory ")]
    assert most > 64 * 1024 * 1024
