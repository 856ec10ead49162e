"""How much a run measures: everything, or enough for a first look in two minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Sizes of the benchmarks; messages are those of one run."""

    runs: int = 3
    batch_messages: int = 10_000
    single_messages: int = 5_000
    drain_messages: int = 20_000
    peer_messages: int = 2_000
    signing_peer: bool = True
    """Also a Postfix that signs, where OpenDKIM is installed."""
    spaced_samples: int = 15
    """Of one message every two seconds."""
    steady_seconds: int = 10
    """At 200 messages a second, in each run."""
    suppressions: int = 10_000_000


FULL = Effort()
QUICK = Effort(
    batch_messages=4_000,
    single_messages=2_000,
    drain_messages=6_000,
    peer_messages=500,
    signing_peer=False,
    spaced_samples=10,
    steady_seconds=4,
    suppressions=200_000,
)
