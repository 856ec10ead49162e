"""Figures by minute: what the store has counted, noted once a minute, and what happened between.

The first pump of a minute, whichever worker's it is, appends a sample; those of a day are kept. A
minute in which no worker ran has none. Counts are of recipients, or of legs where it says so. Pure,
but for the port.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from shared.model.message import CLASSES, MessageClass, UnknownFormat, check_format

MOST_SAMPLES = 1440
"""Those of 24 hours."""
MINUTE_MS = 60_000
_FORMAT = 1


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one class. The first seven count since ever in a sample, and what was new
    in a `Minute`; the others are what there is at that time."""

    accepted: int = 0
    delivered: int = 0
    bounced: int = 0
    deferrals: int = 0
    """Attempts that were deferred, by recipients."""
    expired: int = 0
    suppressed: int = 0
    cancelled: int = 0
    uncertain: int = 0
    """Held for an operator."""
    dead: int = 0
    """Dead letters."""
    ready: int = 0
    """Legs."""
    deferred: int = 0
    """Legs, scheduled ones too."""
    in_flight: int = 0
    """Legs that a worker has."""
    oldest_ready_ms: int = -1
    """Age of the oldest ready message seen; -1: none is ready."""


_SINCE_EVER = ("accepted", "delivered", "bounced", "deferrals", "expired", "suppressed",
               "cancelled")  # fmt: skip


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """The figures at one moment, by class as in `CLASSES`."""

    at_ms: int
    classes: tuple[Figures, Figures, Figures]

    def of(self, message_class: MessageClass) -> Figures:
        """Those of one class."""
        return self.classes[CLASSES.index(message_class)]

    def total(self) -> Figures:
        """Those of all classes: the sum, and the age of the oldest."""
        return total(self.classes)


class Minute(msgspec.Struct, frozen=True):
    """What happened in one minute."""

    at_ms: int
    """When the minute began."""
    classes: tuple[Figures, Figures, Figures] | None
    """None: no worker ran, so nothing is known of this minute by itself."""

    def total(self) -> Figures | None:
        """Of all classes together."""
        return None if self.classes is None else total(self.classes)


class Samples(Protocol):
    """The samples of the last day. Blocking; may raise the `StoreError` family."""

    def samples(self, most: int = MOST_SAMPLES) -> list[Sample]:
        """The last so many, the oldest first."""
        ...


_decode = msgspec.msgpack.Decoder(Sample).decode


def unpack_sample(packed: bytes) -> Sample:
    """A sample as `lua/parts/sample.lua` packs it. Raises `UnknownFormat`."""
    check_format("sample", packed, _FORMAT)
    try:
        return _decode(packed[1:])
    except (ValueError, msgspec.MsgspecError) as error:
        raise UnknownFormat("the sample is damaged") from error


def total(classes: Sequence[Figures]) -> Figures:
    """The sum over classes; of the oldest, the age of the oldest."""
    names = [name for name in Figures.__struct_fields__ if name != "oldest_ready_ms"]
    sums = {name: sum(getattr(each, name) for each in classes) for name in names}
    oldest = max((each.oldest_ready_ms for each in classes), default=-1)
    return Figures(**sums, oldest_ready_ms=oldest)


def between(first: Sample, last: Sample) -> tuple[Figures, Figures, Figures]:
    """What was new from one sample to another, and what there was at the last.

    Never below zero: a store may have been put back to what it was, and a bounce that comes late
    takes a delivery back.
    """
    one, two, three = (_change(*pair) for pair in zip(first.classes, last.classes, strict=True))
    return one, two, three


def _change(first: Figures, last: Figures) -> Figures:
    new = {name: max(0, getattr(last, name) - getattr(first, name)) for name in _SINCE_EVER}
    return msgspec.structs.replace(last, **new)


def minutes(samples: Sequence[Sample]) -> list[Minute]:
    """Minute by minute from the first sample to the last: one less than samples without a gap.

    A sample is taken when a minute begins, so it tells of the minute before. Where the clock was
    put back, what comes after counts, and minutes that are told already end before it.
    """
    found: list[Minute] = []
    last: Sample | None = None
    for sample in samples:
        if last is None:
            last = sample
            continue
        began, now = last.at_ms // MINUTE_MS, sample.at_ms // MINUTE_MS
        if now < began:
            found, last = [each for each in found if each.at_ms < now * MINUTE_MS], sample
            continue
        if now == began:
            continue
        if now - began > MOST_SAMPLES:  # Nobody draws a gap of more than a day.
            found, last = [], sample
            continue
        known = between(last, sample) if now - began == 1 else None
        found += [Minute(minute * MINUTE_MS, known) for minute in range(began, now)]
        last = sample
    return found
