"""The names of hops: where a leg goes, as the store, metrics and operators know it. Pure."""

from __future__ import annotations

import msgspec

_SOURCE_MARK = "@"


class Path(msgspec.Struct, frozen=True):
    """A relay, and the route whose source address or greeting sessions there have."""

    relay: str
    route: str = ""

    @property
    def hop(self) -> str:
        """Its name."""
        return f"{self.relay}{_SOURCE_MARK}{self.route}" if self.route else self.relay


def shared_part(hop: str) -> str:
    """The relay of a hop: what its limits belong to, from whichever address it is reached."""
    return hop.partition(_SOURCE_MARK)[0]
