"""The port of SMTP sessions: how many are open over all workers, and who may set up another one.

Any method may raise the `StoreError` family and nothing else. `lua/session.lua` tells the rules,
`memory_sessions` has them in Python. A session is counted at its relay or site, and at the route
its hop is named after (`shared.hops.limit_keys`), whether there is a limit or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

LEASE_MS = 6000
"""Sessions of a process that nobody has heard of for so long count no more."""
RENEW_SECONDS = 2.0


class Asked(msgspec.Struct, frozen=True):
    """What a process has at a hop, and wants."""

    hop: str
    held: int
    """Sessions that are open or being set up: all that it has there."""
    more: int = 0
    """Sessions that it would set up now."""
    urgent: bool = False
    """Class critical waits, and there is no session to take it."""


class Answer(msgspec.Struct, frozen=True):
    """What it may do there."""

    granted: int = 0
    """Of `more`: they count from now on."""
    again_ms: int = 0
    """When to ask again for the others; 0: none was refused."""
    idle: int = 0
    """Others wait for so many: sessions without mail should end."""
    due: int = 0
    """So many should end after the message they are at: the others' share."""


class Sessions(Protocol):
    """Asynchronous, like `Queue`."""

    async def ask(self, process: str, asked: Sequence[Asked]) -> list[Answer]:
        """Tell what a process has, and ask for more; the answers in order.

        Hops that are not among them stay as they are. It is to be called every `RENEW_SECONDS`
        while the process has a session, with all hops that have one.
        """
        ...

    async def leave(self, process: str) -> None:
        """The process stops: it has no session any more."""
        ...
