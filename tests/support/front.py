"""The load balancer of `deploy/nginx` before real web instances: the distribution's own nginx."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from shared.supervisor.ports import reserve
from tests.support.system import poll

SOURCES = Path(__file__).parents[2] / "deploy" / "nginx"


def need(*tools: str) -> None:
    """Skip with a reason when a tool is missing; with CI=true that is a failure."""
    for tool in tools:
        if shutil.which(tool) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{tool} is not installed")
            pytest.skip(f"{tool} is not on PATH")


class Front:
    """A running nginx."""

    def __init__(self, directory: Path, environment: dict[str, str], ports: list[int]) -> None:
        self.directory = directory
        self.http_port, self.port, self.status_port = ports
        self._environment = environment
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process of it, as its user; what it says stands in error.log."""
        with (self.directory / "error.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, cwd="/", **_unprivileged()
            )
        self._processes.append(process)
        return process

    def start(self) -> None:
        """Render, start nginx, and wait for it."""
        rendered = self.run(str(self.directory / "front.sh"), "render").wait(60)
        assert rendered == 0, self.error_log()
        self.serve()

    def serve(self) -> None:
        """Start nginx as it was rendered, and wait for it."""
        nginx = self.run("nginx", "-c", str(self.directory / "nginx.conf"))

        def listens() -> bool:
            assert nginx.poll() is None, self.error_log()
            return self.plain("/livez", self.status_port) == 200

        poll(listens, 20)

    def kill(self) -> None:
        """kill -9 of nginx, its workers too: they would serve on without their master."""
        master = int((self.directory / "nginx.pid").read_text())
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in (master, *map(int, children)):
            os.kill(pid, signal.SIGKILL)

    def plain(self, path: str, port: int) -> int:
        """The status of a GET in plain HTTP; 0 without an answer."""
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def stop(self) -> None:
        """End whatever runs."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts the certificate, and only that."""
        return ssl.create_default_context(
            cafile=str(self.directory / "state" / "tls" / "current.crt")
        )

    def connect(self, timeout: float = 20) -> HTTPSConnection:
        """A new connection of a client that verifies the certificate."""
        return HTTPSConnection("localhost", self.port, timeout=timeout, context=self.tls())

    def access_log(self) -> str:
        """What it has logged of requests."""
        return (self.directory / "access.log").read_text()

    def error_log(self) -> str:
        """What it has said otherwise."""
        return (self.directory / "error.log").read_text()


def _unprivileged() -> dict[str, Any]:
    """How to become another user than root, which the load balancer does not need to be."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


@contextmanager
def front(web: str, **settings: str) -> Iterator[Front]:
    """The load balancer before `web` (host:port, separated by spaces), on free ports."""
    need("nginx", "openssl", "getent")
    with tempfile.TemporaryDirectory(prefix="ph-front-") as name, ExitStack() as stack:
        directory = Path(name)
        for source in ("front.sh", "nginx.conf.in"):
            shutil.copy(SOURCES / source, directory)
        if os.getuid() == 0:
            shutil.chown(directory, "nobody", "nogroup")
        held = [reserve("127.0.0.1") for _ in range(3)]
        for each in held:
            stack.callback(each.release)
        at = [f"127.0.0.1:{each.port}" for each in held]
        environment = os.environ | {
            "FRONT_DIR": name, "NGINX_STATE_DIR": f"{name}/state", "NGINX_WEB": web,
            "NGINX_LISTEN_HTTP": at[0], "NGINX_LISTEN_HTTPS": at[1], "NGINX_LISTEN_STATUS": at[2],
            "NGINX_HTTPS_PORT": str(held[1].port), "NGINX_ACCESS_LOG": f"{name}/access.log",
            "NGINX_PROCESSES": "2", "NGINX_CERTIFICATE_DIR": f"{name}/own", **settings,
        }  # fmt: skip
        running = Front(directory, environment, [each.port for each in held])
        stack.callback(running.stop)
        running.start()
        yield running
