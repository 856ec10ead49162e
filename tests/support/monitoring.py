"""A real Prometheus, Alertmanager and nginx with its exporter, with the files of `deploy/`.

The files are taken as they are shipped, but for what cannot hold on one machine: names in the DNS
become addresses, and the receiver's URL stands in the file itself, because the Alertmanager of
Debian 12 knows no `url_file`. Scrapes and evaluations come more often, so that a test need not wait
for them; how long an alert must hold is never shortened.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.supervisor.ports import reserve
from tests.support.rules import DEPLOY, read
from tests.support.system import poll

SCRAPE = "3s"
"""The exporter answers after `store.timeout_seconds` (1.5) when the store does not."""


def need(*tools: str) -> None:
    """Skip with a reason when a tool is missing; with CI=true that is a failure."""
    for tool in tools:
        if shutil.which(tool) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{tool} is not installed")
            pytest.skip(f"{tool} is not on PATH")


def ask(url: str, body: Any = None) -> Any:
    """What an HTTP API answers, as JSON where it is; None when it does not answer with 2xx."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - Loopback.
            text = response.read()
    except OSError:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


@contextmanager
def process(command: Sequence[str], log: Path, ready: str) -> Iterator[None]:
    """A server, from when `ready` answers to the end."""
    with log.open("ab") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out)
    try:

        def answers() -> bool:
            assert running.poll() is None, log.read_text()
            return ask(ready) is not None

        poll(answers, 30)
        yield
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait(20)


@contextmanager
def port() -> Iterator[int]:
    """A port of loopback, held until the end."""
    held = reserve("127.0.0.1")
    try:
        yield held.port
    finally:
        held.release()


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression, now."""
        found = ask(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert found is not None, f"not answered: {expression}"
        data = found["data"]
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        return list(data["result"])

    def values(self, expression: str) -> list[float]:
        """The values of an expression, now; NaN is none."""
        numbers = [float(each["value"][1]) for each in self.query(expression)]
        return [number for number in numbers if not isnan(number)]

    def names(self) -> set[str]:
        """Every name of a metric that it has."""
        return set(ask(f"{self.url}/api/v1/label/__name__/values")["data"])

    def health(self) -> dict[tuple[str, str], str]:
        """(job, address) -> up, down or unknown, of every target."""
        found = ask(f"{self.url}/api/v1/targets?state=active")["data"]["activeTargets"]
        return {
            (each["labels"]["job"], each["labels"]["instance"]): each["health"] for each in found
        }

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        found = ask(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


@contextmanager
def prometheus(
    directory: Path, targets: Mapping[str, Sequence[str]], alertmanager: str | None = None
) -> Iterator[Prometheus]:
    """Prometheus with the shipped configuration and rules; `targets` gives addresses by job."""
    need("prometheus")
    with port() as own:
        config = read(DEPLOY / "prometheus" / "prometheus.yml")
        config["global"] |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE}
        config["global"]["evaluation_interval"] = "1s"
        config["rule_files"] = [str(DEPLOY / "prometheus" / "rules" / "*.yml")]
        addresses = {**targets, "prometheus": [f"127.0.0.1:{own}"]}
        if alertmanager:
            addresses["alertmanager"] = [alertmanager]
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            job.pop("scrape_interval", None)
            job["static_configs"] = [{"targets": list(addresses.get(job["job_name"], ()))}]
        found = [alertmanager] if alertmanager else []
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": found}]}]
        path = directory / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        url = f"http://127.0.0.1:{own}"
        command = [
            "prometheus", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{own}",
            f"--storage.tsdb.path={directory / 'tsdb'}", "--log.level=warn",
        ]  # fmt: skip
        with process(command, directory / "prometheus.log", f"{url}/-/ready"):
            yield Prometheus(url)


class Webhook:
    """What takes notifications: each body as it came."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.url = ""

    def alerts(self, name: str, status: str) -> list[dict[str, Any]]:
        """The alerts of a name that came with a status: firing or resolved."""
        return [
            alert
            for body in list(self.bodies)
            for alert in body["alerts"]
            if (alert["labels"]["alertname"], alert["status"]) == (name, status)
        ]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A receiver on loopback."""
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            found.bodies.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not shown."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def alertmanager(directory: Path, receiver: str) -> Iterator[str]:
    """Alertmanager with the shipped routes and inhibitions; gives its address."""
    need("prometheus-alertmanager")
    config = read(DEPLOY / "alertmanager" / "alertmanager.yml")
    for each in config["receivers"]:
        for hook in each["webhook_configs"]:
            del hook["url_file"]
            hook["url"] = receiver
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    with port() as own:
        address = f"127.0.0.1:{own}"
        command = [
            "prometheus-alertmanager", f"--config.file={path}", f"--web.listen-address={address}",
            f"--storage.path={directory / 'alertmanager'}", "--cluster.listen-address=",
            "--log.level=warn",
        ]  # fmt: skip
        with process(command, directory / "alertmanager.log", f"http://{address}/-/ready"):
            yield address


@contextmanager
def nginx_exporter(directory: Path, page: str) -> Iterator[str]:
    """The exporter of an nginx whose stub_status is at `page`; gives its address."""
    need("prometheus-nginx-exporter")
    with port() as own:
        address = f"127.0.0.1:{own}"
        command = [
            "prometheus-nginx-exporter", f"-nginx.scrape-uri={page}",
            f"-web.listen-address={address}",
        ]  # fmt: skip
        with process(command, directory / "nginx-exporter.log", f"http://{address}/metrics"):
            yield address


@contextmanager
def nginx(directory: Path, web: str) -> Iterator[tuple[str, str]]:
    """nginx before `web` and its exporter: (where clients go, where Prometheus scrapes)."""
    need("nginx")
    with port() as front, port() as status:
        path = directory / "nginx.conf"
        path.write_text(f"""
daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass {web}; }} }}
  server {{ listen 127.0.0.1:{status}; location /stub_status {{ stub_status; }} }}
}}
""")
        page = f"http://127.0.0.1:{status}/stub_status"
        with (
            process(["nginx", "-c", str(path)], directory / "nginx.out", page),
            nginx_exporter(directory, page) as scraped,
        ):
            yield f"http://127.0.0.1:{front}", scraped
