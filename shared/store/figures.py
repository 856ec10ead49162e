"""What a store tells of itself as a whole: whether it may take mail, and counts. Values."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, frozen=True):
    """What admission looks at. Bytes are of the store's own machine."""

    reasons: tuple[str, ...]
    """Why nothing should be accepted now; empty when healthy. Words for operators."""
    used_memory_bytes: int = 0
    max_memory_bytes: int = 0
    aof_bytes: int = 0
    disk_free_bytes: int | None = None
    """None when the data directory is not on this machine."""


class Depth(msgspec.Struct, frozen=True):
    """Counts of recipients, or of legs where it says so, committed with the state they count."""

    accepted: dict[str, int]
    """By class."""
    by_status: dict[str, dict[str, int]]
    """class -> status name -> recipients; final ones are counted for ever."""
    ready_legs: dict[str, int]
    counters: dict[str, int]
    """crashes, late_delivered, events_trimmed, tickets_minted, relay_troubles, ..."""
    attempts: dict[tuple[str, str, str], int]
    """(class, status letter, category) -> recipients, by what an attempt came to."""
    oldest_ready_ms: dict[str, int]
    """Age of the head of the oldest ready queue seen, by class; absent when none is ready."""
    deferred_legs: dict[str, int]
    leased_legs: dict[str, int]
    live_workers: int
    events_length: int
    dead_legs: int
    held_legs: int
    """Uncertain, and held for an operator."""
    suspended_hops: int
    troubled_hops: int
    """Without sites: which of the world's mail hosts are away is no trouble of ours."""
    finished_messages: int
