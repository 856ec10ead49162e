"""The receiver's post: sends what comes back until it is taken, as a real server does.

Everything is tried again after a 4xx, a lost connection or silence, and much is sent twice on
purpose. A 5xx is an oddity: nothing that is sent here may be refused for good.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import msgspec

from tests.chaos.came_back import Told
from tests.chaos.fates import Kind
from tests.chaos.reports import Report

Place = tuple[str, int]
"""A host and a port."""
SENDERS = 12
PATIENCE_SECONDS = 5.0
"""A server that has stopped is silent for longer."""
AGAIN_SECONDS = 0.3
AT_ONCE_SHARE = 0.4
"""So many are sent before the copy's own answer may have been read."""
DELAY_SECONDS = 3.0
TWICE_SHARE = 0.3
_CLICK = b"List-Unsubscribe=One-Click"
_TRY_AGAIN = ("502", "503", "504")


class Post:
    """Everything that is sent back; `where` is told by the run once that is known."""

    def __init__(self, seed: int, oddities: list[str]) -> None:
        self._chance = random.Random(f"{seed}/post")
        self._oddities = oddities
        self._places = asyncio.Semaphore(SENDERS)
        self._sending: set[asyncio.Task[None]] = set()
        self.bounces: Place = ("", 0)
        self.web: Place = ("", 0)
        self.told: list[Told] = []
        """What was taken; what was sent twice stands here twice."""

    @property
    def open(self) -> int:
        """How much is still to be taken."""
        return len(self._sending)

    def send(self, number: int, kind: Kind, recipient: str, report: Report) -> None:
        """Send a report in a while, maybe twice."""
        self._post(Told(number, recipient, kind), lambda: self._mail(report))

    def click(self, number: int, recipient: str, path: str) -> None:
        """Click on unsubscribe, maybe twice."""
        self._post(Told(number, recipient, "unsubscribed"), lambda: self._click(path))

    def _post(self, about: Told, once: Callable[[], Awaitable[str]]) -> None:
        for _ in range(2 if self._chance.random() < TWICE_SHARE else 1):
            at_once = self._chance.random() < AT_ONCE_SHARE
            delay = 0.0 if at_once else self._chance.uniform(0, DELAY_SECONDS)
            task = asyncio.create_task(self._until_taken(about, once, delay))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _until_taken(
        self, about: Told, once: Callable[[], Awaitable[str]], delay: float
    ) -> None:
        tries = 0
        await asyncio.sleep(delay)
        while True:
            tries += 1
            async with self._places:
                answer = await _answer_of(once)
            if answer[:1] == "2":
                break
            if answer[:1] == "5":
                self._oddities.append(f"{about.kind} of {about.number} was refused: {answer}")
                return
            await asyncio.sleep(AGAIN_SECONDS)
        self.told.append(
            msgspec.structs.replace(about, taken_at=time.monotonic(), tries=tries)
        )  # fmt: skip

    async def _mail(self, report: Report) -> str:
        """One SMTP session; the last reply, 2xx only when the mail was taken."""
        reader, writer = await asyncio.open_connection(*self.bounces)
        try:
            for line, wanted in (
                (b"", "220"),
                (b"EHLO mx.chaos.test\r\n", "250"),
                (f"MAIL FROM:<{report.sender}>\r\n".encode(), "250"),
                (f"RCPT TO:<{report.recipient}>\r\n".encode(), "250"),
                (b"DATA\r\n", "354"),
            ):
                writer.write(line)
                reply = await _reply(reader)
                if not reply.startswith(wanted):
                    return reply if reply[:1] in ("4", "5") else ""
            writer.write(report.content + b".\r\n")
            return await _reply(reader)
        finally:
            writer.transport.abort()

    async def _click(self, path: str) -> str:
        """One POST; its status, a 4xx one of SMTP's for what web says to try again."""
        host, port = self.web
        reader, writer = await asyncio.open_connection(host, port)
        try:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(_CLICK)}\r\n\r\n"
            )
            writer.write(head.encode() + _CLICK)
            status = (await reader.readline()).decode().partition(" ")[2].strip()
            return f"451 {status}" if status[:3] in _TRY_AGAIN else status
        finally:
            writer.transport.abort()


async def _answer_of(once: Callable[[], Awaitable[str]]) -> str:
    """What was answered in time; empty: nothing."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await once()
    except (OSError, TimeoutError, ValueError):
        return ""


async def _reply(reader: asyncio.StreamReader) -> str:
    """The last line of a reply; empty when the server has hung up."""
    while True:
        line = (await reader.readline()).decode(errors="replace")
        if line[3:4] != "-" or not line.endswith("\n"):
            return line.strip() if line.endswith("\n") else ""
