"""Status of one recipient: its letters in the store, and which status may follow which.

Takes nothing, gives constants. A status letter outside the table is a bug of ours and raises
`KeyError` where it is read.
"""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Where one recipient of a message stands. The value is the name used in JSON."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    UNCERTAIN = "uncertain"
    DEAD = "dead"

    __hash__ = object.__hash__  # Members are single; the usual one is Python, at every look-up.

    @property
    def letter(self) -> str:
        """The one ASCII letter that stands for this status in a leg record."""
        return _LETTERS[self]


_LETTERS = {
    Status.QUEUED: "q",
    Status.SCHEDULED: "s",
    Status.DEFERRED: "f",
    Status.DELIVERED: "d",
    Status.BOUNCED: "b",
    Status.EXPIRED: "x",
    Status.SUPPRESSED: "p",
    Status.CANCELLED: "c",
    Status.UNCERTAIN: "u",
    Status.DEAD: "l",
}

BY_LETTER = {letter: status for status, letter in _LETTERS.items()}

OPEN = frozenset({Status.QUEUED, Status.SCHEDULED, Status.DEFERRED})
"""Statuses that a worker still has to act on."""

ASIDE = frozenset({Status.DEAD, Status.UNCERTAIN})
"""Statuses that an operator has to decide about."""

FINAL = frozenset(
    {Status.DELIVERED, Status.BOUNCED, Status.EXPIRED, Status.SUPPRESSED, Status.CANCELLED}
)
"""Statuses that nothing but a later DSN changes (delivered or uncertain to bounced)."""

OPEN_LETTERS = "".join(sorted(status.letter for status in OPEN))

_AFTER_OPEN = frozenset(Status)
FOLLOWS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: _AFTER_OPEN,
    Status.SCHEDULED: _AFTER_OPEN,
    Status.DEFERRED: _AFTER_OPEN,
    # An operator resends or drops a held one; a DSN may bounce it; the server's reply to the dot
    # may come after all.
    Status.UNCERTAIN: frozenset(
        {Status.QUEUED, Status.CANCELLED, Status.DELIVERED, Status.DEFERRED, Status.BOUNCED}
    ),
    # An operator requeues or drops it; a late 250 or 5xx of the worker we gave up on still counts.
    Status.DEAD: frozenset({Status.QUEUED, Status.CANCELLED, Status.DELIVERED, Status.BOUNCED}),
    Status.DELIVERED: frozenset({Status.BOUNCED}),
    Status.BOUNCED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.SUPPRESSED: frozenset(),
    Status.CANCELLED: frozenset(),
}
