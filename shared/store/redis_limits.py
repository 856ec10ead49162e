"""What limits there are on Redis or Valkey, and what has been used of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.hops import DestinationLimit
from shared.store.connection import SyncRedis
from shared.store.limits import Fields, Limited, fields_of, in_window, windows
from shared.store.scripts import PREFIX

BATCH = 1000


def limits_of(redis: SyncRedis, keys: Sequence[str] | None, now_ms: int) -> list[Limited]:
    """What holds for these keys; None: for all of which anything is said."""
    if keys is None:
        flat = redis.command("HGETALL", f"{PREFIX}shaping")
        pairs = zip(flat[::2], flat[1::2], strict=True)
        fields = Fields({name.decode(): value for name, value in pairs})
        keys = fields.keys
    else:
        named = fields_of(keys)
        values = redis.command("HMGET", f"{PREFIX}shaping", *named) if named else []
        fields = Fields({name: each for name, each in zip(named, values, strict=True) if each})
    holds = {key: fields.effective(key, now_ms) for key in keys}
    used = _all_used(redis, {key: each.limit for key, each in holds.items()}, now_ms)
    return [Limited(key, each, used.get(key, {})) for key, each in holds.items()]


def used_of(redis: SyncRedis, key: str, limit: DestinationLimit, now_ms: int) -> dict[str, int]:
    """Legs of each window that has a limit."""
    return _all_used(redis, {key: limit}, now_ms).get(key, {})


def _all_used(
    redis: SyncRedis, limits: Mapping[str, DestinationLimit], now_ms: int
) -> dict[str, dict[str, int]]:
    asked = [(key, window) for key, limit in limits.items() for window, _ in windows(limit)]
    found: dict[str, dict[str, int]] = {}
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        answers = redis.commands(
            [("HGETALL", f"{PREFIX}used:{window}:{key}") for key, window in part]
        )
        for (key, window), flat in zip(part, answers, strict=True):
            parts = {int(flat[at]): int(flat[at + 1]) for at in range(0, len(flat), 2)}
            found.setdefault(key, {})[window] = in_window(window, parts, now_ms)
    return found
