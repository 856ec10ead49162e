"""What the web processes measure, and how one page tells it for all of them.

Each process writes to files of its own (prometheus_client's multiprocess mode), named by a slot
that a new process takes over from one that ended: no files of the dead, and counters go on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from shared.metrics.build import BuildCollector
from shared.metrics.process import ProcessesCollector, family

OTHER = "other"
SignIn = Literal["done", "wrong", "waiting", "second_step_wrong"]
SIGN_INS: tuple[SignIn, ...] = ("done", "wrong", "waiting", "second_step_wrong")
"""What became of tries to sign in to the console. `waiting`: too many came before."""
LetterRefusal = Literal["invalid", "not_accepted"]
LETTER_REFUSALS: tuple[LetterRefusal, ...] = ("invalid", "not_accepted")
"""Why the console's own mail did not go: for what it is, or for the state of the system."""
MOST_CHILDREN = 1024
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_PREFIX = "posthaste-metrics-"
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the library looks for its directory; it has no other way to be told."""


class WebMetrics:
    """The metrics of requests. With a `registry` they stand in it, else in the process's files."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._requests = Counter(
            "posthaste_http_requests", "Requests answered.", ["method", "route", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "posthaste_http_request_seconds", "What an answer took.", ["route"], buckets=_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._children = lru_cache(maxsize=MOST_CHILDREN)(self._of)
        self._rejected = Counter(
            "posthaste_messages_rejected", "Messages refused, by the problem's code.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.commit = Histogram(
            "posthaste_accept_commit_seconds",
            "What storing the messages of one request took, the sync to disk included.",
            buckets=_BUCKETS,
            registry=registry,
        )
        sign_ins = Counter(
            "posthaste_console_sign_ins", "Tries to sign in to the console.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._sign_ins = {outcome: sign_ins.labels(outcome) for outcome in SIGN_INS}
        letters = Counter(
            "posthaste_console_letters_refused", "Mail of the console itself that did not go.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self._letters = {reason: letters.labels(reason) for reason in LETTER_REFUSALS}

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is the rule that matched."""
        count, time = self._children(method if route else OTHER, route or OTHER, status)
        count.inc()
        time.observe(seconds)

    def _of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """The metrics of these labels. Looked up once: the library checks labels each time."""
        return self._requests.labels(method, route, str(status)), self._seconds.labels(route)

    def rejected(self, reason: str) -> None:
        """Count a message that was refused."""
        self._rejected.labels(reason).inc()

    def sign_in(self, outcome: SignIn) -> None:
        """Count a try to sign in to the console."""
        self._sign_ins[outcome].inc()

    def letter_refused(self, reason: LetterRefusal) -> None:
        """Count a letter of the console that did not go."""
        self._letters[reason].inc()


def alone() -> tuple[WebMetrics, CollectorRegistry]:
    """The metrics of one process that serves by itself, and what a scrape reads."""
    found = CollectorRegistry(auto_describe=False)
    found.register(BuildCollector())
    found.register(ProcessesCollector(lambda: [os.getpid()]))
    return WebMetrics(found), found


class Files:
    """The directory of a group of processes, in memory where that can be had."""

    def __init__(self) -> None:
        parent = Path("/dev/shm")  # noqa: S108  # Files in memory, in a directory of our own.
        if not os.access(parent, os.W_OK):
            parent = Path(tempfile.gettempdir())
        _sweep(parent)
        self.directory = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)
        self.leader = os.getpid()

    def attach(self, slot: int) -> tuple[WebMetrics, CollectorRegistry]:
        """The metrics of this process, which holds the slot alone, and what a scrape reads."""
        os.environ[_VARIABLE] = self.directory
        values.ValueClass = values.MultiProcessValue(_constant(slot))  # type: ignore[no-untyped-call]
        found = CollectorRegistry(auto_describe=False)
        found.register(BuildCollector())
        found.register(ProcessesCollector(lambda: family(self.leader)))
        MultiProcessCollector(found, self.directory)  # type: ignore[no-untyped-call]
        return WebMetrics(), found

    def remove(self) -> None:
        """The group has ended."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _constant(slot: int) -> Callable[[], int]:
    return lambda: slot


def _sweep(parent: Path) -> None:
    """Remove the directories of groups that were killed."""
    for path in parent.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)
