"""Making deferred mail due now, in steps, so that it is known how far a flush came.

A store that goes away in the middle is an ordinary outcome (`Flushed.interrupted`); before that,
while nothing was done, it is the `StoreError` family.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.store.operations import Destination, Operations

STEP = 100
"""Legs of one script: so many are in doubt when its answer does not come."""


class Flushed(msgspec.Struct):
    """What came of a flush so far. Legs, not recipients."""

    chosen: int
    """Deferred when it began."""
    stand_still: list[str]
    """Destinations whose mail does not go for all that: suspended, or in trouble."""
    flushed: int = 0
    interrupted: str = ""
    """Why the store went away in the middle; empty when it did not."""
    in_doubt: int = 0
    """Interrupted: at most so many more may have been flushed."""


def flush(
    operations: Operations, rows: Sequence[Destination], *, most: int, dry_run: bool = False
) -> Flushed:
    """Flush these destinations, at most `most` legs of each."""
    deferred = [each for each in rows if each.deferred]
    told = Flushed(
        sum(each.deferred for each in deferred),
        sorted({each.hop for each in deferred if each.pause is not None}),
    )
    try:
        for each in [] if dry_run else deferred:
            _flush_one(operations, each, min(each.deferred, most), told)
    except StoreError as error:
        if not isinstance(error, OutcomeUnknown):
            told.in_doubt = 0
        if not told.flushed and not told.in_doubt:
            raise StoreUnavailable(str(error)) from error
        told.interrupted = str(error)
    return told


def _flush_one(operations: Operations, each: Destination, left: int, told: Flushed) -> None:
    while left > 0:
        told.in_doubt = min(STEP, left)
        moved = operations.flush(each.hop, each.message_class, told.in_doubt)
        told.in_doubt = 0
        told.flushed += moved
        if moved == 0:
            return
        left -= moved
