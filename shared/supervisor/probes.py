"""Whether a role is ready, asked from outside, as its users would."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

from shared.errors import StoreError
from shared.store.ports import Spool


def store_answers(spool: Spool) -> bool:
    """Whether the store answers and has loaded its data."""
    try:
        return "store_loading" not in spool.health().reasons
    except StoreError:
        return False


def live_workers(spool: Spool) -> int:
    """Workers seen in the last seconds."""
    try:
        return spool.depth().live_workers
    except StoreError:
        return 0


def http_ok(url: str, path: str) -> bool:
    """Whether a GET is answered with 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def smtp_greets(url: str) -> bool:
    """Whether an SMTP server says 220."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=2) as connection:
            return connection.recv(3) == b"220"
    except OSError:
        return False
