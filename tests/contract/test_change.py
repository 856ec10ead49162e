"""Cancel, reschedule, split, and API keys."""

from __future__ import annotations

import msgspec

from shared.api_keys import generate
from shared.model.status import Status
from shared.store.ports import ChangeKind, Settled
from tests.support.stores import Store, settlement


def test_cancel_in_time(store: Store) -> None:
    ready, scheduled = store.accept(), store.accept(send_in_ms=60_000)
    for identifier in (ready, scheduled):
        assert store.spool.cancel(identifier).kind is ChangeKind.CHANGED
        assert store.statuses(identifier) == ["cancelled"]
        assert store.spool.cancel(identifier).kind is ChangeKind.TOO_LATE
    assert store.claim().legs == ()
    store.pump_for(70)
    assert store.claim().legs == ()
    assert store.spool.depth().finished_messages == 2
    store.reconcile()


def test_cancel_of_a_leg_in_flight(store: Store) -> None:
    identifier = store.accept()
    (claimed,) = store.claim().legs
    assert store.spool.cancel(identifier).kind is ChangeKind.IN_FLIGHT
    store.settle(settlement(claimed, Status.DEFERRED))
    assert store.spool.cancel(identifier).kind is ChangeKind.CHANGED
    assert store.statuses(identifier) == ["cancelled"]


def test_cancel_of_what_can_still_be_cancelled(store: Store) -> None:
    identifier = store.accept(hops=("a", "b"))
    (claimed,) = store.claim(limit=1).legs
    assert store.spool.cancel(identifier).kind is ChangeKind.CHANGED
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.statuses(identifier) == ["delivered", "cancelled"]
    store.reconcile()


def test_cancel_of_an_unknown_message(store: Store) -> None:
    assert store.spool.cancel(bytes(16)).kind is ChangeKind.NOT_FOUND


def test_reschedule(store: Store) -> None:
    identifier = store.accept()
    later = store.clock.now_ms() + 60_000
    changed = store.spool.reschedule(identifier, later, later + 10_000)
    assert changed.kind is ChangeKind.CHANGED
    assert store.statuses(identifier) == ["scheduled"]
    assert changed.stored is not None
    assert changed.stored.head.send_at_ms == later
    assert changed.stored.legs[0].give_up_ms == later + 10_000
    assert store.claim().legs == ()
    store.pump()
    store.pump_for(61)
    assert len(store.claim().legs) == 1


def test_reschedule_to_now(store: Store) -> None:
    identifier = store.accept(send_in_ms=60_000)
    now = store.clock.now_ms()
    assert store.spool.reschedule(identifier, now, now + 10**9).kind is ChangeKind.CHANGED
    assert store.statuses(identifier) == ["queued"]
    assert len(store.claim().legs) == 1


def test_reschedule_too_late(store: Store) -> None:
    identifier = store.accept()
    now = store.clock.now_ms()
    (claimed,) = store.claim().legs
    assert store.spool.reschedule(identifier, now, now).kind is ChangeKind.IN_FLIGHT
    store.settle(settlement(claimed, Status.DEFERRED))
    assert store.spool.reschedule(identifier, now, now).kind is ChangeKind.TOO_LATE


def test_split_gives_each_destination_its_own_leg(store: Store) -> None:
    identifier = store.accept(hops=("route",), recipients=3)
    (claimed,) = store.claim().legs
    base = msgspec.structs.replace(claimed.leg, statuses=(Status.QUEUED,))
    parts = [
        msgspec.structs.replace(base, hop="a", recipients=(0,)),
        msgspec.structs.replace(base, hop="b", recipients=(2,)),
        msgspec.structs.replace(base, hop="c", recipients=(1,)),
    ]

    async def split() -> bool:
        return await store.queue().split(claimed.leg_id, claimed.fence, parts)

    assert store.run(split())
    assert not store.run(split())  # The claim has ended with it.
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.REFUSED]
    legs = store.claim().legs
    assert sorted((each.leg.hop, each.leg.recipients) for each in legs) == [
        ("a", (0,)),
        ("b", (2,)),
        ("c", (1,)),
    ]
    for each in legs:
        status = Status.DELIVERED if each.leg.hop == "b" else Status.BOUNCED
        store.settle(settlement(each, status))
    assert store.statuses(identifier) == ["bounced", "bounced", "delivered"]
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_keys_are_found_listed_and_revoked(store: Store) -> None:
    text, key = generate("shop", ("shop.test",), ("critical",), store.clock)
    assert key.id in text
    store.keys.add(key)
    assert store.keys.find(key.id) == key
    assert store.keys.find("nobody") is None
    assert store.keys.revoke(key.id)
    assert not store.keys.revoke("nobody")
    (revoked,) = store.keys.all()
    assert revoked.revoked_ms == store.clock.now_ms()
