"""All parts of docker-compose.yml from Debian's packages, each a process of its own.

Two web, three workers, the exporter, the inbox, Redis, nginx with TLS, Prometheus and Alertmanager;
the client is the one of deploy/smoke.sh. One of each is killed under load and nothing is lost;
then all of a kind stay away, and the alert that says so reaches somebody.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.front import Front, front
from tests.support.monitoring import (
    Prometheus,
    Webhook,
    alertmanager,
    ask,
    need,
    nginx_exporter,
    prometheus,
    webhook,
)
from tests.support.redis_server import RedisServer
from tests.support.roles import Role, key_for
from tests.support.rules import DEPLOY
from tests.support.system import poll

REPLICAS = {"inbox": 1, "web": 2, "worker": 3, "exporter": 1}


@dataclass
class Place:
    """What runs."""

    directory: Path
    store: RedisServer
    roles: dict[str, list[Role]]
    balancer: Front
    prometheus: Prometheus
    manager: str
    hook: Webhook
    key: str


@contextmanager
def everything(directory: Path) -> Iterator[Place]:
    need("redis-server", "nginx", "prometheus", "prometheus-alertmanager")
    with ExitStack() as stack:
        store = RedisServer(binary=Path(shutil.which("redis-server") or "")).start()
        stack.callback(store.stop)
        roles: dict[str, list[Role]] = {}
        settings = {
            "POSTHASTE_WEB_PROCESSES": "1", "POSTHASTE_INBOX_DIRECTORY": str(directory / "inbox"),
            "POSTHASTE_RELAY_TLS": "none",
        }  # fmt: skip
        for name, count in REPLICAS.items():
            if name == "worker":
                settings["POSTHASTE_RELAY_URL"] = f"smtp://127.0.0.1:{roles['inbox'][0].ports[1]}"
            for number in range(count):
                log = directory / f"{name}{number}.log"
                role = Role(name, store.url, log, **settings)
                stack.callback(role.release)
                role.start()
                roles.setdefault(name, []).append(role)
        at = " ".join(f"127.0.0.1:{each.port}" for each in roles["web"])
        balancer = stack.enter_context(front(at))
        page = f"http://127.0.0.1:{balancer.status_port}/stub_status"
        scraped = stack.enter_context(nginx_exporter(directory, page))
        hook = stack.enter_context(webhook())
        manager = stack.enter_context(alertmanager(directory, hook.url))
        targets = {
            "posthaste-web": [f"127.0.0.1:{each.ports[1]}" for each in roles["web"]],
            "posthaste-worker": [f"127.0.0.1:{each.port}" for each in roles["worker"]],
            "posthaste-exporter": [f"127.0.0.1:{each.port}" for each in roles["exporter"]],
            "nginx": [scraped],
        }
        found = stack.enter_context(prometheus(directory, targets, manager))
        yield Place(directory, store, roles, balancer, found, manager, hook, key_for(store.url))


class Client:
    """deploy/smoke_load.py at work, until told to stop."""

    def __init__(self, place: Place) -> None:
        self._stop = place.directory / "stop"
        self._stop.unlink(missing_ok=True)
        ca = place.balancer.directory / "state" / "tls" / "current.crt"
        self._process = subprocess.Popen(
            [sys.executable, str(DEPLOY / "smoke_load.py"),
             f"https://localhost:{place.balancer.port}", "--ca", str(ca), "--until",
             str(self._stop), "--least", "20", "--seconds", "400", "--delivered-in", "60",
             "--patience", "300"],
            env=os.environ | {"POSTHASTE_SMOKE_KEY": place.key},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def figures(self) -> dict[str, int]:
        """Stop, wait until all that was accepted is delivered; what the client has counted."""
        self._stop.touch()
        out, _ = self._process.communicate(timeout=120)
        found = {name: int(value) for name, value in (each.split("=") for each in out.split()[:5])}
        assert self._process.returncode == 0, out
        return found


def accepted(place: Place) -> float:
    (found,) = place.prometheus.values("sum(posthaste_recipients_accepted_total)") or [0.0]
    return found


def wait_accepted(place: Place, more: int) -> None:
    """Wait until that many more were accepted, as Prometheus has it."""
    enough = accepted(place) + more
    poll(lambda: accepted(place) >= enough, 60)


def kill_and_start_one_of_each(place: Place) -> None:
    """kill -9, then what a restart policy does."""
    for name in ("worker", "web"):
        wait_accepted(place, 20)
        place.roles[name][0].stop(signal.SIGKILL)
        place.roles[name][0].start()
    wait_accepted(place, 20)
    place.store.kill()
    place.store.start()
    wait_accepted(place, 20)


@pytest.mark.long
@pytest.mark.timeout(500)
def test_kills_lose_nothing_and_what_stays_away_wakes_somebody(tmp_path: Path) -> None:
    with everything(tmp_path) as place:
        poll(lambda: set(place.prometheus.health().values()) == {"up"}, 60)
        jobs = [job for job, _ in place.prometheus.health()]
        assert {each: jobs.count(each) for each in jobs} == {
            "posthaste-web": 2, "posthaste-worker": 3, "posthaste-exporter": 1, "nginx": 1,
            "prometheus": 1, "alertmanager": 1,
        }  # fmt: skip
        with Client(place) as client:
            kill_and_start_one_of_each(place)
            figures = client.figures()
        assert figures["lost"] == figures["unanswered"] == 0
        assert figures["delivered"] == figures["accepted"] >= 80
        inbox = (
            f"http://127.0.0.1:{place.roles['inbox'][0].port}/api/messages?to=inbox@example.test"
        )
        assert ask(inbox)["messages"][0]["subject"].startswith("smoke ")
        with Client(place) as client:
            all_stay_away(place)
            figures = client.figures()
        assert figures["lost"] == figures["unanswered"] == 0


def all_stay_away(place: Place) -> None:
    """What was accepted is delivered when they are back, and what was not is accepted then."""
    wait_accepted(place, 20)
    away = [*place.roles["worker"], *place.roles["web"]]
    for each in away:
        each.stop(signal.SIGKILL)
    connection = place.balancer.connect()
    connection.request("GET", "/v1/messages/none")
    response = connection.getresponse()
    assert response.status == 502
    assert json.loads(response.read())["status"] == 502
    connection.close()
    place.balancer.kill()
    poll(lambda: place.hook.alerts("NoWorkers", "firing"), 150)
    poll(lambda: active(place) >= {"WebDown", "NginxDown"}, 150)
    for each in away:
        each.start()
    place.balancer.serve()
    poll(lambda: not {"NoWorkers", "WebDown", "NginxDown"} & place.prometheus.firing(), 60)
    wait_accepted(place, 20)


def active(place: Place) -> set[str]:
    """The alerts that Alertmanager has."""
    found = ask(f"http://{place.manager}/api/v2/alerts?active=true")
    return {each["labels"]["alertname"] for each in found}
