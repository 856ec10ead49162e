"""Where a leg goes: today the first relay, whose name legs carry as their hop.

`Ways` is what the pipeline knows of the next hops. Pure; a leg for a hop that nobody delivers to
any more (its relay was removed) is given back as the legs that replace it.
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


class Way(msgspec.Struct, frozen=True):
    """How mail for one hop leaves."""

    transport: Transport
    signed: bool = True
    """Whether mail that goes this way is signed here."""
    unsigned_headers: tuple[str, ...] = ()
    """Headers, lower case, that are rewritten on this way, so not to be signed."""


class Ways(Protocol):
    """The next hops."""

    @property
    def default(self) -> str:
        """The hop of mail without a route of its own."""
        ...

    def find(self, hop: str) -> Way | None:
        """The way for a hop; None when nobody delivers to it."""
        ...


def reroute(leg: Leg, default: str) -> tuple[Leg, ...]:
    """The legs that replace one whose hop is gone."""
    return (msgspec.structs.replace(leg, hop=default, recipients=leg.indices()),)
