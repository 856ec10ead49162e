"""Record a burst: what a real worker, a slow relay and the exporter do with it, as CSV on stdout.

    python -m tests.support.record_burst > tests/unit/deploy/recorded_burst.csv

`posthaste up` with one worker of 10 connections (8 of them for class transactional), to a receiver
on loopback that takes 0.2 s for a message. Five times the usual mail comes for 40 s. Every 5 s the
exporter and the worker are asked for their metrics. Takes three minutes, and a tenth of a core.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import urllib.request
from typing import Any

from tests.support.smtp_server import SmtpServer
from tests.support.system import System, message, running, samples_in

USUAL, BURST = 20, 100
"""Messages a second."""
BURST_SECONDS = range(30, 70)
SECONDS = 180
EVERY_SECONDS = 5
REPLY_SECONDS = 0.2
SETTINGS = "[[relay]]\nconnections = 10\n[worker]\nlegs_in_hand = 60\n"
"""It would hold 400 legs otherwise: as much as ten seconds of its work."""
COLUMNS = {
    "accepted": "posthaste_recipients_accepted_total",
    "ready": "posthaste_ready_legs",
    "oldest": "posthaste_oldest_ready_seconds",
    "live": "posthaste_live_workers",
    "transactions": "posthaste_smtp_transactions_total",
}


class SlowServer(SmtpServer):
    """A relay that thinks about each message."""

    async def _say(self, writer: asyncio.StreamWriter, verb: str) -> str:
        if verb == ".":
            await asyncio.sleep(REPLY_SECONDS)
        return await super()._say(writer, verb)


def sampled(system: System) -> dict[str, float]:
    """A row: each column's metric, of all its series together."""
    found: dict[str, float] = {}
    for url in (system.exporter, *system.workers):
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310  # Ours.
            found |= samples_in(answer.read().decode())
    return {
        column: sum(value for name, value in found.items() if name.split("{")[0] == metric)
        for column, metric in COLUMNS.items()
    }


def send(system: System, began: float, stop: threading.Event) -> None:
    """The mail of each second, in one batch."""
    for second in range(SECONDS):
        if stop.wait(max(0.0, began + second - time.monotonic())):
            return
        count = BURST if second in BURST_SECONDS else USUAL
        batch: dict[str, Any] = {"messages": [message() for _ in range(count)]}
        status, _, _ = system.ask("POST", "/v1/messages/batch", batch)
        assert status == 202, status


def main() -> None:
    """Record, and print."""
    assert __doc__ is not None
    for line in __doc__.strip().splitlines():
        print(f"# {line}".rstrip())  # noqa: T201  # The file is what this prints.
    print("second", *COLUMNS, sep=",")  # noqa: T201
    stop = threading.Event()
    with running(server=SlowServer(), settings=SETTINGS) as system:
        began = time.monotonic()
        sender = threading.Thread(target=send, args=(system, began, stop))
        sender.start()
        try:
            for second in range(0, SECONDS + 1, EVERY_SECONDS):
                time.sleep(max(0.0, began + second - time.monotonic()))
                row = sampled(system)
                print(second, *(f"{each:.10g}" for each in row.values()), sep=",")  # noqa: T201
                sys.stdout.flush()
        finally:
            stop.set()
            sender.join(30)


if __name__ == "__main__":
    main()
