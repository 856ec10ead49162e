"""Delivery, measured: the SMTP client alone, rendering and signing, draining a loaded queue.

    python -m tests.bench.run drain        # one of: client render drain distant

The receiver is Postfix's smtp-sink on this machine (Debian package postfix). Each figure is the
median of its runs, with the lowest and highest.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from shared.clock import SystemClock
from shared.dkim import Key, generate, to_pem
from shared.model.message import Address, Content, Head, Recipient
from shared.settings import Settings, StoreSettings, TimeoutSettings
from shared.store.redis_spool import RedisSpool
from shared.supervisor.ports import reserve
from tests.bench.http_load import Load, message, request
from tests.bench.measure import RUNS, cpu_seconds, resident_megabytes, show
from tests.support.installation import installation
from tests.support.smtp_client import Held, envelope, relay_to
from tests.support.smtp_sink import SmtpSink
from workers.render import render
from workers.sign import Dkim
from workers.smtp import Pool

CLIENT_MESSAGES = 60_000
DRAINED = 20_000
DISTANT_SESSIONS = 1000
DISTANT_ONE_WAY_MS = 100


def _content() -> tuple[Head, Content]:
    text = message(1)
    head = Head(
        "bench", "transactional", "<1@shop.test>", Address("orders@shop.test", "Shop"),
        "orders@shop.test", (Recipient("to", text["to"]),), text["subject"], 1_764_000_000_000,
    )  # fmt: skip
    return head, Content(text["text"], text["html"])


def client() -> None:
    """The client alone: 4 KB messages over 8 connections, in one process; smtp-source beside it."""
    data = render(*_content())

    async def run(port: int) -> float:
        relay = relay_to(
            port, connections=8, timeouts=TimeoutSettings(), messages_per_connection=10**6
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

    with SmtpSink() as sink:
        rates = [asyncio.run(run(sink.port)) for _ in range(RUNS)]
        show("the client alone, 8 connections, one process", rates, "/s", "must 20,000")
        source = shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        assert source is not None
        peer = []
        for _ in range(RUNS):
            began = time.perf_counter()
            subprocess.run(
                [source, "-s", "8", "-d", "-l", "4096", "-m", "30000", f"127.0.0.1:{sink.port}"],
                check=True,
            )
            peer.append(30_000 / (time.perf_counter() - began))
        show("peer: smtp-source (C, no pipelining), 8 connections", peer, "/s", "")


def _micros(what: Callable[[], object], count: int = 1000) -> float:
    began = time.perf_counter()
    for _ in range(count):
        what()
    return (time.perf_counter() - began) / count * 1e6


def rendering() -> None:
    """Rendering 4 KB of text and HTML, unsigned and signed; the bare signature beside it."""
    head, content = _content()
    key = Key("shop.test", "s1", generate("rsa"))
    signer = Dkim({"shop.test": (key,)}, SystemClock())
    runs = range(7)

    def signed() -> bytes:
        return signer.sign(render(head, content), "shop.test").message

    show(
        "render, unsigned", [_micros(lambda: render(head, content)) for _ in runs], "us", "must 40"
    )
    show("render and sign, RSA-2048", [_micros(signed) for _ in runs], "us", "must 300")
    both = Dkim({"shop.test": (key, Key("shop.test", "e1", generate("ed25519")))}, SystemClock())
    show(
        "render and sign, RSA-2048 and Ed25519",
        [_micros(lambda: both.sign(render(head, content), "shop.test")) for _ in runs], "us", "",
    )  # fmt: skip
    rsa: Any = key.private
    data, padding, sha256 = b"x" * 500, PKCS1v15(), SHA256()
    bare = [_micros(lambda: rsa.sign(data, padding, sha256)) for _ in runs]
    show("floor: the RSA-2048 operation alone", bare, "us", "")


@contextmanager
def _signing(port: int, workers: int, relay: str = "") -> Iterator[dict[str, Any]]:
    """An installation that signs, with its workers' pids."""
    with tempfile.TemporaryDirectory(prefix="ph-key-") as folder:
        key = Path(folder) / "s1.pem"
        key.write_bytes(to_pem(generate("rsa")))
        settings = (
            f'[[relay]]\nhost = "127.0.0.1"\nport = {port}\n{relay}\n'
            f'[[dkim]]\ndomain = "shop.test"\nselector = "s1"\nkey_file = "{key}"\n'
        )
        with installation("--workers", str(workers), "--web", "1", settings=settings) as up:
            yield up


