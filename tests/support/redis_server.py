"""A real Valkey or Redis server of the test's own: start, kill -9, stall, restart, stop.

Each has its own directory and socket, so tests never share keys and never flush anything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from shared.embedded import server_binary, server_config, server_environment


class RedisServer:
    """One server process with `appendfsync always`, on a unix socket in a short path."""

    def __init__(
        self,
        *,
        maxmemory_bytes: int = 0,
        directory: Path | None = None,
        binary: Path | None = None,
        port: int = 0,
    ) -> None:
        self.binary = binary or server_binary()
        self._owned = tempfile.TemporaryDirectory(prefix="ph-redis-")
        self.directory = directory or Path(self._owned.name)
        self.socket = Path(self._owned.name) / "s"
        self.maxmemory_bytes = maxmemory_bytes
        self.port = port
        """Where replicas find it; 0: nowhere."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for `store.redis_url`."""
        return f"unix://{self.socket}"

    def start(self) -> RedisServer:
        """Start, or start again on the same data; returns when it answers."""
        config = Path(self._owned.name) / "server.conf"
        config.write_text(
            server_config(
                self.directory,
                socket=self.socket,
                port=self.port,
                maxmemory_bytes=self.maxmemory_bytes,
            )
        )
        with (Path(self._owned.name) / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), str(config)],
                env=os.environ | server_environment(), stdout=log, stderr=log,
            )  # fmt: skip
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        client = self.client()
        while True:
            try:
                client.ping()
                break
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        client.close()

    def client(self) -> redis.Redis:
        """A new plain client."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        assert self.process is not None
        self._signal(signal.SIGKILL)
        self.process.wait(20)

    def stall(self) -> None:
        """SIGSTOP: the socket accepts, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop for good and remove the data."""
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(20)
        self._owned.cleanup()
