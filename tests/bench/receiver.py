"""A receiver that counts what it gets: smtp-sink with its running counters, read through a pipe.

smtp-sink writes `sess=1 quit=0 mesg=17` after every message. Reading that costs it about 7 us a
message, in every figure that names the sink, ours and the peers' alike.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from types import TracebackType

from tests.support.smtp_sink import SmtpSink

_READ_SECONDS = 0.005
_PIPE_BYTES = 2**20
"""Room for a second's worth of counters at any rate that smtp-sink can reach."""
_COUNT = re.compile(rb"mesg=(\d+)\r")


class CountingSink:
    """A context manager; `count` messages have arrived, `wait` gives the time when so many had."""

    def __init__(self, *options: str, backlog: int = 1024) -> None:
        self._read, self._write = os.pipe()
        fcntl.fcntl(self._write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._sink = SmtpSink("-c", *options, backlog=backlog, output=self._write)
        self._changed = threading.Condition()
        self.count = 0
        self.at = 0.0
        """When `count` was last seen to rise, within 5 ms; as time.perf_counter()."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._sink.port

    def _follow(self) -> None:
        rest = b""
        while data := os.read(self._read, _PIPE_BYTES):
            found = _COUNT.findall(rest + data)
            if found and int(found[-1]) > self.count:
                with self._changed:
                    self.count, self.at = int(found[-1]), time.perf_counter()
                    self._changed.notify_all()
            rest = data[-64:]
            time.sleep(_READ_SECONDS)  # Many counters at once: one matters.

    def wait(self, count: int, seconds: float = 120) -> float:
        """The time when `count` messages had arrived, counted from its start."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.count >= count, seconds)
            assert came, f"{self.count} of {count} messages arrived in {seconds} s"
            return self.at

    def __enter__(self) -> CountingSink:
        self._sink.__enter__()
        os.close(self._write)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.__exit__(kind, error, trace)
        self._thread.join(10)  # The pipe ends with its writer.
        os.close(self._read)
