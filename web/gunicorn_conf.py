"""gunicorn's settings, from ours. Used as `gunicorn -c python:web.gunicorn_conf web.wsgi`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from shared.config import load
from shared.logging import configure
from shared.metrics.web import Files
from shared.secret_files import console_keys_of, dsn_of, feedback_keys_of, redis_password_of
from web.arbiter import Drain, Slots
from web.gunicorn_log import GunicornLogger
from web.measure import Meter
from web.wsgi import prepare

_all = load()
_settings = _all.web
configure(_all.log)  # For gunicorn's own process; its workers have it from there.
dsn_of(_all.sentry)  # What is wrong is told here, before any process starts.
redis_password_of(_all.store)
feedback_keys_of(_all.feedback)
console_keys_of(_all.console)

bind = [_settings.listen, _settings.operator_listen]
workers = _settings.processes
worker_class = "web.worker.Worker"
threads = _settings.threads
keepalive = 75  # Longer than a load balancer keeps its side, or it reuses a closing connection.
timeout = 30
graceful_timeout = 20
max_requests = 0
preload_app = False
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # gunicorn's own.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
accesslog = None
errorlog = "-"
logger_class = GunicornLogger
loglevel = "warning"
proc_name = "posthaste-web"


_drain = Drain(_settings.drain_seconds)
_files = Files()
_slots = Slots()


def when_ready(server: Any) -> None:
    """Before it stops, tell whoever asks that this instance is not ready any more."""
    del server
    _drain.install()


def pre_fork(server: Any, worker: Any) -> None:
    """A process has a slot: its metrics' files are those of the one that had it before."""
    del server
    _slots.give(worker)


def child_exit(server: Any, worker: Any) -> None:
    """The slot is free again."""
    del server
    _slots.take_back(worker)


def post_worker_init(worker: Any) -> None:
    """Build the applications before the first request, in the process that serves them."""
    # A batch of 1,000 holds the interpreter for a tenth of a second: others get their turn sooner.
    sys.setswitchinterval(0.001)
    prepare(Meter(*_files.attach(_slots.of(worker)), _drain.begun))


def on_exit(server: Any) -> None:
    """The whole group has ended."""
    del server
    _files.remove()
