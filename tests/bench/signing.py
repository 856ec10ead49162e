"""An installation that signs with RSA-2048 and sends to a sink, and mail to load it with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.dkim import generate, to_pem
from tests.bench.http_load import Load, message, request
from tests.support.installation import installation


@contextmanager
def signing(port: int, *options: str, relay: str = "") -> Iterator[dict[str, Any]]:
    """What up.json says of it; `relay` are further lines of its one relay."""
    with tempfile.TemporaryDirectory(prefix="ph-key-") as folder:
        key = Path(folder) / "s1.pem"
        key.write_bytes(to_pem(generate("rsa")))
        settings = (
            f'[[relay]]\nhost = "127.0.0.1"\nport = {port}\n{relay}\n'
            f'[[dkim]]\ndomain = "shop.test"\nselector = "s1"\nkey_file = "{key}"\n'
        )
        with installation(*options, settings=settings) as up:
            yield up


def batches(up: dict[str, Any], count: int, first: int) -> Load:
    """`count` messages in batches of 1,000 over two connections; ready to run."""
    requests = [
        request(
            up["http"], "/v1/messages/batch", up["key"],
            {"messages": [message(first + n) for n in range(at, min(at + 1000, count))]},
        )
        for at in range(0, count, 1000)
    ]  # fmt: skip
    return Load(up["http"], requests, 2)


def singles(up: dict[str, Any], count: int, first: int) -> Load:
    """`count` messages, a POST each, over 16 connections; ready to run."""
    requests = [
        request(up["http"], "/v1/messages", up["key"], message(first + n)) for n in range(count)
    ]
    return Load(up["http"], requests, 16)


def accepted(load: Load) -> Load:
    """Run it; everything must be accepted."""
    load.run()
    assert load.refused == 0, f"{load.refused} were refused: {load.statuses}"
    return load
