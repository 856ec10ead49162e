"""Which hops stand still, of those that the legs of a message wait for."""

from __future__ import annotations

from collections.abc import Sequence

from shared.hops import POOL
from shared.model.leg import Leg, LegState
from shared.store.connection import SyncRedis
from shared.store.pools import members_in, pause_of_pool
from shared.store.ports import Pause
from shared.store.redis_operations import pause_of
from shared.store.scripts import PREFIX


def pauses_of(redis: SyncRedis, legs: Sequence[Leg], now_ms: int) -> dict[str, Pause]:
    """Hop -> why it stands still, of the ready ones that do."""
    hops = sorted({leg.hop for leg in legs if leg.state is LegState.READY})
    if not hops:
        return {}
    members = _members(redis, hops)
    asked = sorted({*hops, *(each for pool in members.values() for each in pool)})
    answers = redis.commands(
        [("HMGET", f"{PREFIX}{kind}", *asked) for kind in ("suspended", "trouble")]
    )
    found = zip(asked, *answers, strict=True)
    each = {hop: pause_of(suspended, trouble, now_ms) for hop, suspended, trouble in found}
    pauses = {
        hop: pause_of_pool(each[hop], [each[member] for member in members.get(hop, ())])
        for hop in hops
    }
    return {hop: pause for hop, pause in pauses.items() if pause is not None}


def _members(redis: SyncRedis, hops: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The members of those that are pools."""
    pools = [hop for hop in hops if hop.startswith(POOL)]
    if not pools:
        return {}
    packed = redis.command("HMGET", f"{PREFIX}pools", *pools)
    found = zip(pools, packed, strict=True)
    return {pool: members_in(text.decode()) for pool, text in found if text is not None}
