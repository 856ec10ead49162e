"""The receiver's doors: each listens, refuses connections, or answers 421 to whoever comes.

A door that goes away takes its sessions along, as the end of a server does; but what a session has
answered, or owes an answer to, the client still hears: none of these faults excuses a second copy.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from shared.supervisor.ports import reserve
from tests.chaos.places import HOSTS, LOOPBACK, RELAYS, Door

BACKLOG = 512
TRIES = 50

Entrance = Callable[[str], asyncio.Protocol]
"""Makes the session of a connection that came by the door of that name."""


class Doors:
    """All of them."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._held: list[socket.socket] = []
        self._servers: dict[str, asyncio.Server] = {}
        self.places = {name: self._port_of_its_own() for name in RELAYS}
        self.places |= self._one_port_for_all()

    def _port_of_its_own(self) -> Door:
        found = reserve(LOOPBACK)
        assert found.holder is not None
        self._held.append(found.holder)
        return Door(LOOPBACK, found.port)

    def _one_port_for_all(self) -> dict[str, Door]:
        """The hosts' doors. Their port is held on every address, so that nobody else gets it."""
        for _ in range(TRIES):
            held: list[socket.socket] = []
            port = 0
            try:
                for address in HOSTS.values():
                    holder = socket.socket()
                    held.append(holder)
                    if port:
                        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    holder.bind((address, port))
                    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    port = int(holder.getsockname()[1])
            except OSError as error:
                for each in held:
                    each.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            self._held += held
            return {name: Door(address, port) for name, address in HOSTS.items()}
        raise AssertionError("no port is free on all addresses")

    async def open(self, name: str) -> None:
        """Listen there."""
        if name in self._servers:
            return
        place = self.places[name]
        self._servers[name] = await asyncio.get_running_loop().create_server(
            lambda: self._entrance(name), place.host, place.port, backlog=BACKLOG
        )

    def shut(self, name: str) -> None:
        """Refuse connections."""
        server = self._servers.pop(name, None)
        if server is not None:
            server.close()
