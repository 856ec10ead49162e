"""One run of `posthaste up`: plan, start in order, supervise, stop in order.

Raises `ConfigError` with the remedy when it cannot start; whatever was started is stopped then.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from shared.accounts.first import first_link
from shared.api_keys import generate, parse
from shared.clock import SystemClock
from shared.model.message import CLASSES
from shared.outgoing import outgoing_from
from shared.store.keys import SCOPES
from shared.store.redis_keys import RedisKeys
from shared.store.redis_records import RedisRecords
from shared.store.redis_spool import RedisSpool
from shared.supervisor.child import Child
from shared.supervisor.home import Home
from shared.supervisor.leftovers import end_leftovers
from shared.supervisor.plan import SOCKET_PATH_LIMIT, Options, make
from shared.supervisor.probes import http_ok, live_workers, smtp_greets, store_answers
from shared.supervisor.processes import started_at
from shared.supervisor.screen import screen
from shared.supervisor.supervisor import Supervisor

READY = "ready\n"
"""The last line that a detached start reports."""
LOADING_SECONDS = 3600.0
"""A store with much mail takes its time to load; only its death ends the wait."""


class Installation:
    """One run of `up`."""

    def __init__(
        self, home: Home, options: Options, report: Callable[[str], None], *, detached: bool
    ) -> None:
        self._detached = detached
        self._home = home
        self._options = options
        self._report = report
        self._key = ""
        self._console = ""
        self._ready = False

    def run(self) -> None:
        """Start, supervise, stop."""
        self._home.prepare()
        self._home.lock()
        count = end_leftovers(self._home)
        if count:
            self._say(f"ended {count} processes that an earlier run had left")
        folder = self._socket_folder()
        try:
            self._plan = make(self._home, self._options, str(folder / "redis.sock"))
            self._settings = self._plan.settings
            try:
                self._supervise()
            finally:
                self._plan.release()
        finally:
            if folder != self._home.redis:
                shutil.rmtree(folder, ignore_errors=True)

    def _socket_folder(self) -> Path:
        """Where the store's socket stands: unix socket paths must be short."""
        path = self._home.redis / "redis.sock"
        if len(str(path).encode()) < SOCKET_PATH_LIMIT:
            return self._home.redis
        return Path(tempfile.mkdtemp(prefix="posthaste-"))

    def _supervise(self) -> None:
        home = self._home
        children = [Child(spec, home.open_log, home.directory) for spec in self._plan.specs]
        self._supervisor = Supervisor(children, os.environ, self._say, self._write_up, self._check)
        self._supervisor.install()
        if self._detached:
            self._log_to_file()
        try:
            self._start_all()
            self._ready = True
            self._write_up()
            self._report(screen(self._plan, self._home, self._key, self._console))
            if self._detached:
                self._report(READY)
                os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # Nobody reads the pipe now.
            self._supervisor.run()
            self._say("stopping")
        finally:
            self._supervisor.stop()
            self._home.up.unlink(missing_ok=True)
        self._say("stopped; undelivered mail goes on at the next start")

    def _check(self) -> None:
        """Raise `ConfigError` when the settings are wrong now."""
        outgoing_from(self._home.load(self._plan.environment))

    def _log_to_file(self) -> None:
        """Once nobody waits for the screen, what is said goes to a log."""
        with self._home.open_log("up") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())

    def _start_all(self) -> None:
        spool = RedisSpool(self._settings, connections=2)
        self._supervisor.start("redis", lambda: store_answers(spool), LOADING_SECONDS)
        self._key = self._first_key()
        self._console = self._console_link()
        inbox = self._plan.inbox
        if inbox is not None:
            smtp = self._plan.inbox_smtp or ""
            self._supervisor.start("inbox", lambda: http_ok(inbox, "/livez") and smtp_greets(smtp))
        # Alive is enough: with too little free disk nothing is accepted, yet queued mail drains.
        self._supervisor.start("web", lambda: http_ok(self._plan.http, "/livez"))
        if not http_ok(self._plan.http, "/readyz"):
            self._say(f"no mail is accepted for now: {self._plan.http}/readyz tells why")
        bounces = self._plan.bounces
        if bounces is not None:
            self._supervisor.start("bounces", lambda: smtp_greets(bounces))
        self._supervisor.start("exporter", lambda: http_ok(self._plan.exporter, "/livez"))
        wanted = self._options.workers
        self._supervisor.start("worker", lambda: live_workers(spool) >= wanted)
        spool.close()

    def _first_key(self) -> str:
        """The key of the first start; made anew when it was revoked or its store is gone."""
        keys = RedisKeys(self._settings)
        try:
            if self._home.key.exists():
                text = self._home.key.read_text(encoding="utf-8").strip()
                parsed = parse(text)
                stored = keys.find(parsed[0]) if parsed else None
                if stored is not None and stored.revoked_ms is None:
                    return text
            text, stored = generate("default", (), CLASSES, SystemClock(), SCOPES)
            keys.add(stored)
        finally:
            keys.close()
        self._home.write_private(self._home.key, text + "\n")
        return text

    def _console_link(self) -> str:
        """Where the console is: for its first owner a link that counts once."""
        console = self._settings.console
        if not console.url:
            return ""
        records = RedisRecords(self._settings)
        try:
            return first_link(records, SystemClock(), console) or f"{console.url}/console/"
        finally:
            records.close()

    def _say(self, text: str) -> None:
        try:
            click.echo(f"posthaste: {text}")
        except OSError:
            pass  # The terminal or the pipe is gone, or the log's disk is full; mail still goes.

    def _write_up(self) -> None:
        me = os.getpid()
        pids: dict[str, list[int]] = {"supervisor": [me]}
        started = {str(me): started_at(me)}
        for child in self._supervisor.children:
            pids.setdefault(child.spec.role, [])
            if child.pid is not None:
                pids[child.spec.role].append(child.pid)
                started[str(child.pid)] = child.since
        self._home.write_up(
            {
                "http": self._plan.http,
                "operator": self._plan.operator,
                "exporter": self._plan.exporter,
                "workers": list(self._plan.workers),
                "bounces": self._plan.bounces,
                "bounces_operator": self._plan.bounces_operator,
                "inbox": self._plan.inbox,
                "console": self._settings.console.url or None,
                "console_mail_from": self._settings.console.mail_from or None,
                "inbox_smtp": self._plan.inbox_smtp,
                "relay": self._plan.environment.get("POSTHASTE_RELAY_URL", ""),
                "redis": self._plan.environment["POSTHASTE_STORE_REDIS_URL"],
                "key": self._key,
                "ready": self._ready,
                "pids": pids,
                "started": started,
                "processes": [
                    {
                        "role": child.spec.role,
                        "number": child.spec.number,
                        "pid": child.pid,
                        "restarts": child.restarts,
                    }
                    for child in self._supervisor.children
                ],
                "restarts": sum(child.restarts for child in self._supervisor.children),
            }
        )
