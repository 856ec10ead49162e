"""Lines of waiting legs on Redis or Valkey: reading them, and the arguments of `lua/move.lua`.

A line is read in pieces beside what workers do with it: an entry may be gone when it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from shared.model.leg import message_of, pack_statuses
from shared.model.message import CLASSES
from shared.model.turns import queue_at
from shared.store.connection import SyncRedis, Value
from shared.store.operations import Line, Move, Waiting
from shared.store.scripts import PREFIX
from shared.store.unreadable import readable_head, readable_leg


def entries(redis: SyncRedis, line: Line, skip: int, most: int, *, heads: bool) -> list[Waiting]:
    """Entries of a line in their order."""
    c, last = CLASSES.index(line.message_class), skip + most - 1
    if line.application is None:
        ids = redis.command("ZRANGE", f"{PREFIX}waiting:{c}:{line.hop}", skip, last)
    else:
        queue = queue_at(line.hop, line.application)
        ids = redis.command("LRANGE", f"{PREFIX}ready:{c}:{queue}", skip, last)
    legs = redis.commands([("HGET", f"{PREFIX}leg:{each[15]}", each) for each in ids])
    if not heads:
        return [_entry(line, *pair, None) for pair in zip(ids, legs, strict=True)]
    found = redis.commands([("HGET", f"{PREFIX}head:{each[15]}", message_of(each)) for each in ids])
    return [_entry(line, *three) for three in zip(ids, legs, found, strict=True)]


def _entry(line: Line, leg_id: bytes, packed: bytes | None, head: bytes | None) -> Waiting:
    if packed is None:
        return Waiting(leg_id, None, gone=True)
    leg = readable_leg(message_of(leg_id), packed)
    if leg is None:
        return Waiting(leg_id, None)
    if not line.has(leg):
        return Waiting(leg_id, None, gone=True)
    return Waiting(leg_id, leg, head=readable_head(head))


def packed_moves(line: Line, moves: Sequence[Move], *, now: bool) -> list[Value]:
    """The arguments of the script."""
    whose = "" if line.application is None else f"|{line.application}"
    flat: list[Value] = [CLASSES.index(line.message_class), line.hop, whose, int(now)]
    for each in moves:
        if each.leg is None:
            flat += (each.leg_id, 0, b"", 0)
            continue
        flat += (each.leg_id, each.leg.fence, pack_statuses(each.leg.statuses), len(each.legs))
        for leg in each.legs:
            count = len(leg.recipients)
            indices = struct.pack(f">{count + 1}H", count, *leg.recipients)
            flat += (leg.hop, pack_statuses(leg.statuses), indices)
    return flat
