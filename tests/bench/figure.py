"""What a benchmark returns: figures, the bars they are held to, and the peers measured beside them.

Pure arithmetic: nothing here measures or prints.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal

SLOW_MACHINE = 0.9
"""A bar counts as met at this share of the ratio to the peer that the bars imply."""


@dataclass(frozen=True)
class Peer:
    """Another program, or a floor, measured in the same run on the same machine."""

    name: str
    values: tuple[float, ...]
    reference: float | None = None
    """What it reached on the machine that the bars were set on; None: it judges nothing."""

    @property
    def value(self) -> float:
        """The median of its runs."""
        return statistics.median(self.values)


@dataclass(frozen=True)
class Figure:
    """One measured number: a value for each run."""

    name: str
    values: tuple[float, ...]
    unit: str
    better: Literal["higher", "lower"] = "higher"
    must: float | None = None
    aim: float | None = None
    peers: tuple[Peer, ...] = ()

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.values)

    def ratio(self, peer: Peer) -> float:
        """How many times the peer's value ours is."""
        return self.value / peer.value if peer.value else 0.0

    def shortfall(self) -> float | None:
        """By which share of the bar it is missed; 0 or less when it is met; None without a bar."""
        if self.must is None:
            return None
        if self.better == "higher":
            return 1 - self.value / self.must
        return self.value / self.must - 1

    def met_by_ratio(self, peer: Peer) -> bool:
        """Whether the peer shows that the machine was slow, not we."""
        if self.must is None or not peer.reference or self.better == "lower":
            return False
        return self.ratio(peer) >= SLOW_MACHINE * self.must / peer.reference

    def verdict(self) -> str:
        """met, met by ratio, or missed and by how much; empty without a bar."""
        shortfall = self.shortfall()
        if shortfall is None:
            return ""
        if shortfall <= 0:
            return "met"
        for peer in self.peers:
            if self.met_by_ratio(peer):
                return f"met by ratio to {peer.name}"
        return f"missed by {shortfall:.1%}"

    def records(self) -> list[dict[str, Any]]:
        """The entries of bench.json: one, and one more for every further peer."""
        found = [self._record(self.name, self.peers[0] if self.peers else None)]
        for peer in self.peers[1:]:
            found.append(self._record(f"{self.name}, against {peer.name}", peer))
        return found

    def _record(self, name: str, peer: Peer | None) -> dict[str, Any]:
        return {
            "figure": name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "better": self.better,
            "must": self.must,
            "peer": peer.name if peer else None,
            "peer_value": round(peer.value, 3) if peer else None,
            "ratio": round(self.ratio(peer), 3) if peer else None,
        }
