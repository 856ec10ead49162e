"""An installation that delivers directly, to sites that a DNS server of the benchmark tells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.dkim import generate, to_pem
from tests.bench.http_load import Load, message, request
from tests.support.installation import installation

SETTINGS = """
[[relay]]
name = "nowhere"
host = "127.0.0.1"
port = 9

[[route]]
name = "straight"
direct = true

[dns]
servers = ["127.0.0.1"]
port = {dns}
allow_networks = ["127.0.0.0/8"]

[direct]
port = {port}
{more}

[[dkim]]
domain = "shop.test"
selector = "s1"
key_file = "{key}"
"""
PER_BATCH = 1000


@contextmanager
def delivering(dns: int, port: int, *options: str, more: str = "") -> Iterator[dict[str, Any]]:
    """What up.json says of it; it signs. `more` are further lines of `[direct]`."""
    with tempfile.TemporaryDirectory(prefix="ph-key-") as folder:
        key = Path(folder) / "s1.pem"
        key.write_bytes(to_pem(generate("rsa")))
        settings = SETTINGS.format(dns=dns, port=port, more=more, key=key)
        with installation(*options, settings=settings) as up:
            yield up


def mail(number: int, domain: str) -> dict[str, str]:
    """A message of 4 KB to a domain."""
    return {**message(number), "to": f"customer{number}@{domain}"}


def batches(up: dict[str, Any], domains: list[str], first: int) -> Load:
    """A message to each of these domains, in order, in batches; ready to run."""
    requests = [
        request(
            up["http"], "/v1/messages/batch", up["key"],
            {"messages": [mail(first + at + n, domain) for n, domain in enumerate(part)]},
        )
        for at in range(0, len(domains), PER_BATCH)
        if (part := domains[at : at + PER_BATCH])
    ]  # fmt: skip
    return Load(up["http"], requests, 2)
