"""One question to one DNS server by one datagram, from a port of its own: the plain case.

`ask` gives None when the library has to ask, for whatever reason; it raises nothing but
cancellation. Port and identity are chosen by chance for each question (RFC 5452 section 9.2).
"""

from __future__ import annotations

import asyncio
import secrets
import socket

from workers.dns.answers import Kind, Told
from workers.dns.wire import answers, plain_answer, query

PAYLOAD_BYTES = 1232
"""EDNS: the largest answer by UDP that no path has to break up (DNS flag day 2020)."""
_MOST_BYTES = 65_535


async def ask(server: str, port: int, name: str, kind: Kind, seconds: float) -> Told | None:
    """Ask the server at this address, and wait so long for it."""
    asked = query(name, kind, secrets.randbits(16), PAYLOAD_BYTES)
    if asked is None:
        return None
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.setblocking(False)
            own.connect((server, port))  # Datagrams from anywhere else do not reach us.
            own.send(asked)
            async with asyncio.timeout(seconds):
                response = await _response(own, asked)
    except (OSError, ValueError):  # A timeout is an `OSError`, too.
        return None
    return plain_answer(response, asked, name, kind)


async def _response(own: socket.socket, asked: bytes) -> bytes:
    """The first datagram that belongs to the query."""
    loop = asyncio.get_running_loop()
    while True:
        data = await loop.sock_recv(own, _MOST_BYTES)
        if answers(data, asked):
            return data
