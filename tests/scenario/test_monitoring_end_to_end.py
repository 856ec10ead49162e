"""Mail of every outcome under a real Prometheus: each metric exists and each panel shows something.

A store that is killed for good wakes somebody, through Alertmanager; so does its return.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.support import coming_back
from tests.support.certificates import Authority
from tests.support.dns_server import DnsServer
from tests.support.monitoring import (
    Prometheus,
    Webhook,
    alertmanager,
    ask,
    need,
    nginx,
    prometheus,
    webhook,
)
from tests.support.rules import alerts, filled, metrics_in, queries, recorded
from tests.support.smtp_server import Captured, SmtpServer
from tests.support.system import QUICK, System, message, poll, running

WINDOW = "20s"
"""Grafana's interval: long enough for two samples on a slow machine."""
CLASSES = ("critical", "transactional", "bulk")


def address(url: str) -> str:
    return url.removeprefix("http://")


@dataclass
class Watched:
    """A system with everything that watches it."""

    system: System
    prometheus: Prometheus
    hook: Webhook


@contextmanager
def watched(directory: Path, dns: DnsServer) -> Iterator[Watched]:
    """A system that sends over TLS and has a limit and a direct route, and what scrapes it and
    tells."""
    need("prometheus", "prometheus-alertmanager", "nginx", "prometheus-nginx-exporter")
    authority = Authority(directory)
    chain, _ = authority.files("api.test")
    shaping = directory / "shaping.toml"
    shaping.write_text("[relay.relay]\nper_day = 1000000\n")
    settings = (
        f"shaping_file = '{shaping}'\n"
        f"[dns]\nservers = ['127.0.0.1']\nport = {dns.port}\n"
        "[[route]]\nname = 'straight'\ndirect = true\nrecipient_domains = ['*.nowhere.test']\n"
        f"{QUICK}\n[[relay]]\nca_file = '{authority.ca_file}'\n"
        f"max_age_seconds = 5.0\nrate = 200\n[exporter]\ncertificates = ['{chain}']\n"
        f"{coming_back.SETTINGS}suppress = 'off'\n"  # Addresses bounce and are delivered to.
    )
    server = SmtpServer(context=authority.server())
    server.answers["EHLO"] = "250-test.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME"
    with (
        running("--workers", "2", "--bounces", "0", server=server, settings=settings) as system,
        nginx(directory, system.http) as (front, nginx_exporter),
        webhook() as hook,
        alertmanager(directory, hook.url) as manager,
        prometheus(
            directory,
            {
                "posthaste-web": [address(system.operator)],
                "posthaste-worker": [address(each) for each in system.workers],
                "posthaste-bounces": [address(system.facts()["bounces_operator"])],
                "posthaste-exporter": [address(system.exporter)],
                "nginx": [nginx_exporter],
            },
            manager,
        ) as found,
    ):
        system.http = front
        yield Watched(system, found, hook)


def send_of_all_kinds(system: System, stop: threading.Event) -> None:
    """Mail of each class and outcome, and requests that are refused, until told to stop."""
    names = count()
    while not stop.wait(0.05):
        for name in CLASSES:
            system.send(**{"class": name})
        batch = {"messages": [message(), message(to="nobody"), message()]}
        system.ask("POST", "/v1/messages/batch", batch)
        system.ask("POST", "/v1/messages", {})
        system.ask("GET", "/v1/messages/msg_" + "0" * 32)
        system.ask("GET", "/v1/nowhere")
        system.server.answers["RCPT"] = ["452 4.2.2 mailbox full", "550 5.1.1 no such user"]
        system.send(to="fickle@example.test")
        system.send(to="gone@example.test")
        number = next(names)
        system.send(to=f"somebody@{number}.nowhere.test")
        if not number % 10:
            coming_back.everything_comes_back(system, number)


