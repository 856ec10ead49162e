"""One class of mail in a worker: the tickets that were taken for it, and when to claim."""

from __future__ import annotations

import asyncio

SOON_MS = 1000
"""The next permit of a hop is waited for; what comes later is announced by a ticket."""


class Lane:
    """The tickets of one class, and whether it should claim."""

    def __init__(self) -> None:
        self.tickets: list[str] = []
        self.wanted = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while no claim is under way."""
        self.idle.set()
        self._alarm: asyncio.TimerHandle | None = None

    def call_again(self, milliseconds: int | None) -> None:
        """Claim once more after so long; what was said before no longer counts."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if milliseconds is not None and milliseconds <= SOON_MS:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(milliseconds / 1000, self.wanted.set)
