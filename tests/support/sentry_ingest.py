"""A Sentry ingest endpoint on loopback: keeps each request as it came, and reads its envelopes.

An envelope is lines: a JSON header, then for each item a JSON header and a payload of the length
that it names (develop.sentry.dev/sdk/data-model/envelopes).
"""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY, SECRET = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


@dataclass
class Post:
    """One request."""

    path: str
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    """As it came."""

    @property
    def text(self) -> str:
        """The body, unpacked."""
        packed = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()

    def items(self) -> list[tuple[dict[str, Any], Any]]:
        """Header and payload of each item."""
        data, found = self.text.encode(), []
        _, _, rest = data.partition(b"\n")
        while rest:
            line, _, rest = rest.partition(b"\n")
            if not line:
                continue
            header = json.loads(line)
            length = header.get("length", len(rest.partition(b"\n")[0]))
            payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
            found.append((header, json.loads(payload)))
        return found


class SentryIngest:
    """A context manager on a free port."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self._changed = threading.Condition()

    @property
    def dsn(self) -> str:
        """With the secret half that old DSNs have."""
        return f"http://{KEY}:{SECRET}@127.0.0.1:{self.port}/42"

    def __enter__(self) -> SentryIngest:
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with ingest._changed:
                    ingest.posts.append(Post(self.path, headers, body))
                    ingest._changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments: Any) -> None:
                """Quietly."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def events(self) -> list[dict[str, Any]]:
        """Every event so far; nothing but events may come."""
        found = []
        for post in list(self.posts):
            for header, payload in post.items():
                assert header["type"] == "event", header
                found.append(payload)
        return found

    def wait_for(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """The events, once there are `count`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events()) >= count, seconds)
        return self.events()
