"""An installation that signs with RSA-2048 and sends to a sink, and mail to load it with.

With BENCH_FEEDBACK=1 in the environment each copy has a return path and a reference of its own, and
the suppression list has 1,000,000 entries, none of which is for this mail.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.dkim import generate, to_pem
from shared.model.suppression import Suppression
from shared.settings import Settings, StoreSettings
from shared.store.redis_suppressions import RedisSuppressions
from tests.bench.http_load import Load, message, request
from tests.support.installation import installation

ENTRIES = 1_000_000
_FEEDBACK = """
[feedback]
key = "a key of 32 characters, or of more"
[bounces]
domains = ["bounces.shop.test"]
"""


def with_feedback() -> bool:
    """Whether return paths and the suppression list take part."""
    return bool(os.environ.get("BENCH_FEEDBACK"))


def _suppress(up: dict[str, Any]) -> None:
    store = StoreSettings(redis_url=up["redis"], timeout_seconds=10)
    entries = RedisSuppressions(Settings(store=store))
    try:
        for at in range(0, ENTRIES, 1000):
            some = [Suppression(f"gone{at + n}@example.test") for n in range(1000)]
            entries.add(some, together=True)
    finally:
        entries.close()


@contextmanager
def signing(port: int, *options: str, relay: str = "") -> Iterator[dict[str, Any]]:
    """What up.json says of it; `relay` are further lines of its one relay."""
    with tempfile.TemporaryDirectory(prefix="ph-key-") as folder:
        key = Path(folder) / "s1.pem"
        key.write_bytes(to_pem(generate("rsa")))
        settings = (
            f'[[relay]]\nhost = "127.0.0.1"\nport = {port}\n{relay}\n'
            f'[[dkim]]\ndomain = "shop.test"\nselector = "s1"\nkey_file = "{key}"\n'
        ) + (_FEEDBACK if with_feedback() else "")
        with installation(*options, settings=settings) as up:
            if with_feedback():
                _suppress(up)
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
