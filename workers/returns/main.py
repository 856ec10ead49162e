"""The role `bounces`: settings -> server for mail that comes back, until SIGTERM; SIGHUP reloads.

Any number of them may run; the store tells what came twice. Exit code 0 after an orderly stop, 2
for a wrong setting or an address that is taken.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import get_args

import structlog

from shared.classification.classification import Classification
from shared.classification.meaning import Meaning
from shared.clock import SystemClock
from shared.config import host_and_port, load
from shared.errors import ConfigError, StoreError
from shared.feedback.tokens import OTHER_SITES, Tokens
from shared.logging import configure
from shared.metrics.returns import ReturnMetrics
from shared.metrics.server import OperatorServer
from shared.secret_files import feedback_keys_of
from shared.sentry import start_sentry
from shared.services import connect
from shared.settings import Settings
from shared.store.keys import Keys
from shared.store.ports import Spool
from workers.returns.match import Reason
from workers.returns.reception import Outcome, Reception
from workers.returns.recipients import Mailboxes, Refusal
from workers.returns.report import Kind
from workers.returns.server import Server
from workers.smtp.own_name import OwnName

STOP_SECONDS = 20.0
"""How long a stopping server lets transactions finish."""
NAMES_SECONDS = 5.0
"""How long the names of applications are remembered."""
ASK_SECONDS = 2.0
TICK_SECONDS = 1.0
STALLED_SECONDS = 30.0
SILENT_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Applications:
    """The names of all applications: of the settings, and of API keys in the store."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._own = tuple(settings.application)
        self._keys = keys
        self._names: tuple[str, ...] = ()
        self._until = 0.0

    def __call__(self) -> tuple[str, ...]:
        """For any thread. Raises the `StoreError` family."""
        if time.monotonic() >= self._until:
            found = {each.application for each in self._keys.all()}
            self._names = (*self._own, *sorted(found))
            self._until = time.monotonic() + NAMES_SECONDS
        return self._names


class Vitals:
    """Written by the loop, read by the listener's threads."""

    def __init__(self, spool: Spool, closed: Callable[[], str]) -> None:
        self._spool = spool
        self._closed = closed
        self._ticked = self._answered = time.monotonic()

    async def run(self) -> None:
        """Show that the loop turns and whether the store answers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            group.create_task(self._ask())

    async def _tick(self) -> None:
        while True:
            self._ticked = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)

    async def _ask(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._spool.health)
                self._answered = time.monotonic()
            except StoreError:
                pass  # Its silence is what counts.
            await asyncio.sleep(ASK_SECONDS)

    def dead(self) -> list[str]:
        """Why the process should be started again; empty when it need not."""
        return ["loop_stalled"] if time.monotonic() - self._ticked > STALLED_SECONDS else []

    def unready(self) -> list[str]:
        """Why mail is better brought to another one; empty when it is not."""
        reasons = self.dead()
        if self._closed():
            reasons.append(self._closed())
        if time.monotonic() - self._answered > SILENT_SECONDS:
            reasons.append("store_unreachable")
        return reasons


class Role:
    """What one process is made of, and how it takes changed settings."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError`."""
        self._settings = settings
        self._services = connect(settings)
        self.metrics = ReturnMetrics(*map(get_args, (Kind, Outcome, Refusal, Reason)))
        self._reception = self._received_by(settings)
        self.server: Server | None = None
        self.vitals = Vitals(self._services.spool, self._closed)
        self._reloading: asyncio.Task[None] | None = None
        self._reload_wanted = False

    def _closed(self) -> str:
        """Why it takes no sessions; empty when it does."""
        if self.server is None:
            return "starting"
        return "stopping" if self.server.stopping else ""

    def _received_by(self, settings: Settings) -> Reception:
        secrets = feedback_keys_of(settings.feedback)
        tokens = Tokens(secrets) if secrets else None
        classification = Classification(settings)

        def meaning(code: int, enhanced: str, text: str, site: str) -> Meaning:
            provider = "" if site == OTHER_SITES else site
            return classification.of(code, enhanced, text, provider=provider)

        clock = SystemClock()
        return Reception(
            Mailboxes(settings, tokens, clock), tokens,
            self._services.returns, self._services.spool.get,
            Applications(settings, self._services.keys), tuple(settings.shaping.site), meaning,
            clock, settings.bounces,
        )  # fmt: skip

    async def listen(self) -> None:
        """Take mail from now on. Raises `ConfigError`."""
        bounces = self._settings.bounces
        host, port = host_and_port(bounces.listen, "bounces.listen")
        name = bounces.ehlo_name or await OwnName().get() or "localhost"
        server = Server(bounces, name, self._reception, self.metrics)
        try:
            await server.listen(host, port)
        except OSError as error:
            raise ConfigError(
                f"bounces.listen: cannot listen on {bounces.listen} ({error.strerror}); choose"
                " another address"
            ) from error
        self.server = server

    def reload(self) -> None:
        """Read settings, keys and tables again; wrong ones change nothing (SIGHUP).

        Where it listens, its name and the store's place wait for a restart.
        """
        self._reload_wanted = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._reload_wanted:  # Meanwhile a file may have been changed that was read.
            self._reload_wanted = False
            try:
                settings = await asyncio.to_thread(load)
                reception = self._received_by(settings)
                if self.server is not None:
                    self.server.apply(settings.bounces, reception)
            except ConfigError as error:
                _log.error("settings_not_reloaded", reason=str(error))
            else:
                _log.info("settings_reloaded", domains=len(settings.bounces.domains))


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then stop in order. Raises `ConfigError`."""
    role = Role(settings)
    operator = _operator(settings, role)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, role.reload)
    await role.listen()
    if not settings.bounces.domains:
        _log.warning("no_return_paths", reason="bounces.domains is empty")
    _log.info("bounces_started", listen=settings.bounces.listen)
    vitals = asyncio.create_task(role.vitals.run())
    await stop.wait()
    if role.server is not None:
        await role.server.stop(STOP_SECONDS)
    vitals.cancel()
    if operator is not None:
        operator.stop()
    _log.info("bounces_stopped")


def _operator(settings: Settings, role: Role) -> OperatorServer | None:
    address = settings.bounces.operator_listen
    if not address:
        return None
    server = OperatorServer(
        address, "bounces.operator_listen", role.metrics.registry(),
        dead=role.vitals.dead, unready=role.vitals.unready,
    )  # fmt: skip
    server.start()
    return server


def main() -> int:
    """The entry of the process."""
    try:
        settings = load()
        configure(settings.log)
        start_sentry(settings.sentry, "bounces")
        asyncio.run(serve(settings))
    except ConfigError as error:
        sys.stderr.write(f"posthaste bounces: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
