"""Every command of a runbook that only looks or cannot hurt, run against a troubled system."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import coming_back
from tests.support.monitoring import alertmanager, need, nginx, prometheus, webhook
from tests.support.rules import RUNBOOKS, alerts, filled, metrics_in
from tests.support.runbooks import Shell, blocks
from tests.support.smtp_server import Captured
from tests.support.system import QUICK, System, poll, running

PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
HELD = {"UncertainHeld"}
"""Pages whose ID is that of held mail; elsewhere it is a dead letter's."""


@dataclass
class Place:
    """A shell, and the ids that pages speak of."""

    shell: Shell
    dead: str
    held: str


def settings_with_a_limit(directory: Path) -> str:
    """Deferred mail stays deferred; the relay has a limit of a day, the exporter a certificate."""
    shaping = directory / "shaping.toml"
    shaping.write_text("[relay.relay]\nper_day = 1000000\n")
    quick = QUICK.replace("[0.3]", "[600]")
    certificates = f"\n[exporter]\ncertificates = ['{__file__}']\n"
    return f"shaping_file = '{shaping}'\n{quick}{certificates}{coming_back.SETTINGS}"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A system with a dead letter, held and deferred mail, and a Prometheus that has seen it."""
    need("prometheus", "promtool", "redis-cli", "curl", "nginx", "prometheus-nginx-exporter")
    with (
        tempfile.TemporaryDirectory(prefix="ph-runbooks-") as directory,
        running(
            "--workers", "1", "--bounces", "0", settings=settings_with_a_limit(Path(directory))
        ) as system,
        nginx(Path(directory), system.http) as (_, nginx_exporter),
        webhook() as hook,
        alertmanager(Path(directory), hook.url) as manager,
        prometheus(
            Path(directory),
            {
                "posthaste-web": [system.operator.removeprefix("http://")],
                "posthaste-worker": [each.removeprefix("http://") for each in system.workers],
                "posthaste-bounces": [system.facts()["bounces_operator"].removeprefix("http://")],
                "posthaste-exporter": [system.exporter.removeprefix("http://")],
                "nginx": [nginx_exporter],
            },
            manager,
        ) as found,
    ):
        dead, held = troubles(system)
        coming_back.everything_comes_back(system, 0)
        shell = Shell(system.home, system.redis_url, found.url, system.http)
        needed = set().union(
            *(metrics_in(filled(rule["expr"], "1m")) for rule in alerts().values())
        )

        def all_seen() -> bool:
            """A rate is one of mail between two scrapes: what was sent before the first is none."""
            system.wait_status(system.send(**{"class": "critical"}), "delivered")
            return needed <= found.names()

        poll(all_seen, 90)
        poll(lambda: found.values("class:posthaste_first_attempts_late:ratio_rate1h"), 90)
        yield Place(shell, dead, held)


def troubles(system: System) -> tuple[str, str]:
    """A dead letter and held mail; deferred and delivered mail beside them."""

    def kill(captured: Captured) -> None:
        if captured.header("Subject") == "poison":
            for pid in system.pids("worker"):
                os.kill(pid, signal.SIGKILL)

    system.server.on_message = kill
    dead = system.send(subject="poison")
    system.wait_status(dead, "dead", 60)
    system.server.on_message = None
    system.server.answers["."] = ["drop"]
    held = system.send(on_uncertain="hold")
    system.wait_status(held, "uncertain")
    for reply, status in (("452 4.2.2 full", "deferred"), ("550 5.1.1 unknown", "bounced")):
        system.server.answers["RCPT"] = [reply]
        system.wait_status(system.send(to=f"{status}@example.test"), status)
    for _ in range(3):
        system.wait_status(system.send(**{"class": "critical"}), "delivered")
    return dead, held


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_commands_of_a_runbook_work(place: Place, path: Path) -> None:
    for commands in blocks(path):
        identifier = place.held if path.stem in HELD else place.dead
        done = place.shell.run(commands, identifier)
        told = f"{commands}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, told
        silent = "logs " in commands or "# Nothing: " in commands
        assert done.stdout.strip() or silent, told
        assert "Traceback" not in done.stderr, told
        assert "command not found" not in done.stderr, told


def test_a_wrong_command_would_be_noticed(place: Place) -> None:
    for commands in (
        "ask 'posthaste_no_such_metric'",
        "ask 'max by ('",
        "posthaste dead list --cause nothing",
        "no_such_command",
    ):
        assert place.shell.run(commands, place.dead).returncode != 0
    assert place.shell.run("ask 'up == 7'   # Nothing: well.\necho on", "").stdout == "on\n"
