"""What keeps a ready message back where its hop does not stand still: which limit, until when."""

from __future__ import annotations

import pytest

from shared.hops import DestinationLimit, PoolMembers
from shared.store.ports import Kept
from tests.contract.test_limits import limit
from tests.support.stores import Store


def kept(store: Store, identifier: bytes) -> Kept | None:
    stored = store.spool.get(identifier)
    assert stored is not None
    return stored.kept.get(stored.legs[0].hop)


@pytest.mark.parametrize(
    ("hop", "key", "said", "name"),
    [
        ("gw", "gw", DestinationLimit(per_second=1.0), "per_second of gw"),
        ("gw@news", "gw", DestinationLimit(per_hour=1, per_second=50.0), "per_hour of gw"),
        ("gw@news", "@news", DestinationLimit(per_minute=1), "per_minute of @news"),
        ("gw", "gw", DestinationLimit(concurrency=1), "concurrency of gw"),
        ("mx:a.test@+sts~x", "mx:*", DestinationLimit(per_day=1, per_minute=1),
         "per_day of mx:a.test"),
        ("pool:p", "gw", DestinationLimit(per_minute=1), "per_minute of gw"),
    ],
)  # fmt: skip
def test_a_limit_that_is_reached_is_named(
    store: Store, hop: str, key: str, said: DestinationLimit, name: str
) -> None:
    store.run(store.queue().pools({"pool:p": PoolMembers("ordered", (("gw", 1),))}))
    store.pump()
    limit(store, key, said)
    first, second = (store.accept(hops=(hop,)) for _ in range(2))
    assert (kept(store, first), kept(store, second)) == (None, None)
    assert len(store.claim(quantum=1, limit=1).legs) == 1
    assert len(store.claim().legs) == 0
    found = kept(store, second)
    assert found is not None
    assert found.limit == name
    assert store.clock.now_ms() < found.until_ms <= store.clock.now_ms() + 2 * 86_400_000
    assert kept(store, first) is None  # It is under way.
    store.operations.suspend(hop, None, "")
    assert kept(store, second) is None  # Which is told instead.


def test_what_no_limit_keeps_has_no_name(store: Store) -> None:
    store.pump()
    limit(store, "gw", DestinationLimit(per_minute=100))
    store.accept(hops=("gw",), message_class="critical")
    waits = store.accept(hops=("gw",))
    assert store.claim().legs == ()  # Class critical is before it.
    found = kept(store, waits)
    assert found is not None
    assert found.limit == ""
    store.clock.advance(1)
    assert kept(store, waits) is None
