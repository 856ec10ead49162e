"""Pools as the store keeps them: the text of a pool, and why one stands still. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.hops import PoolMembers
from shared.store.ports import Pause


def pack_pool(pool: PoolMembers) -> str:
    """`ordered gw1=1 gw2=1`, as `lua/claim.lua` reads it."""
    return " ".join([pool.kind, *(f"{member}={weight}" for member, weight in pool.members)])


def members_in(packed: str) -> tuple[str, ...]:
    """The members in a pool's text."""
    return tuple(each.partition("=")[0] for each in packed.split()[1:])


def pause_of_pool(own: Pause | None, members: Sequence[Pause | None]) -> Pause | None:
    """Why a pool stands still: by itself, or because all its members do, until the first may."""
    still = [each for each in members if each is not None]
    if own is not None or not members or len(still) < len(members):
        return own
    return min(still, key=lambda each: float("inf") if each.until_ms is None else each.until_ms)
