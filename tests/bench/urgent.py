"""A critical message behind 200,000 bulk ones, on a relay of 20 a second and 4 connections.

    python -m tests.bench.run urgent           # about a minute

The time from the request to the receiver's 250, for one message every two seconds.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from tests.bench.effort import Effort
from tests.bench.figure import Figure
from tests.bench.http_load import Load, message, request
from tests.bench.sink import TimingSink
from tests.support.installation import installation

WAITING = 200_000
PER_BATCH = 500
SAMPLES = 10
SETTINGS = """
[[relay]]
host = "127.0.0.1"
port = {port}
rate = 20
connections = 4
dkim = "off"
"""


def urgent(effort: Effort) -> list[Figure]:
    """Seconds to the receiver's answer: all samples, and the slowest."""
    del effort  # The queue's length is what it is about.
    with (
        TimingSink() as sink,
        installation(
            "--web", "1", "--workers", "2", settings=SETTINGS.format(port=sink.port)
        ) as up,
    ):
        _fill(up)
        seconds = [_one(up, sink, WAITING + number) for number in range(SAMPLES)]
    name = f"critical behind {WAITING:,} bulk, 20/s and 4 connections"
    return [
        Figure(name, tuple(seconds), "s", "lower"),
        Figure(f"{name}: the slowest", (max(seconds),), "s", "lower", must=1.0),
    ]


def _fill(up: dict[str, Any]) -> None:
    """So much that nearly all of it still waits at the end."""
    for start in range(0, WAITING, 20_000):
        mail = [{**message(n, 200), "class": "bulk"} for n in range(start, start + 20_000)]
        bodies = [{"messages": mail[at : at + PER_BATCH]} for at in range(0, len(mail), PER_BATCH)]
        made = [request(up["http"], "/v1/messages/batch", up["key"], body) for body in bodies]
        load = Load(up["http"], made, 2).run()
        assert load.refused == 0, load.statuses


def _one(up: dict[str, Any], sink: TimingSink, number: int) -> float:
    time.sleep(2)
    connection = http.client.HTTPConnection(urlsplit(up["http"]).netloc, timeout=10)
    headers = {"Authorization": f"Bearer {up['key']}", "Content-Type": "application/json"}
    body = json.dumps({**message(number), "class": "critical"})
    began = time.perf_counter()
    connection.request("POST", "/v1/messages", body, headers)
    assert connection.getresponse().status == 202
    connection.close()
    return sink.wait(number) - began
