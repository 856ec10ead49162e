"""The store that benches and browser tests fill by hand is one that the scripts would have made."""

from __future__ import annotations

import pytest

from shared.model.status import Status
from shared.store.recent import Sought
from tests.support.filling import DAY_MS, HOPS, HOUR_MS, fill
from tests.support.stores import RedisTestStore, Store, settlement

DEFERRED, FINISHED = 900, 300


@pytest.fixture
def filled(store: Store) -> Store | None:
    """A server with messages; the twin has no layout to be held to."""
    if not isinstance(store, RedisTestStore):
        return None
    fill(store.url, store.clock.now_ms(), deferred=DEFERRED, finished=FINISHED)
    return store


def test_counts_and_messages_are_as_the_scripts_leave_them(filled: Store | None) -> None:
    if filled is None:
        return
    filled.reconcile()
    depth = filled.spool.depth()
    assert sum(depth.deferred_legs.values()) == DEFERRED
    assert depth.finished_messages == FINISHED
    waiting = {each.hop: each.deferred for each in filled.operations.destinations()}
    assert set(waiting) == set(HOPS)
    entries = list(filled.recent.recent(None, 2000).entries)
    assert len(entries) == DEFERRED + FINISHED
    times = [entry.head.accepted_ms for entry in entries]
    assert times == sorted(times, reverse=True)
    for entry in entries[::50]:
        stored = filled.spool.get(entry.message_id)
        assert stored is not None
        assert (stored.head, stored.legs[0].statuses) == (entry.head, entry.statuses)
        assert stored.legs[0].history
        assert stored.legs[0].cause() != "unreadable"


def test_it_goes_on_as_a_store_does(filled: Store | None) -> None:
    """What is deferred comes due, is claimed and delivered, and all is forgotten and trimmed."""
    if filled is None:
        return
    filled.clock.advance(2 * HOUR_MS / 1000)
    moved = 0
    while found := filled.pump().due:
        moved += found
    assert moved == DEFERRED
    assert sum(filled.spool.depth().deferred_legs.values()) == 0
    assert not [each for each in filled.operations.destinations() if each.deferred]
    done = 0
    for name in ("critical", "transactional", "bulk"):
        while legs := filled.claim(name, limit=500, quantum=500).legs:
            assert all(leg.content for leg in legs)
            filled.settle(*(settlement(leg, Status.DELIVERED) for leg in legs))
            done += len(legs)
    assert done == DEFERRED
    filled.reconcile()
    page = filled.recent.search(Sought(status=Status.DEFERRED), None, 5, scan=5000)
    assert page.entries == ()
    filled.clock.advance(DAY_MS / 1000 + 1)
    while filled.pump().forgotten:
        pass
    for _ in range(20):
        filled.pump()
    assert filled.recent.recent(None, 5).scanned_to_ms is None
    assert filled.spool.depth().finished_messages == 0
