"""Where a leg goes: today the first relay, whose name legs carry as their hop.

`NextHops` is what the pipeline knows of where it can go. Pure; a leg for a hop that nobody delivers
to any more (its relay was removed) is given back as the legs that replace it.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from shared.model.leg import Leg
from workers.smtp.types import Envelope, Lease, Transaction


class Transport(Protocol):
    """What transmits: `workers.smtp.Pool`, or a stand-in of the benchmarks."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction; its troubles are values in the answer."""
        ...


class NextHop(msgspec.Struct, frozen=True):
    """Where mail goes, and how it leaves."""

    transport: Transport
    signed: bool = True
    """Whether mail that goes this next_hop is signed here."""
    unsigned_headers: tuple[str, ...] = ()
    """Headers, lower case, that are rewritten on this next_hop, so not to be signed."""


class NextHops(Protocol):
    """The next hops."""

    @property
    def default(self) -> str:
        """The hop of mail without a route of its own."""
        ...

    def find(self, hop: str) -> NextHop | None:
        """The next hop of a name; None when nobody delivers to it."""
        ...


def reroute(leg: Leg, default: str) -> tuple[Leg, ...]:
    """The legs that replace one whose hop is gone."""
    return (msgspec.structs.replace(leg, hop=default, recipients=leg.indices()),)
