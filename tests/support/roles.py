"""The roles of Posthaste, each a process of its own on ports of its own, as in the containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from shared.supervisor.ports import reserve
from tests.support.system import poll

LISTENERS = {
    "web": ("POSTHASTE_WEB_LISTEN", "POSTHASTE_WEB_OPERATOR_LISTEN"),
    "worker": ("POSTHASTE_WORKER_LISTEN",),
    "bounces": ("POSTHASTE_BOUNCES_OPERATOR_LISTEN", "POSTHASTE_BOUNCES_LISTEN"),
    "exporter": ("POSTHASTE_EXPORTER_LISTEN",),
    "inbox": ("POSTHASTE_INBOX_LISTEN", "POSTHASTE_INBOX_SMTP_LISTEN"),
}
"""The settings of each role's ports; the first answers /readyz."""


class Role:
    """One `posthaste web`, `worker`, `bounces`, `exporter` or `inbox`."""

    def __init__(self, name: str, store_url: str, log: Path, **settings: str) -> None:
        self.name = name
        self._held = [reserve("127.0.0.1") for _ in LISTENERS[name]]
        self.ports = [each.port for each in self._held]
        self._log = log
        self._environment = os.environ | {
            "POSTHASTE_STORE_REDIS_URL": store_url,
            **{
                setting: f"127.0.0.1:{port}"
                for setting, port in zip(LISTENERS[name], self.ports, strict=True)
            },
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The first of its ports."""
        return self.ports[0]

    def start(self) -> None:
        """Start, or start again; returns when it is ready."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "shared.cli.main", self.name],
                env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        poll(self._ready, 60)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()[-2000:]
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/" if self.name == "inbox" else "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop in order, or as `number` says; returns when it is gone."""
        if self.process is None or self.process.poll() is not None:
            return
        if number == signal.SIGKILL:  # Its children too, as when a container dies.
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        self.process.wait(60)

    def release(self) -> None:
        """Stop, and let go of the ports."""
        self.stop()
        for each in self._held:
            each.release()


def key_for(store_url: str) -> str:
    """A new API key, from the command."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "key", "create", "--app", "front"],
        env=os.environ | {"POSTHASTE_STORE_REDIS_URL": store_url},
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout.strip()
