"""A small HTTP listener for roles that serve no other pages: /metrics, /livez, /readyz.

For operators; never public. A thread a request, each bounded in time; it shares the process with
what it tells about, so a page is made only when somebody asks.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.config import host_and_port
from shared.errors import ConfigError

REQUEST_SECONDS = 10.0

Reasons = Callable[[], Sequence[str]]
"""Why a process is not alive, or not ready; empty when it is."""


class OperatorServer:
    """Listens from `start` to `stop`. Raises `ConfigError` when the address cannot be had."""

    def __init__(
        self,
        listen: str,
        setting: str,
        registry: CollectorRegistry,
        *,
        dead: Reasons = tuple,
        unready: Reasons = tuple,
    ) -> None:
        host, port = host_and_port(listen, setting)

        class Handler(_Handler):
            metrics = registry
            why_dead = staticmethod(dead)
            why_unready = staticmethod(unready)

        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"{setting}: cannot listen on {listen} ({error.strerror}); choose another address"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="operator", daemon=True
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without the base's question to the DNS for this host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's fault."""


class _Handler(BaseHTTPRequestHandler):
    metrics: CollectorRegistry
    why_dead: Reasons
    why_unready: Reasons
    timeout = REQUEST_SECONDS
    server_version = "posthaste"
    sys_version = ""

    def do_GET(self) -> None:
        """The three pages."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest(self.metrics))
        elif path == "/livez":
            self._tell("alive", self.why_dead())
        elif path == "/readyz":
            self._tell("ready", self.why_unready())
        else:
            self._send(404, "application/json", b'{"title":"Not Found","status":404}')

    def _tell(self, name: str, reasons: Sequence[str]) -> None:
        body = json.dumps({name: not reasons, "reasons": list(reasons)}).encode()
        self._send(503 if reasons else 200, "application/json", body)

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a line."""
