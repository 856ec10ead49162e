"""The roles as the pods of deploy/k8s/trial run them: their settings, probes, metrics and stops."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubernetes import containers, named, of_kind, pods
from tests.support.redis_server import RedisServer
from tests.support.system import poll

ROLES = (
    "posthaste-inbox", "posthaste-web", "posthaste-worker", "posthaste-bounces",
    "posthaste-exporter",
)  # fmt: skip
POSTHASTE = Path(sys.executable).with_name("posthaste")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """One process for each pod, with the pod's arguments, variables and settings."""

    def __init__(self, directory: Path, store_url: str) -> None:
        self.templates = {name: each for name, each in pods("trial") if name in ROLES}
        wanted = {
            each["containerPort"]
            for template in self.templates.values()
            for each in containers(template)[0]["ports"]
        }
        self.ports = dict(zip(sorted(wanted), _free_ports(len(wanted)), strict=True))
        self._settings = directory / "posthaste.toml"
        self._settings.write_text(self._moved(directory), "utf-8")
        self._store_url = store_url
        self.log = directory / "log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _moved(self, directory: Path) -> str:
        """The ConfigMap's settings, at free ports of this host; nothing else is changed."""
        text: str = named("trial", "ConfigMap", "posthaste-settings")["data"]["posthaste.toml"]
        text = text.replace("posthaste-inbox:2525", f"127.0.0.1:{self.ports[2525]}")
        text = text.replace('"/tmp/inbox"', f'"{directory / "inbox"}"')
        return re.sub(r"0\.0\.0\.0:(\d+)", lambda m: f"127.0.0.1:{self.ports[int(m[1])]}", text)

    def environment(self, name: str) -> dict[str, str]:
        """The pod's variables and no other of ours."""
        values = {
            "POSTHASTE_CONFIG": str(self._settings),
            "POSTHASTE_STORE_REDIS_URL": self._store_url,
        }
        given = [each["name"] for each in containers(self.templates[name])[0]["env"]]
        return {"PATH": os.environ["PATH"]} | {each: values[each] for each in given}

    def start(self, name: str) -> None:
        """Run its container's command."""
        (container,) = containers(self.templates[name])
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(POSTHASTE), *container["args"]],
                env=self.environment(name), stdout=log, stderr=log,
            )  # fmt: skip

    def get(self, port: int, path: str) -> tuple[int, bytes]:
        """What a pod answers at one of its ports."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def passes(self, name: str, kind: str) -> bool:
        """Whether a probe succeeds now, as the kubelet would see it."""
        (container,) = containers(self.templates[name])
        numbers = {each["name"]: each["containerPort"] for each in container["ports"]}
        probe = container[kind]
        try:
            if "httpGet" in probe:
                asked = probe["httpGet"]
                return 200 <= self.get(numbers[asked["port"]], asked["path"])[0] < 400
            port = self.ports[numbers[probe["tcpSocket"]["port"]]]
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """End what still runs."""
        for each in self.processes.values():
            if each.poll() is None:
                each.kill()
            each.wait(10)


@contextmanager
def _cluster(directory: Path, store_url: str) -> Iterator[Cluster]:
    cluster = Cluster(directory, store_url)
    try:
        for name in ROLES:
            cluster.start(name)
        for name in ROLES:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                poll(partial(cluster.passes, name, kind), 30)
        yield cluster
    finally:
        cluster.stop()


def _key(cluster: Cluster) -> str:
    made = subprocess.run(
        [str(POSTHASTE), "key", "create", "--app", "trial"],
        env=cluster.environment("posthaste-web"),
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return made.stdout.strip()


def _call(cluster: Cluster, key: str, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.ports[8025], timeout=10)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _grace(cluster: Cluster, name: str) -> int:
    seconds: int = cluster.templates[name]["spec"]["terminationGracePeriodSeconds"]
    return seconds


@pytest.mark.timeout(180)
def test_pods_start_pass_their_probes_deliver_and_stop(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    with _cluster(tmp_path, own_redis_server.url) as cluster:
        key = _key(cluster)
        sent = _call(cluster, key, "POST", "/v1/messages", {
            "from": "shop@shop.test", "to": "you@example.test", "subject": "Hello", "text": "Hi.",
        })  # fmt: skip
        path = f"/v1/messages/{sent['id']}"
        poll(lambda: _call(cluster, key, "GET", path)["recipients"][0]["status"] == "delivered")
        pages = {}
        for monitor in of_kind("production", "PodMonitor"):
            name = monitor["metadata"]["name"]
            (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
            (port,) = [
                each["containerPort"]
                for each in containers(cluster.templates[name])[0]["ports"]
                if each["name"] == endpoint["port"]
            ]
            status, page = cluster.get(port, endpoint["path"])
            assert status == 200, name
            pages[name] = page.decode()
        # What production/scaling.yaml asks for is there.
        scaling = json.dumps(named("production", "ScaledObject", "posthaste-worker"))
        asked = set(re.findall(r"posthaste_\w+", scaling)) - {"posthaste_destination_paused"}
        assert len(asked) == 5
        told = pages["posthaste-worker"] + pages["posthaste-exporter"]
        assert all(f"\n{each}" in told for each in asked - {"posthaste_destination_ready_legs"})
        assert "# TYPE posthaste_destination_ready_legs gauge" in told
        assert "# TYPE posthaste_destination_paused gauge" in told

        _stops(cluster)


def _stops(cluster: Cluster) -> None:
    """SIGTERM, as the kubelet sends it: not ready first, and gone within the grace period."""
    web = cluster.processes["posthaste-web"]
    began = time.monotonic()
    web.send_signal(signal.SIGTERM)
    poll(lambda: not cluster.passes("posthaste-web", "readinessProbe"), 3)
    assert json.loads(cluster.get(8026, "/readyz")[1])["reasons"] == ["stopping"]
    assert cluster.passes("posthaste-web", "livenessProbe")  # It serves while it drains.
    assert cluster.get(8025, "/v1/messages/none")[0] == 401
    assert web.wait(_grace(cluster, "posthaste-web")) == 0
    assert time.monotonic() - began >= 5
    for name in ("posthaste-worker", "posthaste-exporter", "posthaste-inbox"):
        cluster.processes[name].send_signal(signal.SIGTERM)
        assert cluster.processes[name].wait(_grace(cluster, name)) == 0, name
