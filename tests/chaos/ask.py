"""Asks the API until it answers, as a patient client does: the system is being killed meanwhile."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

from tests.bench.http_load import Connection

TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.2
GIVE_UP_SECONDS = 180.0


class Asker:
    """One client, for one thread; a kept connection."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._head = f" HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {key}\r\n"
        self._connection: Connection | None = None

    def until(self, wanted: int, method: str, path: str, body: object = None) -> Any:
        """The answer with that status. Raises `AssertionError` for another one, but for 503."""
        data = b"" if body is None else json.dumps(body).encode()
        text = f"{method} {path}{self._head}"
        if data:
            text += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                status, answer = self._ask(f"{text}\r\n".encode() + data)
            except (OSError, ValueError):
                self.close()
                status, answer = 503, b""
            if status == wanted:
                return json.loads(answer)
            assert status == 503, f"{method} {path.partition('?')[0]}: {status} {answer[:200]!r}"
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"no answer to {method} {path.partition('?')[0]}")

    def _ask(self, data: bytes) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = Connection(self._url, TIMEOUT_SECONDS)
        return self._connection.ask(data)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
