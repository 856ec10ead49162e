"""A worker process: settings -> broker -> actor -> engine, until SIGTERM; SIGHUP reloads.

One event loop does the work; Dramatiq's threads only hand tickets to it. Exit code 0 after an
orderly stop, 1 when a consumer thread has died (whoever supervises starts it again), 2 for a wrong
setting.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

import dramatiq
import structlog

from shared import broker as ticket_broker
from shared.clock import SystemClock
from shared.config import load
from shared.errors import ConfigError, StoreError
from shared.logging import configure
from shared.metrics.worker import WorkerMetrics
from shared.model.message import CLASSES
from shared.outgoing import Outgoing, at_start_only, outgoing_from
from shared.sentry import start_sentry
from shared.settings import Settings
from shared.store.redis_queue import RedisQueue
from shared.store.redis_sessions import RedisSessions
from workers.actors import declare
from workers.direct import resolving
from workers.engine import Engine
from workers.hops import Hops
from workers.permits import Permits
from workers.pipeline import Pipeline
from workers.pump import Pump
from workers.references import References
from workers.sign import Dkim
from workers.vitals import Vitals, listen

WORKER_TIMEOUT_MS = 1000
"""A consumer polls this often in case a wake-up was lost."""

GC_THRESHOLDS = (20_000, 20, 50)
"""Cycles are rare here, and a collection for every third message costs a twentieth of it."""

_log = structlog.get_logger(__name__)


class Died(RuntimeError):
    """A thread that must not end has ended."""


class Consumers:
    """Dramatiq's workers, one a class, each with one thread: the actor only hands over."""

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("dramatiq_restart_delay", "500")
        self.broker = ticket_broker.connect(settings)
        self._listener = ticket_broker.WakeListener(self.broker)
        self._workers: list[dramatiq.Worker] = []

    def start(self) -> None:
        """Begin to consume tickets."""
        self._listener.start()
        for name in CLASSES:
            worker = dramatiq.Worker(
                self.broker, queues={name}, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=1
            )
            worker.queue_prefetch = 1  # A ticket that waits here is one that nobody else can take.
            worker.start()
            self._workers.append(worker)

    def check(self) -> None:
        """Raise `Died` when a consumer thread has ended."""
        for worker in self._workers:
            threads = [*worker.consumers.values(), *worker.workers]
            if not threads or not all(thread.is_alive() for thread in threads):
                raise Died("a Dramatiq thread has ended")

    def stop(self) -> None:
        """Stop consuming; tickets in memory go back."""
        self._listener.stop()
        with ThreadPoolExecutor(len(CLASSES)) as threads:  # Each waits a second for its own.
            list(threads.map(lambda worker: worker.stop(timeout=5000), self._workers))


async def _retrying(
    what: Callable[[], Awaitable[None]], superseded: Callable[[], bool] = lambda: False
) -> None:
    """Do it when the store answers, unless it is superseded before that."""
    while not superseded():
        try:
            await what()
            return
        except StoreError as error:
            _log.warning("start_waits_for_store", reason=error)
            await asyncio.sleep(0.5)


class Worker:
    """What one process is made of, and how it takes changed settings."""

    def __init__(self, settings: Settings, outgoing: Outgoing) -> None:
        self._clock = SystemClock()
        self.metrics = WorkerMetrics()
        self.queue = RedisQueue(settings)
        self.sessions = RedisSessions(settings)
        self.permits = Permits(self.sessions, uuid.uuid4().hex, self.metrics)
        self.hops = Hops(settings.worker.critical_share, self.metrics, self._clock, self.permits)
        self._apply(outgoing)
        signer = Dkim(outgoing.keys, self._clock)
        self._pipeline = Pipeline(
            settings, self.queue, self._clock, self.hops, signer, self.metrics,
            resolving(settings, self._clock, self.hops, self.metrics), self.hops.shapes,
            References(outgoing, self.hops.shapes),
        )  # fmt: skip
        sessions = _sessions(settings, outgoing)
        self.engine = Engine(
            settings, self.queue, self._clock, self._pipeline.deliver, sessions, self.metrics
        )
        self._started_with, self._outgoing = settings, outgoing
        self._reloading: asyncio.Task[None] | None = None
        self._reload_wanted = False

    def _apply(self, outgoing: Outgoing) -> None:
        relays = outgoing.relays + outgoing.sources
        self.hops.apply(relays, outgoing.routes, outgoing.direct, outgoing.shaping)
        self.metrics.has_rules(rule.name for rule in outgoing.shaping.rules)

    async def limit(self) -> None:
        """Tell the store the limits, the pools and the weights. Raises `StoreError`."""
        await self.queue.weights(self._outgoing.weights)
        await self.queue.pools(self._outgoing.routes.pools)
        changed = self.hops.shapes.changed()
        await self.queue.limits({**self._outgoing.limits(), **changed})
        self.hops.shapes.told(changed)

    async def stop(self) -> None:
        """Claim nothing more, let what is in hand end, then all sessions."""
        self.permits.close()
        await self.engine.stop()
        await self.hops.close()

    async def leave(self) -> None:
        """Tell the store that there are no sessions any more."""
        await self.permits.leave()
        await self.sessions.close()

    def reload(self) -> None:
        """Read relays and keys again; wrong ones change nothing (SIGHUP).

        While that runs the files may have been read already, so it is done once more then.
        """
        self._reload_wanted = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload_all())

    async def _reload_all(self) -> None:
        while self._reload_wanted:
            self._reload_wanted = False
            await self._reload()

    async def _reload(self) -> None:
        try:
            settings, outgoing = await asyncio.to_thread(_read)
        except ConfigError as error:
            _log.error("settings_not_reloaded", reason=str(error))
            return
        self._outgoing = outgoing
        self._apply(outgoing)
        self._pipeline.signer = Dkim(outgoing.keys, self._clock)
        self._pipeline.references = References(outgoing, self.hops.shapes)
        self._pipeline.classify_by(outgoing.classification)
        self.engine.resize(_sessions(settings, outgoing))
        _warn(outgoing)
        waiting = at_start_only(self._started_with, settings)
        if waiting:
            _log.warning("settings_wait_for_restart", changed=waiting)
        await _retrying(self.limit, lambda: self._reload_wanted)
        _log.info("settings_reloaded", relays=len(outgoing.relays), domains=len(outgoing.keys))


