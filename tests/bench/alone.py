"""Parts of delivery alone, each in one process: the SMTP client, rendering and signing.

python -m tests.bench.run client render
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from shared.clock import SystemClock
from shared.dkim import Key, generate
from shared.model.message import Address, Content, Head, Recipient
from shared.outgoing_settings import TimeoutSettings
from shared.render import render
from tests.bench.effort import Effort
from tests.bench.figure import Figure, Peer
from tests.bench.http_load import message
from tests.support.smtp_client import Held, envelope, relay_to
from tests.support.smtp_sink import SmtpSink
from workers.sign import Dkim
from workers.smtp import Pool

CLIENT_MESSAGES = 60_000
PEER_MESSAGES = 30_000
SESSIONS = 8


def _content() -> tuple[Head, Content]:
    text = message(1)
    head = Head(
        "bench", "transactional", "<1@shop.test>", Address("orders@shop.test", "Shop"),
        "orders@shop.test", (Recipient("to", text["to"]),), text["subject"], 1_764_000_000_000,
    )  # fmt: skip
    return head, Content(text["text"], text["html"])


async def _sent(port: int, data: bytes) -> float:
    relay = relay_to(
        port, connections=SESSIONS, timeouts=TimeoutSettings(), messages_per_connection=10**6
    )
    pool = Pool(relay, reserved=0)
    lease = Held()

    async def feed(count: int) -> None:
        for _ in range(count):
            done = await pool.send(envelope(), data, lease)
            assert done.data is not None
            assert done.data.code == 250, done

    began = time.perf_counter()
    await asyncio.gather(*(feed(CLIENT_MESSAGES // 24) for _ in range(24)))
    took = time.perf_counter() - began
    await pool.close()
    return CLIENT_MESSAGES / took


def _source(port: int) -> float:
    """The same by smtp-source, Postfix's load generator."""
    binary = shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert binary is not None
    began = time.perf_counter()
    subprocess.run(
        [binary, "-s", str(SESSIONS), "-d", "-l", "4096", "-m", str(PEER_MESSAGES),
         f"127.0.0.1:{port}"], check=True,
    )  # fmt: skip
    return PEER_MESSAGES / (time.perf_counter() - began)


def client(effort: Effort) -> list[Figure]:
    """The client alone: 4 KB messages over 8 connections."""
    data = render(*_content())
    ours, peer = [], []
    with SmtpSink() as sink:
        for _ in range(effort.runs):
            ours.append(asyncio.run(_sent(sink.port, data)))
            peer.append(_source(sink.port))
    beside = Peer("smtp-source (C, no pipelining), the same", tuple(peer))
    name = f"the SMTP client alone, {SESSIONS} sessions, one process"
    return [Figure(name, tuple(ours), "/s", must=20_000, peers=(beside,))]


def _micros(what: Callable[[], object], count: int = 1000) -> float:
    began = time.perf_counter()
    for _ in range(count):
        what()
    return (time.perf_counter() - began) / count * 1e6


def _runs(what: Callable[[], object]) -> tuple[float, ...]:
    return tuple(_micros(what) for _ in range(7))


def rendering(effort: Effort) -> list[Figure]:
    """Rendering 4 KB of text and HTML, unsigned and signed; the bare signature beside it."""
    del effort
    head, content = _content()
    key = Key("shop.test", "s1", generate("rsa"))
    one = Dkim({"shop.test": (key,)}, SystemClock())
    two = Dkim({"shop.test": (key, Key("shop.test", "e1", generate("ed25519")))}, SystemClock())
    rsa: Any = key.private
    data, padding, sha256 = b"x" * 500, PKCS1v15(), SHA256()
    bare = _runs(lambda: rsa.sign(data, padding, sha256))
    floor = Peer("floor: the RSA-2048 operation alone", bare)
    unsigned = _runs(lambda: render(head, content))
    signed = _runs(lambda: one.sign(render(head, content), "shop.test"))
    both = _runs(lambda: two.sign(render(head, content), "shop.test"))
    return [
        Figure("render, unsigned", unsigned, "us", "lower", must=40),
        Figure("render and sign, RSA-2048", signed, "us", "lower", must=300, peers=(floor,)),
        Figure("render and sign, RSA-2048 and Ed25519", both, "us", "lower"),
    ]