def _load(up: dict[str, Any], count: int, offset: int) -> None:
    requests = [
        request(
            up["http"], "/v1/messages/batch", up["key"],
            {"messages": [message(offset + at + n) for n in range(1000)]},
        )
        for at in range(0, count, 1000)
    ]  # fmt: skip
    load = Load(up["http"], requests, 2).run()
    assert load.refused == 0, f"{load.refused} items were refused"


def _drained(up: dict[str, Any], count: int, run: int) -> tuple[float, float]:
    """Load the queue while the workers stand still; the rate and the workers' microseconds."""
    spool = RedisSpool(Settings(store=StoreSettings(redis_url=up["redis"], timeout_seconds=5)))
    workers: list[int] = up["pids"]["worker"]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    _load(up, count, run * count)
    before = spool.depth().by_status["transactional"]["delivered"]
    used, began = cpu_seconds(workers), time.perf_counter()
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    while spool.depth().by_status["transactional"]["delivered"] - before < count:
        time.sleep(0.1)
        assert time.perf_counter() - began < 120, spool.depth().by_status
    took = time.perf_counter() - began  # A tenth of a second more at most.
    used = cpu_seconds(workers) - used
    spool.close()
    return count / took, used / count * 1e6


def drain() -> None:
    """A loaded queue, signed and settled, by two workers."""
    with SmtpSink() as sink, _signing(sink.port, 2) as up:
        _drained(up, 2000, 99)  # Connections and caches.
        found = [_drained(up, DRAINED, run) for run in range(RUNS)]
    show("drain, signed and settled, 2 workers", [rate for rate, _ in found], "/s", "must 4,000")
    show("processor time of the workers for each", [us for _, us in found], "us", "must 400")


def distant() -> None:
    """One worker, 1,000 sessions, 200 ms of round trip."""
    reserved = reserve("127.0.0.1")
    port = reserved.port
    with SmtpSink("-m", "1100", backlog=1100) as sink:
        delay = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.delay", str(port), str(sink.port),
             str(DISTANT_ONE_WAY_MS)]
        )  # fmt: skip
        try:
            with _signing(port, 1, f"connections = {DISTANT_SESSIONS * 5 // 4}") as up:
                pid = up["pids"]["worker"][0]
                idle = resident_megabytes(pid)
                _drained(up, DRAINED, 98)
                found = [_drained(up, DRAINED, run) for run in range(RUNS)]
                sessions = _connections_to(pid, port)
                full = resident_megabytes(pid)
        finally:
            delay.kill()
            delay.wait()
            reserved.release()
    show(f"200 ms round trip, one worker, {sessions} sessions", [r for r, _ in found], "/s",
         "must 1,500")  # fmt: skip
    show("processor time of the worker for each", [us for _, us in found], "us", "")
    show("its resident memory at the start", [idle], "MB", "")
    show("its resident memory with these sessions", [full], "MB", "")


def _connections_to(pid: int, port: int) -> int:
    """Established connections of a process to a port on this machine."""
    wanted = f"{port:04X}"
    mine = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(":" + wanted) and fields[3] == "01":
            count += f"socket:[{fields[9]}]" in mine
    return count


FIGURES: dict[str, Callable[[], None]] = {
    "client": client, "render": rendering, "drain": drain, "distant": distant,
}  # fmt: skip