@contextmanager
def load(system: System) -> Iterator[None]:
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            send_of_all_kinds(system, stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not failed, failed


def poisoned(system: System) -> str:
    """A message that takes down three workers: a dead letter."""

    def kill(captured: Captured) -> None:
        if captured.header("Subject") == "poison":
            for pid in system.pids("worker"):
                os.kill(pid, signal.SIGKILL)

    system.server.on_message = kill
    identifier = system.send(subject="poison")
    system.wait_status(identifier, "dead", 60)
    system.server.on_message = None
    return identifier


def silent(found: Prometheus, wanted: dict[str, str]) -> dict[str, str]:
    """Of these queries, those that give nothing."""
    return {
        place: expression for place, expression in wanted.items() if not found.values(expression)
    }


@pytest.mark.timeout(400)
def test_dashboards_show_and_alerts_reach_somebody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHASTE_RELAY_TLS", "required")  # A relay's URL on loopback means none.
    with DnsServer({}) as dns, watched(tmp_path, dns) as place:
        system, found = place.system, place.prometheus
        assert {job for job, _ in poll(found.health)} == {
            "posthaste-web", "posthaste-worker", "posthaste-bounces", "posthaste-exporter", "nginx",
            "prometheus", "alertmanager",
        }  # fmt: skip
        poisoned(system)
        poll(lambda: set(found.health().values()) == {"up"}, 60)
        every_metric_is_there_and_every_panel_shows_something(place)
        a_store_that_stands_still_is_one_that_is_down(place)
        a_store_that_is_killed_wakes_somebody(place)
        system.reconcile()


def every_metric_is_there_and_every_panel_shows_something(place: Watched) -> None:
    system, found = place.system, place.prometheus
    of_alerts = {name: query for name, query in queries().items() if "ALERTS" in query}
    waiting = {
        name: filled(query, WINDOW) for name, query in queries().items() if name not in of_alerts
    }
    with load(system):

        def all_shown() -> bool:
            nonlocal waiting
            waiting = silent(found, waiting)
            return not waiting

        try:
            poll(all_shown, 150)
        except AssertionError as error:
            raise AssertionError(f"nothing is shown by {waiting}") from error
    identifier = system.send()
    system.wait_status(identifier, "delivered")
    paused = 'posthaste_destination_paused{destination="relay", kind="suspended"}'
    assert system.ask("POST", "/v1/destinations/relay/suspend", {})[0] == 200
    poll(lambda: found.values(paused) == [1.0])
    assert system.ask("POST", "/v1/destinations/relay/resume", {})[0] == 200
    expressions = [rule["expr"] for rule in alerts().values()]
    expressions += [*recorded().values(), *queries().values()]
    used = set().union(*(metrics_in(each) for each in expressions)) - {"ALERTS"}
    assert used - found.names() == set()


def a_store_that_stands_still_is_one_that_is_down(place: Watched) -> None:
    """It accepts connections and answers nothing; the alert waits for a minute of that."""
    system, found = place.system, place.prometheus
    (store,) = system.pids("redis")
    os.kill(store, signal.SIGSTOP)
    try:
        poll(lambda: found.values("max(posthaste_store_up)") == [0.0], 30)
    finally:
        os.kill(store, signal.SIGCONT)
    poll(lambda: found.values("max(posthaste_store_up)") == [1.0], 30)


@contextmanager
def killed_for_good(system: System) -> Iterator[None]:
    """kill -9 of the store, which cannot start again until the end: its configuration is away."""
    config = system.home / "redis" / "server.conf"
    away = config.with_suffix(".away")
    config.rename(away)
    try:
        system.kill("redis")
        yield
    finally:
        away.rename(config)


def a_store_that_is_killed_wakes_somebody(place: Watched) -> None:
    system, found, hook = place.system, place.prometheus, place.hook
    last = system.send()
    with killed_for_good(system):
        poll(lambda: hook.alerts("StoreDown", "firing"), 150)
        (alert, *_) = hook.alerts("StoreDown", "firing")
        assert alert["labels"]["severity"] == "page"
        assert alert["annotations"]["runbook_url"] == "deploy/runbooks/StoreDown.md"
        assert "StoreDown" in found.firing()
        assert system.ask("POST", "/v1/messages", message())[0] == 503
        of_alerts = {name: query for name, query in queries().items() if "ALERTS" in query}
        poll(lambda: not silent(found, of_alerts))
    poll(lambda: "StoreDown" not in found.firing(), 60)
    poll(lambda: hook.alerts("StoreDown", "resolved"), 120)
    system.wait_status(last, "delivered", 60)
    system.wait_status(system.send(), "delivered", 60)


@pytest.mark.timeout(120)
def test_what_follows_from_another_alert_is_not_sent(tmp_path: Path) -> None:
    with webhook() as hook, alertmanager(tmp_path, hook.url) as manager:
        url = f"http://{manager}/api/v2/alerts"
        common = {"service": "posthaste", "severity": "page"}

        def raised(name: str, **labels: str) -> dict[str, dict[str, str]]:
            return {"labels": {"alertname": name, **common, **labels}}

        follows = ["RefusingMail", "QueueAgeCritical", "NoWorkers", "ApiErrorRateHigh"]
        ask(url, [raised("StoreDown"), *(raised(name) for name in follows)])
        ask(url, [raised("WebDown", job="posthaste-web"),
                  raised("TargetDown", job="posthaste-web"),
                  raised("TargetDown", job="nginx")])  # fmt: skip
        ask(url, [raised("BouncesSurge", **{"class": "bulk"}),
                  raised("BounceRateHigh", **{"class": "bulk"}),
                  raised("BounceRateHigh", **{"class": "critical"})])  # fmt: skip
        ask(url, [raised("ComplaintRateCritical", application="shop", site="yahoo"),
                  raised("ComplaintRateHigh", application="shop", site="yahoo"),
                  raised("ComplaintRateHigh", application="crm", site="yahoo")])  # fmt: skip
        ask(url, [raised("RelayInTrouble")])

        def sent() -> set[tuple[str, str]]:
            return {
                (each["labels"]["alertname"],
                 next((each["labels"][name] for name in ("job", "class", "application")
                       if name in each["labels"]), ""))
                for body in list(hook.bodies) for each in body["alerts"]
            }  # fmt: skip

        wanted = {
            ("StoreDown", ""), ("WebDown", "posthaste-web"), ("TargetDown", "nginx"),
            ("BouncesSurge", "bulk"), ("BounceRateHigh", "critical"), ("RelayInTrouble", ""),
            ("ComplaintRateCritical", "shop"), ("ComplaintRateHigh", "crm"),
        }  # fmt: skip
        poll(lambda: sent() >= wanted, 60)
        assert sent() == wanted
        held = [each for each in ask(url) if each["status"]["inhibitedBy"]]
        assert len(held) == len(follows) + 3
