"""What the system says of itself at the end: the store, the API, the metrics."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from shared.store.figures import Depth
from tests.bench.http_load import Connection
from tests.chaos.accounts import Counts, Sent
from tests.chaos.store import Store

CONNECTIONS = 8
ANSWER_SECONDS = 30.0


def stored(store: Store, sent: Mapping[int, Sent]) -> dict[int, dict[str, str]]:
    """Status by address of every accepted message, from the store."""
    found = {}
    for number, each in sent.items():
        statuses = store.statuses(bytes.fromhex(each.id.removeprefix("msg_")))
        found[number] = {address: status.value for address, status in statuses.items()}
    return found


def counts(depth: Depth) -> Counts:
    """The store's own counts."""
    return Counts(depth.accepted, depth.by_status)


def shown(url: str, key: str, sent: Mapping[int, Sent]) -> dict[int, dict[str, str]]:
    """Status by address of every accepted message, from the API."""
    waiting = iter(sent.items())
    lock = threading.Lock()
    found: dict[int, dict[str, str]] = {}

    def work() -> None:
        while True:
            with lock:
                number, each = next(waiting, (0, None))
            if each is None:
                return
            found[number] = _look(url, key, each.id)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


_kept = threading.local()


def _look(url: str, key: str, identifier: str) -> dict[str, str]:
    """One message; empty when there is no 200 for it in time."""
    request = (
        f"GET /v1/messages/{identifier} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    ).encode()
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        try:
            if getattr(_kept, "connection", None) is None:
                _kept.connection = Connection(url, ANSWER_SECONDS)
            status, body = _kept.connection.ask(request)
        except OSError:
            _kept.connection = None
            continue
        if status == 200:
            return {each["address"]: each["status"] for each in json.loads(body)["recipients"]}
        if status != 503:
            break
    return {}


def metrics(url: str) -> tuple[Counts, dict[str, float]]:
    """The metrics' counts by class and status, and posthaste_reconciliation by class."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    accepted: dict[str, int] = {}
    by_status: dict[str, dict[str, int]] = {}
    reconciliation: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.labels.get("class", "")
            if sample.name == "posthaste_recipients_accepted_total":
                accepted[name] = int(sample.value)
            elif sample.name == "posthaste_recipients":
                by_status.setdefault(name, {})[sample.labels["status"]] = int(sample.value)
            elif sample.name == "posthaste_reconciliation":
                reconciliation[name] = sample.value
    return Counts(accepted, by_status), reconciliation
