"""Which hops stand still, or are at a limit, of those that the legs of a message wait for."""

from __future__ import annotations

from collections.abc import Sequence

from shared.hops import POOL, limit_keys
from shared.model.leg import Leg, LegState
from shared.model.message import CLASSES
from shared.model.turns import queue_at
from shared.store.connection import SyncRedis
from shared.store.limits import Fields, fields_of, reached
from shared.store.pools import members_in, pause_of_pool
from shared.store.ports import Kept, Pause
from shared.store.redis_destinations import pause_of
from shared.store.redis_limits import used_of
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


def kept_of(redis: SyncRedis, legs: Sequence[Leg], now_ms: int) -> dict[str, Kept]:
    """Hop -> what keeps its ready legs back, where something does."""
    ready = {leg.hop: leg for leg in legs if leg.state is LegState.READY}
    if not ready:
        return {}
    scores = redis.commands(
        [
            ("ZSCORE", f"{PREFIX}wake:{CLASSES.index(leg.message_class)}",
             queue_at(hop, leg.application))
            for hop, leg in ready.items()
        ]
    )  # fmt: skip
    until = {
        hop: int(float(score))
        for hop, score in zip(ready, scores, strict=True)
        if score is not None and float(score) > now_ms
    }
    if not until:
        return {}
    members = _members(redis, sorted(until))
    names = {hop: _reached(redis, members.get(hop) or (hop,), now_ms) for hop in until}
    return {hop: Kept(at, names[hop]) for hop, at in until.items()}


def _reached(redis: SyncRedis, hops: Sequence[str], now_ms: int) -> str:
    """The first limit of these hops that is reached."""
    keys = list(dict.fromkeys(key for hop in hops for key in limit_keys(hop)))
    named = fields_of(keys)
    values = redis.command("HMGET", f"{PREFIX}shaping", *named)
    fields = Fields({name: each for name, each in zip(named, values, strict=True) if each})
    flying = redis.command("HMGET", f"{PREFIX}flying", *keys)
    for key, count in zip(keys, flying, strict=True):
        limit = fields.effective(key, now_ms).limit
        used = used_of(redis, key, limit, now_ms)
        name = reached(limit, used, int(count or 0))
        if name:
            return f"{name} of {key}"
    return ""
