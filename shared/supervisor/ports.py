"""Ports for listeners: one that was asked for is checked, one of the system's choice is kept.

`reserve` gives the address and a socket that holds it. A held port is bound but does not listen:
the system gives it to nobody else, neither to a listener nor to an outgoing connection, while a
child that sets SO_REUSEADDR (all of ours do) can listen on it, again after each restart.
"""

from __future__ import annotations

import socket
import sys

import msgspec


class Reserved(msgspec.Struct, frozen=True):
    """An address for a listener. Keep it for as long as the listener may start."""

    host: str
    port: int
    holder: socket.socket | None = None

    def release(self) -> None:
        """Hold it no longer."""
        if self.holder is not None:
            self.holder.close()


def reserve(host: str, port: int = 0) -> Reserved:
    """An address that is free now; port 0 lets the system choose. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)  # On some systems only this tells that another one listens.
        return Reserved(host, port)
    holder = socket.socket(family)
    try:
        holder.bind((host, 0))
        chosen = int(holder.getsockname()[1])
        if sys.platform != "linux":  # Elsewhere a bound port cannot be bound a second time.
            holder.close()
            return Reserved(host, chosen)
        # Only now: while it was unset, the system has chosen a port that nobody else is bound to.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        holder.close()
        raise
    return Reserved(host, chosen, holder)
