"""A small HTTP load generator: prepared requests over kept connections, answers counted.

Blocking sockets, one thread a connection: cheap enough not to be what is measured.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=n % 9 + 2)) for n in
          range(4000)]  # fmt: skip


def message(number: int, size: int = 4096) -> dict[str, str]:
    """A message of about `size` bytes of text and HTML together, in lines; no two are alike."""
    words = random.Random(number).choices(_WORDS, k=size // 15)
    lines = [" ".join(words[at : at + 10]) for at in range(0, len(words), 10)]
    return {
        "from": "Shop <orders@shop.test>",
        "to": f"customer{number}@example.test",
        "subject": f"Your order {number}",
        "text": "\n".join(lines),
        "html": "".join(f"<p>{line}</p>\n" for line in lines),
    }


def request(url: str, path: str, key: str, body: object) -> bytes:
    """A POST as bytes."""
    data = json.dumps(body).encode()
    host = urlsplit(url).netloc
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode() + data


class Connection:
    """One kept connection."""

    def __init__(self, url: str, timeout_seconds: float = 60) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, data: bytes) -> tuple[int, bytes]:
        """Send a prepared request; the status and the body of the answer."""
        self._socket.sendall(data)
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self._receive()
        head, _, body = buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._receive()
        return int(head[9:12]), body

    def _receive(self) -> bytes:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@dataclass
class Load:
    """Requests sent by several connections at once; `latencies` in seconds."""

    url: str
    requests: list[bytes]
    connections: int
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    refused: int = 0
    """Problems in the answers, those of batch items too."""

    def run(self) -> Load:
        """Send them all."""
        waiting = iter(self.requests)
        lock = threading.Lock()

        def work() -> None:
            connection = Connection(self.url)
            while True:
                with lock:
                    data = next(waiting, None)
                if data is None:
                    break
                began = time.perf_counter()
                status, body = connection.ask(data)
                took = time.perf_counter() - began
                with lock:
                    self.latencies.append(took)
                    self.refused += body.count(b'"error":') + (status >= 400)
                    self.statuses[status] = self.statuses.get(status, 0) + 1
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(self.connections)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds = time.perf_counter() - began
        return self


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
