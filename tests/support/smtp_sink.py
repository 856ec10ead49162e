"""Postfix's smtp-sink: a fast receiver with fault switches (Debian package postfix)."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from types import TracebackType

from shared.supervisor.ports import reserve

BINARY = shutil.which("smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class SmtpSink:
    """A context manager; `options` are smtp-sink's own, such as `-r RCPT` for 4xx to RCPT."""

    def __init__(
        self, *options: str, backlog: int = 1024, output: int = subprocess.DEVNULL
    ) -> None:
        self._reserved = reserve("127.0.0.1")
        self.port = self._reserved.port
        self._output = output
        user = ("-u", "nobody") if getpass.getuser() == "root" else ()
        assert BINARY is not None
        self._command = [BINARY, *user, *options, f"127.0.0.1:{self.port}", str(backlog)]

    def __enter__(self) -> SmtpSink:
        self._process = subprocess.Popen(
            self._command, cwd="/", stdout=self._output, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    # A port without a listener can be connected to itself.
                    if probe.getsockname() != probe.getpeername():
                        return self
            except OSError:
                assert self._process.poll() is None, "smtp-sink did not start"
                assert time.monotonic() < deadline, "smtp-sink does not answer"
                time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reserved.release()
