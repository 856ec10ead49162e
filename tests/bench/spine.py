"""What the spine does, measured: accept, claim and settle, latency, and the cost of idling.

    python -m tests.bench.run latency      # one of: batch single fair settle latency idle

Each figure is the median of its runs, with the lowest and highest. Everything runs on this machine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from shared.clock import SystemClock
from shared.ids import message_id_header, new_message_id
from shared.model.leg import Attempt, Leg, LegState, RecipientReply, pack_history
from shared.model.message import Address, Content, Head, Message, Recipient
from shared.model.status import Status
from shared.settings import Settings, StoreSettings, WorkerSettings
from shared.store.ports import Claimed, Settlement, Submission, Verb
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from tests.bench.http_load import Connection, Load, message, percentile, request
from tests.bench.measure import RUNS, cpu_seconds, show
from tests.bench.sink import Sink
from tests.support.installation import installation
from tests.support.redis_server import RedisServer
from workers.engine import Engine
from workers.leases import Lease


def batch() -> None:
    """1,000-message batches over two connections."""
    with installation("--smtp-relay", "smtp://127.0.0.1:9", "--workers", "1") as up:
        rates = []
        for run in range(RUNS):
            bodies = [
                {"messages": [message(run * 10_000 + n * 1000 + i) for i in range(1000)]}
                for n in range(10)
            ]
            requests = [request(up["http"], "/v1/messages/batch", up["key"], b) for b in bodies]
            load = Load(up["http"], requests, 2).run()
            assert load.statuses == {202: 10}, load.statuses
            assert load.refused == 0, f"{load.refused} items were refused"
            rates.append(10_000 / load.seconds)
        show("batch accept, 1,000 a request, 2 connections", rates, "/s", "must 5,000")


def single() -> None:
    """Single POSTs over 16 connections."""
    with installation("--smtp-relay", "smtp://127.0.0.1:9", "--workers", "1") as up:
        rates, p99 = [], []
        for run in range(RUNS):
            requests = [
                request(up["http"], "/v1/messages", up["key"], message(run * 5000 + n))
                for n in range(5000)
            ]
            load = Load(up["http"], requests, 16).run()
            assert load.statuses == {202: 5000}, load.statuses
            rates.append(5000 / load.seconds)
            p99.append(percentile(load.latencies, 0.99) * 1000)
        show("single accept, 16 connections", rates, "/s", "must 1,500")
        show("single accept, p99", p99, "ms", "")


def fair() -> None:
    """One client's single POSTs while another sends batches all the time."""
    with installation("--smtp-relay", "smtp://127.0.0.1:9", "--workers", "1") as up:
        p99, rates = [], []
        for run in range(RUNS):
            batches = [
                request(
                    up["http"],
                    "/v1/messages/batch",
                    up["key"],
                    {"messages": [message(run * 20_000 + n * 1000 + i) for i in range(1000)]},
                )
                for n in range(20)
            ]
            heavy = Load(up["http"], batches, 1)
            thread = threading.Thread(target=heavy.run)
            thread.start()
            connection = Connection(up["http"])
            latencies = []
            number = 0
            while thread.is_alive():
                data = request(up["http"], "/v1/messages", up["key"], message(10**6 + number))
                began = time.perf_counter()
                status, _ = connection.ask(data)
                latencies.append(time.perf_counter() - began)
                assert status == 202, status
                number += 1
                time.sleep(0.005)
            connection.close()
            p99.append(percentile(latencies, 0.99) * 1000)
            rates.append(20_000 / heavy.seconds)
        show("another client's accept during batches, p99", p99, "ms", "must 50")
        show("the batches meanwhile, 1 connection", rates, "/s", "")


def _submission(number: int, destinations: int) -> Submission:
    identifier = new_message_id()
    now = time.time_ns() // 1_000_000
    text = message(number)
    head = Head(
        "bench", "transactional", message_id_header(identifier, "shop.test"),
        Address("orders@shop.test", "Shop"), "orders@shop.test",
        (Recipient("to", text["to"]),), text["subject"], now, give_up_ms=now + 10**9,
    )  # fmt: skip
    hop = f"hop{number % destinations}"
    leg = Leg(LegState.READY, "transactional", hop, (Status.QUEUED,), give_up_ms=head.give_up_ms)
    content = Content(text["text"], text["html"])
    return Submission(Message(identifier, head, content), (leg,))


async def _delivered(claimed: Claimed, lease: Lease) -> Settlement:
    """Delivery stubbed: the engine, the leases and the settlement are real."""
    assert lease.holds()
    replies = (RecipientReply(0, "d", 250, "2.0.0", "queued"),)
    attempt = Attempt(time.time_ns() // 1_000_000, claimed.leg.hop, replies)
    return Settlement(
        claimed.leg_id, claimed.fence, Verb.SETTLE, (Status.DELIVERED,), 1,
        pack_history((attempt,)), b"\x90",
    )  # fmt: skip


async def _drain(settings: Settings, spool: RedisSpool, count: int) -> float:
    queue = RedisQueue(settings)
    engine = Engine(settings, queue, SystemClock(), _delivered, 400)
    began = time.perf_counter()
    task = asyncio.create_task(engine.run())
    engine.offer("transactional", "bench")
    before = spool.depth().by_status["transactional"]["delivered"]
    while spool.depth().by_status["transactional"]["delivered"] - before < count:
        await asyncio.sleep(0.02)
    took = time.perf_counter() - began
    task.cancel()
    await queue.close()
    return count / took


def settle() -> None:
    """Claim and settle through the engine, one process, delivery stubbed."""
    server = RedisServer().start()
    try:
        settings = Settings(
            store=StoreSettings(redis_url=server.url, timeout_seconds=10),
            worker=WorkerSettings(legs_in_hand=1000),
        )
        spool = RedisSpool(settings)
        for destinations in (1, 10_000):
            rates = []
            for run in range(RUNS):
                spool.accept([_submission(run * 30_000 + n, destinations) for n in range(30_000)])
                rates.append(asyncio.run(_drain(settings, spool, 30_000)))
            show(f"claim and settle, {destinations:,} destinations", rates, "/s", "must 15,000")
    finally:
        server.stop()


def latency() -> None:
    """From the start of the POST to the relay's 250, one message every two seconds."""
    with Sink() as sink, installation("--smtp-relay", f"smtp://127.0.0.1:{sink.port}") as up:
        connection = Connection(up["http"])
        took = []
        for number in range(12):
            data = request(up["http"], "/v1/messages", up["key"], message(number))
            began = time.perf_counter()
            status, _ = connection.ask(data)
            assert status == 202
            took.append((sink.wait(number + 1) - began) * 1000)
            time.sleep(2)
        show("accept to 250, one message every 2 s", took[2:], "ms", "must p50 15")


def idle() -> None:
    """Processor time of a whole idle installation, inbox included."""
    with installation("--inbox", "0") as up:
        pids = [pid for group in up["pids"].values() for pid in group]
        time.sleep(3)
        shares = []
        for _ in range(RUNS):
            before, began = cpu_seconds(pids), time.perf_counter()
            time.sleep(10)
            used = cpu_seconds(pids) - before
            shares.append(used / (time.perf_counter() - began) * 100)
        show("idle installation: 2 web, 2 workers, store, inbox", shares, "% core", "must 2")


FIGURES: dict[str, Callable[[], None]] = {
    "batch": batch, "single": single, "fair": fair, "settle": settle, "latency": latency,
    "idle": idle,
}  # fmt: skip
