"""Stored values that cannot be read: what becomes of a claimed leg, and what views show instead.

One damaged value must stop neither a worker nor a view. A leg whose head is missing or damaged
becomes a dead letter, `unreadable`; one of a newer release waits for a worker of that release. A
view shows a stand-in, so that an operator can see and drop it. Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from shared.ids import accepted_ms
from shared.model.leg import (
    Attempt,
    Leg,
    LegState,
    RecipientReply,
    pack_history,
    salvage_leg,
    unpack_leg,
)
from shared.model.message import Address, Head, NewerFormat, Recipient, UnknownFormat, unpack_head
from shared.model.status import OPEN, Status
from shared.store.attempts import attempt_counter
from shared.store.ports import Claimed, Settlement, Verb

CAUSE = "unreadable"
REST_MS = 60_000
"""How long a leg of a newer release waits until it is tried again."""
_TEXT = "(unreadable)"
_HOP = "unknown"
_STATES = {
    Status.DEAD: LegState.DEAD,
    Status.UNCERTAIN: LegState.HELD,
    Status.QUEUED: LegState.WAITING,
}

_encode = msgspec.msgpack.Encoder().encode


class Row(NamedTuple):
    """A leg that a claim has leased, its head still packed."""

    leg_id: bytes
    leg: Leg
    head: bytes | None
    content: bytes | None


class Sorted(NamedTuple):
    """What of a claim can be read, and what is done about the rest."""

    legs: list[Claimed]
    damaged: list[Settlement]
    newer: list[Settlement]


def sort_out(rows: Iterable[Row], now_ms: int) -> Sorted:
    """Decode each leg's head by itself."""
    found = Sorted([], [], [])
    for row in rows:
        try:
            head = unpack_head(row.head or b"")
            if max(row.leg.indices(), default=0) >= len(head.recipients):
                raise UnknownFormat("the head lacks recipients")
        except NewerFormat:
            rest = Settlement(row.leg_id, row.leg.fence, Verb.RELEASE, retry_after_ms=REST_MS)
            found.newer.append(rest)
        except UnknownFormat:
            found.damaged.append(dead(row.leg_id, row.leg, now_ms))
        else:
            found.legs.append(Claimed(row.leg_id, row.leg.fence, row.leg, head, row.content))
    return found


def dead(leg_id: bytes, leg: Leg, now_ms: int) -> Settlement:
    """The settlement that makes a leg a dead letter."""
    indices = leg.open_indices()
    replies = tuple(RecipientReply(index, Status.DEAD.letter) for index in indices)
    attempt = Attempt(now_ms, leg.hop, replies, CAUSE)
    return Settlement(
        leg_id,
        leg.fence,
        Verb.SETTLE,
        tuple(Status.DEAD if each in OPEN else each for each in leg.statuses),
        leg.attempts + 1,
        pack_history((*leg.history, attempt), leg.earlier),
        _encode(attempt),
        counted=(attempt_counter(leg.message_class, Status.DEAD.letter, "other"),) * len(indices),
    )


def shown(message_id: bytes, packed: bytes | None, legs: Sequence[Leg]) -> tuple[Head, list[Leg]]:
    """A message's head and legs for a view: with a stand-in for a head that cannot be read.

    The legs that are not final then have `unreadable` as their last cause.
    """
    try:
        head = unpack_head(packed or b"")
    except UnknownFormat:
        head = None
    count = max((index + 1 for leg in legs for index in leg.indices()), default=0)
    if head is not None and count <= len(head.recipients):
        return head, list(legs)
    at_ms = accepted_ms(message_id)
    people = (Recipient("to", _TEXT),) * count
    message_class = legs[0].message_class if legs else "transactional"
    stand_in = Head(
        "", message_class, _TEXT, Address(_TEXT), _TEXT, people, _TEXT, at_ms
    )  # fmt: skip
    return stand_in, [_noted(leg, at_ms) for leg in legs]


def readable_head(packed: bytes | None) -> Head | None:
    """A message's head; None where nothing can be told of it."""
    try:
        return None if packed is None else unpack_head(packed)
    except UnknownFormat:
        return None


def readable_leg(message_id: bytes, packed: bytes) -> Leg | None:
    """A leg for a view, without its history where that is damaged; None when nothing is told."""
    with suppress(UnknownFormat):
        return unpack_leg(packed)
    with suppress(UnknownFormat):
        return _noted(salvage_leg(packed), accepted_ms(message_id))
    return None


def readable_legs(message_id: bytes, head: bytes | None, packed: Sequence[bytes]) -> list[Leg]:
    """A message's legs for a view, with stand-ins for those that cannot be read."""
    found = [readable_leg(message_id, each) for each in packed]
    read = [leg for leg in found if leg is not None]
    return [
        leg or stand_in_leg(message_id, head, read, _status(each))
        for leg, each in zip(found, packed, strict=True)
    ]


def _status(packed: bytes) -> Status:
    try:
        unpack_leg(packed)
    except NewerFormat:
        return Status.QUEUED
    except UnknownFormat:
        pass
    return Status.DEAD


def stand_in_leg(
    message_id: bytes, head: bytes | None, others: Sequence[Leg], status: Status
) -> Leg:
    """What is shown for a leg: it has the recipients that no other one has."""
    told, _ = shown(message_id, head, others)
    taken = {index for leg in others for index in leg.indices()}
    count = len(told.recipients)
    mine = tuple(each for each in range(count) if each not in taken) or (count,)
    return Leg(
        _STATES[status],
        told.message_class,
        _HOP,
        (status,) * len(mine),
        mine,
        give_up_ms=told.give_up_ms,
        history=(Attempt(told.accepted_ms, _HOP, (), CAUSE),),
    )


def _noted(leg: Leg, at_ms: int) -> Leg:
    """The leg with `unreadable` as its last cause."""
    if leg.state is LegState.FINAL or leg.cause() == CAUSE:
        return leg
    at_ms = leg.history[-1].at_ms if leg.history else at_ms
    note = Attempt(at_ms, leg.hop, (), CAUSE)
    return msgspec.structs.replace(leg, history=(*leg.history, note))
