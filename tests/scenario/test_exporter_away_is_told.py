"""Without the exporter nobody sees the queues: its loss is told by what is left."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.monitoring import alertmanager, ask, prometheus, webhook
from tests.support.redis_server import RedisServer
from tests.support.roles import Role
from tests.support.system import poll


@pytest.mark.long
@pytest.mark.timeout(400)
def test_the_exporters_loss_wakes_somebody(own_redis_server: RedisServer, tmp_path: Path) -> None:
    exporter = Role("exporter", own_redis_server.url, tmp_path / "exporter.log")
    try:
        exporter.start()
        targets = {"posthaste-exporter": [f"127.0.0.1:{exporter.port}"]}
        with (
            webhook() as hook,
            alertmanager(tmp_path, hook.url) as manager,
            prometheus(tmp_path, targets, manager) as found,
        ):
            poll(lambda: found.values('up{job="posthaste-exporter"}') == [1.0], 60)
            exporter.stop(signal.SIGKILL)
            poll(lambda: hook.alerts("ExporterDown", "firing"), 280)
            assert ask(f"http://{manager}/api/v2/alerts?active=true")
            exporter.start()
            poll(lambda: "ExporterDown" not in found.firing(), 60)
    finally:
        exporter.release()
