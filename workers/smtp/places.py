"""Where a session connects to: the host of a relay, or the addresses of a site in order.

A `Places` is asked for each session that is set up, and hears which addresses could be connected
to. The session tries one after the other until it is set up at one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from shared.relays import Relay


class Place(msgspec.Struct, frozen=True):
    """One place to connect to."""

    address: str
    """An address, or for a relay perhaps a name that is looked up then."""
    name: str
    """For SNI, and what the certificate must be for."""
    shown: str = ""
    """What an attempt says about it; empty for a relay, which the hop names."""


class Places(Protocol):
    """The places of one next hop."""

    def choose(self) -> Sequence[Place]:
        """Those to try, in order; at least one."""
        ...

    def connected(self, place: Place) -> None:
        """There is somebody."""
        ...

    def not_connected(self, place: Place) -> None:
        """There is nobody."""
        ...


class OnePlace:
    """That of a relay."""

    def __init__(self, relay: Relay) -> None:
        self._places = (Place(relay.host, relay.tls_name or relay.host),)

    def choose(self) -> Sequence[Place]:
        """The relay's host."""
        return self._places

    def connected(self, place: Place) -> None:
        """Nothing is remembered: there is no other."""

    def not_connected(self, place: Place) -> None:
        """Nothing is remembered: there is no other."""
