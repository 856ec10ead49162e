"""The name by which this host greets, when its relay's entry gives none (RFC 5321 4.1.1.1)."""

from __future__ import annotations

import asyncio
import re
import socket

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FULL = re.compile(rf"(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}\Z", re.IGNORECASE)
_NOT_OURS = ("localhost", "localdomain")


class OwnName:
    """This host's name, looked up once, in a thread: the resolver may take its time."""

    def __init__(self) -> None:
        self._found: str | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        """The fully qualified name; empty when this host has none that others could know."""
        async with self._lock:
            if self._found is None:
                try:
                    name = await asyncio.to_thread(socket.getfqdn)
                except UnicodeError:
                    name = ""  # Not a name that DNS could have.
                self._found = name if is_fully_qualified(name) else ""
            return self._found


def is_fully_qualified(name: str) -> bool:
    """Whether a name has a domain, and is not every host's name for itself."""
    labels = name.lower().split(".")
    return bool(_FULL.match(name)) and len(name) <= 253 and labels[-1] not in _NOT_OURS
