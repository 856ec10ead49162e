"""gunicorn's entry: which application answers depends on the listener a connection came in on.

Built at the first request of each worker process, after the fork, so that no connection to the
store is shared between processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from shared.config import host_and_port, load
from shared.logging import configure
from shared.sentry import start_sentry
from shared.services import connect
from shared.settings import Settings
from web.app import create_app, create_context, create_operator_app
from web.measure import Meter

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Applications(msgspec.Struct):
    public: Wsgi
    operator: Wsgi
    operator_port: str


_lock = threading.Lock()
_built: dict[str, _Applications] = {}


def build(settings: Settings, meter: Meter | None = None) -> _Applications:
    """Both applications on one set of services."""
    services = connect(settings)
    context = create_context(services, meter)
    _, port = host_and_port(settings.web.operator_listen, "web.operator_listen")
    return _Applications(
        create_app(settings, services, context),
        create_operator_app(settings, services, context),
        str(port),
    )


def prepare(meter: Meter | None = None) -> _Applications:
    """This process's applications."""
    with _lock:
        if "here" not in _built:
            settings = load()
            configure(settings.log)
            start_sentry(settings.sentry, "web")
            _built["here"] = build(settings, meter)
        return _built["here"]


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The WSGI callable. SERVER_PORT is the listening socket's, whatever the Host header says."""
    found = _built.get("here") or prepare()
    if environ["SERVER_PORT"] == found.operator_port:
        return found.operator(environ, start_response)
    return found.public(environ, start_response)
