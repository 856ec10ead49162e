"""A 250 reported after the lease ran out counts, as long as nobody else has the message."""

from __future__ import annotations

from shared.clock import ManualClock
from shared.model.status import Status
from shared.store.ports import Settled
from tests.support.redis_server import RedisServer
from tests.support.stores import RedisTestStore, settings, settlement


def test_late_settle_counts(own_redis_server: RedisServer) -> None:
    store = RedisTestStore(settings(own_redis_server.url), ManualClock())
    identifier = store.accept()
    store.pump()
    (claimed,) = store.claim().legs
    store.pump_for(13)
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.LATE]
    assert store.claim().legs == ()
    assert store.statuses(identifier) == ["delivered"]
    assert store.ledger() == ["accepted", "crashed", "attempt"]
    store.reconcile()
    store.close()