def _read() -> tuple[Settings, Outgoing]:
    """The settings as they are now. Raises `ConfigError`."""
    settings = load()
    return settings, outgoing_from(settings)


def _sessions(settings: Settings, outgoing: Outgoing) -> int:
    to_relays = sum(each.connections for each in outgoing.relays + outgoing.sources)
    # Legs that wait for DNS have a place, too: else a server that does not answer stops the relays.
    resolves = outgoing.direct or outgoing.routes.by_site
    return to_relays + (settings.direct.sessions if resolves else 0)


def _warn(outgoing: Outgoing) -> None:
    """Make visible what is less safe than it could be."""
    for relay in outgoing.relays:
        if relay.user and relay.tls not in ("implicit", "required"):
            _log.warning("relay_signs_in_without_verified_tls", relay=relay.name)


async def serve(settings: Settings, outgoing: Outgoing) -> None:
    """Run until SIGTERM or SIGINT, then stop in order."""
    worker = Worker(settings, outgoing)
    queue, engine = worker.queue, worker.engine
    consumers = Consumers(settings)
    declare(consumers.broker, engine.offer)
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    pump = Pump(queue, worker_id, consumers.check, worker.metrics)
    vitals = Vitals(engine, worker.hops, pump)
    listener = listen(settings.worker.listen, worker.metrics, vitals)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, worker.reload)
    _warn(outgoing)
    await _retrying(worker.limit, stop.is_set)
    consumers.start()
    _log.info("worker_started", worker=worker_id)
    try:
        await _until(
            stop, engine.run(), pump.run(), vitals.run(), worker.permits.run(), last=worker.stop
        )
    finally:
        await asyncio.to_thread(consumers.stop)
    await worker.leave()
    await _leave(queue, worker_id)
    if listener is not None:
        listener.stop()
    _log.info("worker_stopped", worker=worker_id)


async def _until(
    stop: asyncio.Event, *forever: Coroutine[None, None, None], last: Callable[[], Awaitable[None]]
) -> None:
    """Run until `stop`, then `last` while everything still runs. A task that ends raises."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in forever]
        await stop.wait()
        await last()
        for task in tasks:
            task.cancel()


async def _leave(queue: RedisQueue, worker_id: str) -> None:
    try:
        await queue.leave(worker_id)
    except StoreError:
        pass  # It stops counting as live by itself.
    await queue.close()


def main() -> int:
    """The entry of the process."""
    try:
        settings = load()
        outgoing = outgoing_from(settings)
        configure(settings.log)
        start_sentry(settings.sentry, "worker")
    except ConfigError as error:
        sys.stderr.write(f"posthaste worker: {error}\n")
        return 2
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        return _run(settings, outgoing)
    except ConfigError as error:  # Its listener's address is taken.
        sys.stderr.write(f"posthaste worker: {error}\n")
        return 2


def _run(settings: Settings, outgoing: Outgoing) -> int:
    """Serve; the exit code."""
    code = 0
    try:
        asyncio.run(serve(settings, outgoing))
    except* Died as died:
        _log.critical("worker_died", reason=str(died.exceptions[0]))
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
