"""Where a domain's mail goes, or why it goes nowhere: plain values."""

from __future__ import annotations

import msgspec


class Target(msgspec.Struct, frozen=True):
    """One address to connect to."""

    host: str
    """The MX host it belongs to: the name for SNI and certificates."""
    address: str
    """What was checked, and so what to connect to."""


class MxHost(msgspec.Struct, frozen=True):
    """One host that takes the mail."""

    preference: int
    name: str
    """Lower case, without the final dot; of an address literal the literal itself."""
    addresses: tuple[str, ...]
    """In the order to try them; at least one."""


class Route(msgspec.Struct, frozen=True):
    """The hosts, in the order to try them."""

    site: str
    hosts: tuple[MxHost, ...]

    def targets(self) -> tuple[Target, ...]:
        """Every address, in the order to try them (RFC 5321 section 5.1: at least two of them)."""
        return tuple(Target(host.name, each) for host in self.hosts for each in host.addresses)


class Bounce(msgspec.Struct, frozen=True):
    """No mail can go there: final."""

    code: int
    enhanced: str
    """RFC 3463."""
    text: str
    """Words of ours; the domain itself is not in it."""


class Deferral(msgspec.Struct, frozen=True):
    """Nobody knows at the moment where it goes: to be asked again."""

    code: int
    enhanced: str
    text: str


Routed = Route | Bounce | Deferral
