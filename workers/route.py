"""Where a leg goes: the hop that it carries, and another one when nobody delivers to that any more.

`NextHops` is what the pipeline knows of where it can go; `shared.parting` makes the legs. Pure.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from shared.model.leg import Leg
from shared.model.message import Head
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
    direct: bool = False
    """Whether it is a host of the recipients' domains, and not a relay of ours."""
    must_be_secure: bool = False
    """With `direct`: whether nothing is sent without verified TLS."""


class NextHops(Protocol):
    """The next hops."""

    def find(self, hop: str) -> NextHop | None:
        """The next hop of a name; None when nobody delivers to it."""
        ...

    def reroute(self, leg: Leg, head: Head) -> tuple[Leg, ...]:
        """The legs that replace one whose hop is gone."""
        ...
