"""One request to web, by the name under which others reach it. Follows nothing, sends no cookie."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What came back, without its body."""

    status: int
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> str:
        """The first of this name; empty: there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def ask_web(url: str, seconds: float) -> Answer:
    """GET, with the certificate verified. Raises `OSError` (`SSLCertVerificationError` among them)
    and `http.client.HTTPException`."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", parts.path, headers={"User-Agent": "posthaste"})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders())
    finally:
        connection.close()


def reason(error: Exception) -> str:
    """Why nobody answered, for people."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
