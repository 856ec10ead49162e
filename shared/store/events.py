"""Entries of the events stream: what changed of recipients and of the suppression list."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True):
    """One entry of the events stream."""

    id: str
    """The stream's id: milliseconds, a dash, a number."""
    kind: str
    """accepted, attempt, cancelled, rescheduled, expired, crashed, dead, late, rerouted,
    moved, requeued, dropped; bounced, complained (news after the fact), unsubscribed, suppressed,
    unsuppressed, imported (suppressions)."""
    leg: bytes
    """18 bytes of leg id; 16 bytes of message id for what concerns the whole message, or whose leg
    is gone; empty where it is about an address."""
    payload: bytes
    """msgpack; `accepted`: an `AcceptedPayload`, or nothing; `attempt`, `late`: an `Attempt`;
    `bounced`, `complained`: a `CameBack`; `suppressed`, `unsubscribed`: a `Suppression`;
    `unsuppressed`: an `Unsuppressed`; `imported`: a map, `suppressions` how many. Else empty."""
