"""Permits that class critical waits for: the rules of `lua/parts/awaited.lua`."""

from __future__ import annotations

from collections.abc import Iterable

from shared.model.turns import hop_and_application
from shared.store.memory_state import State

SOON_MS = 1000
"""Who asks again within this time is waited for."""
MOST_ASKED = 20


def await_permits(state: State, key: str, hop: str, *, short: bool) -> None:
    """Note whether class critical found too few of a key at a hop."""
    hops = state.awaited.setdefault(key, {})
    if short:
        hops[hop] = state.now()
    else:
        hops.pop(hop, None)


def asks_at(state: State, hop: str) -> int | None:
    """When mail of class critical at a hop asks for permits the next time; None: there is none."""
    wake = state.wake["critical"]
    times = (
        wake.get(name, 0)
        for (message_class, name), queue in state.ready.items()
        if queue and message_class == "critical" and hop_and_application(name)[0] == hop
    )
    return min(times, default=None)


def is_for_critical(state: State, hops: Iterable[str], keys: Iterable[str]) -> bool:
    """Whether what these hops might take, by these limits, is class critical's."""
    if not state.ring["critical"] and not state.wake["critical"]:
        return False
    return any(asks_at(state, hop) is not None for hop in hops) or any(
        _is_awaited(state, key) for key in keys
    )


def _is_awaited(state: State, key: str) -> bool:
    hops, soon = state.awaited.get(key, {}), state.now() + SOON_MS
    for _, hop in sorted((at, each) for each, at in hops.items() if at <= soon)[:MOST_ASKED]:
        at = asks_at(state, hop)
        if at is not None and at <= soon:
            return True
        if at is not None:
            hops[hop] = at
        else:
            del hops[hop]
    return False
