"""Late news: what comes back after a delivery changes the status, is told and counted, once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.errors import StoreError
from shared.model.leg import LATE_BOUNCE, Attempt, leg_id
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.store.news import late_bounce
from shared.store.ports import Claimed, Settled
from shared.store.returns import Came, News, NewsKind
from shared.store.suppression_records import place_of
from tests.support.stores import (
    MemoryTestStore,
    RedisTestStore,
    Store,
    release,
    settlement,
)

DAY_SECONDS = 86_400


def news(
    message_id: bytes, recipient: int | None = 0, kind: NewsKind = "bounced", mark: bytes = b"m"
) -> News:
    """News of one recipient, each with a mark of its own."""
    attempt = late_bounce(5, "mx.test", recipient or 0, 550, "5.1.1", "no such user")
    return News(
        kind, message_id, mark + bytes([recipient or 0]), "app", "transactional", "gmail",
        msgspec.msgpack.encode({"code": 550}), recipient, attempt if kind == "bounced" else None,
    )  # fmt: skip


def notes(store: Store, message_id: bytes) -> list[str]:
    """The notes of a message's history."""
    stored = store.spool.get(message_id)
    assert stored is not None
    return [each.note for leg in stored.legs for each in leg.all_attempts()]


def counted(store: Store) -> dict[str, int]:
    """What was counted for the site of `news`."""
    found = store.returns.outcomes(0).items()
    return {what: count for (_, _, site, what), count in found if site == "gmail"}


def delivered(store: Store, *statuses: Status, **options: object) -> tuple[bytes, Claimed]:
    """A message whose only leg was settled so."""
    identifier = store.accept(recipients=len(statuses), **options)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, *statuses))
    return identifier, claimed


def test_a_delivered_recipient_bounces_once(store: Store) -> None:
    identifier, _ = delivered(store, Status.DELIVERED, Status.DELIVERED)
    assert store.returns.news(news(identifier, 1)) is Came.CHANGED
    assert store.statuses(identifier) == ["delivered", "bounced"]
    assert notes(store, identifier) == ["", LATE_BOUNCE]
    for _ in range(2):
        assert store.returns.news(news(identifier, 1)) is Came.REPEATED
    assert notes(store, identifier) == ["", LATE_BOUNCE]
    assert store.ledger() == ["accepted", "attempt", "bounced"]
    event = store.spool.events()[-1]
    assert (event.leg, msgspec.msgpack.decode(event.payload)) == (
        leg_id(identifier, 0),
        {"code": 550},
    )
    assert counted(store) == {"bounced_late": 1}
    assert store.returns.news(news(identifier, 0)) is Came.CHANGED
    assert store.statuses(identifier) == ["bounced", "bounced"]
    store.reconcile()
    assert store.spool.depth().finished_messages == 1


def test_it_is_found_in_whichever_leg_it_is(store: Store) -> None:
    identifier = store.accept(hops=("a", "b", "c"), recipients=2)
    store.settle(*(settlement(each, Status.DELIVERED) for each in store.claim().legs))
    assert store.returns.news(news(identifier, 5)) is Came.CHANGED
    assert store.returns.news(news(identifier, 2)) is Came.CHANGED
    statuses = [status[0] for status in store.statuses(identifier)]
    assert statuses == ["d", "d", "b", "d", "d", "b"]
    assert [event.leg[16:] for event in store.spool.events()[-2:]] == [b"\0\2", b"\0\1"]
    assert store.returns.news(news(identifier, 6)) is Came.NOTED
    store.reconcile()


def test_what_was_held_is_decided_when_its_last_uncertain_recipient_bounced(store: Store) -> None:
    identifier, claimed = delivered(
        store, Status.UNCERTAIN, Status.UNCERTAIN, Status.DELIVERED, hold=True
    )
    store.clock.advance(1)
    assert store.returns.news(news(identifier, 1)) is Came.CHANGED
    assert store.returns.news(news(identifier, 2)) is Came.CHANGED
    (held,) = store.operations.aside("uncertain", 10)
    assert held.since_ms == store.clock.now_ms() - 1000
    assert store.spool.depth().finished_messages == 0
    assert store.returns.news(news(identifier, 0)) is Came.CHANGED
    assert store.operations.aside("uncertain", 10) == []
    depth = store.spool.depth()
    assert (depth.finished_messages, depth.held_legs) == (1, 0)
    assert store.operations.drop([claimed.leg_id]) == [False]
    # The worker that lost its lease reports at last: the report of the receiver stands.
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["bounced"] * 3
    store.reconcile()


def test_a_dead_letter_stays_one_and_keeps_its_cause(store: Store) -> None:
    identifier = store.accept(recipients=2)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED, Status.DEAD, note="poison"))
    assert store.returns.news(news(identifier, 0)) is Came.CHANGED
    (dead,) = store.operations.aside("dead", 10)
    assert dead.leg.cause() == "poison"
    assert store.operations.requeue([(claimed.leg_id, store.clock.now_ms() + 9000)]) == [True]
    assert store.statuses(identifier) == ["bounced", "queued"]
    store.reconcile()


@pytest.mark.parametrize(
    "status", [Status.DEFERRED, Status.BOUNCED, Status.DEAD], ids=lambda each: each.value
)
def test_other_statuses_are_noted_and_stay(store: Store, status: Status) -> None:
    identifier, _ = delivered(store, status)
    assert store.returns.news(news(identifier)) is Came.NOTED
    assert store.statuses(identifier) == [status.value]
    assert notes(store, identifier) == ["", LATE_BOUNCE]
    assert store.ledger()[-1] == "bounced"
    assert counted(store) == {"bounced_late": 1}
    store.reconcile()


def test_cancelled_and_expired_stay(store: Store) -> None:
    first, second = store.accept(deliver_by_in_ms=1000), store.accept()
    store.spool.cancel(second)
    store.pump_for(2)
    for identifier, status in ((first, "expired"), (second, "cancelled")):
        assert store.returns.news(news(identifier)) is Came.NOTED
        assert store.statuses(identifier) == [status]
    store.reconcile()


def test_a_leg_in_flight_is_settled_around_it(store: Store) -> None:
    """The worker knows nothing of it: what it reports must not undo the bounce."""
    identifier = store.accept(recipients=3)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED, Status.DEFERRED, Status.DEFERRED))
    store.pump_for(62)
    (claimed,) = store.claim().legs
    assert store.returns.news(news(identifier, 0)) is Came.CHANGED
    assert store.renew(claimed) == [True]
    given = settlement(claimed, Status.DELIVERED, Status.DELIVERED, Status.DEFERRED)
    assert store.settle(given) == [Settled.DONE]
    assert store.settle(given) == [Settled.REFUSED]
    assert store.statuses(identifier) == ["bounced", "delivered", "deferred"]
    assert notes(store, identifier) == ["", "", LATE_BOUNCE]
    store.pump_for(62)
    (claimed,) = store.claim().legs
    assert [each.note for each in claimed.leg.history] == ["", "", LATE_BOUNCE]
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.statuses(identifier) == ["bounced", "delivered", "delivered"]
    assert notes(store, identifier) == ["", "", LATE_BOUNCE, ""]
    store.reconcile()


@pytest.mark.parametrize("reported", [Status.DELIVERED, Status.UNCERTAIN])
def test_a_bounce_that_is_quicker_than_the_settlement_counts(
    store: Store, reported: Status
) -> None:
    identifier = store.accept(recipients=2, hold=True)
    (claimed,) = store.claim().legs
    assert store.returns.news(news(identifier, 1)) is Came.NOTED
    assert store.statuses(identifier) == ["queued", "queued"]
    store.settle(settlement(claimed, Status.DELIVERED, reported))
    assert store.statuses(identifier) == ["delivered", "bounced"]
    assert notes(store, identifier) == ["", LATE_BOUNCE]
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_it_counts_when_the_lease_has_run_out_before_the_settlement(store: Store) -> None:
    store.clock.advance(3590)  # What is kept by the hour is found in the next one.
    identifier = store.accept()
    store.pump()
    (claimed,) = store.claim().legs
    assert store.returns.news(news(identifier)) is Came.NOTED
    store.pump_for(20)
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["bounced"]
    store.reconcile()


def test_it_counts_when_the_delivery_is_told_of_a_dead_letter(store: Store) -> None:
    identifier = store.accept()
    for _ in range(3):  # Ends a worker each time.
        store.pump()
        (claimed,) = store.claim().legs
        assert store.returns.news(news(identifier, mark=b"%d" % store.clock.now_ms()))
        store.pump_for(20)
    assert store.statuses(identifier) == ["dead"]
    assert store.settle(settlement(claimed, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["bounced"]
    assert store.operations.aside("dead", 10) == []
    store.reconcile()


def test_it_decides_what_a_worker_left_at_the_final_dot(store: Store) -> None:
    identifier = store.accept(hold=True)
    store.pump()
    (claimed,) = store.claim().legs
    assert store.dot(claimed)
    assert store.returns.news(news(identifier)) is Came.NOTED
    store.pump_for(20)
    assert store.statuses(identifier) == ["bounced"]
    assert store.operations.aside("uncertain", 10) == []
    assert notes(store, identifier) == ["worker ended at the final dot", LATE_BOUNCE]
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_a_release_forgets_nothing(store: Store) -> None:
    identifier, _ = delivered(store, Status.DELIVERED, Status.DEFERRED)
    store.pump_for(62)
    (claimed,) = store.claim().legs
    assert store.returns.news(news(identifier, 0)) is Came.CHANGED
    given = release(claimed)
    store.settle(msgspec.structs.replace(given, history=b"\x90"))
    assert store.statuses(identifier) == ["bounced", "deferred"]
    assert notes(store, identifier) == [LATE_BOUNCE]
    store.reconcile()


def test_the_next_copy_is_another_one(store: Store) -> None:
    """It came about the first copy, while nobody had the leg: the second may well arrive."""
    identifier, _ = delivered(store, Status.DEFERRED)
    assert store.returns.news(news(identifier)) is Came.NOTED
    store.pump_for(62)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.statuses(identifier) == ["delivered"]
    # Both copies have the same reference, so the report about the second looks like the first.
    assert store.returns.news(news(identifier)) is Came.CHANGED
    assert store.returns.news(news(identifier)) is Came.REPEATED
    assert store.statuses(identifier) == ["bounced"]
    assert notes(store, identifier) == ["", LATE_BOUNCE, "", LATE_BOUNCE]
    assert store.ledger() == ["accepted", "attempt", "bounced", "attempt", "bounced"]
    assert counted(store) == {"bounced_late": 1}
    store.reconcile()


def test_the_next_copy_may_bounce_before_it_is_settled_too(store: Store) -> None:
    identifier, _ = delivered(store, Status.DEFERRED)
    for _ in range(3):
        store.returns.news(news(identifier))
    assert notes(store, identifier) == ["", LATE_BOUNCE]  # However often it is told.
    store.pump_for(62)
    (claimed,) = store.claim().legs
    for _ in range(3):
        assert store.returns.news(news(identifier)) is Came.REPEATED
    store.settle(settlement(claimed, Status.DELIVERED))
    assert store.statuses(identifier) == ["bounced"]
    assert notes(store, identifier) == ["", LATE_BOUNCE, "", LATE_BOUNCE]
    assert counted(store) == {"bounced_late": 1}
    store.reconcile()


def test_a_bounce_counts_when_a_claim_that_was_overtaken_tells_of_the_copy(store: Store) -> None:
    """A worker stood still after the 250; the mail was claimed again, and given back."""
    identifier = store.accept()
    (first,) = store.claim().legs
    assert store.returns.news(news(identifier)) is Came.NOTED
    store.pump_for(20)
    (second,) = store.claim().legs
    store.settle(release(second))
    assert store.settle(settlement(first, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["bounced"]
    assert notes(store, identifier).count(LATE_BOUNCE) == 1
    store.reconcile()


def kept_early(store: Store) -> int:
    """How much news is kept for those who do not know of it."""
    if isinstance(store, MemoryTestStore):
        return sum(map(len, store.memory.state.early.kept.values()))
    assert isinstance(store, RedisTestStore)
    count = 0
    for key in store.client.keys("ph:early:*"):
        packed: Any
        for packed in store.client.hvals(key):
            while packed:
                packed = packed[10 + int.from_bytes(packed[6:10], "big") :]
                count += 1
    return count


@pytest.mark.parametrize("end", ["released", "lease over"])
def test_and_when_somebody_else_has_the_mail_then(store: Store, end: str) -> None:
    identifier = store.accept()
    (first,) = store.claim().legs
    assert store.returns.news(news(identifier)) is Came.NOTED
    store.pump_for(20)
    (second,) = store.claim().legs
    for _ in range(2):  # The second time nothing is kept once more.
        assert store.settle(settlement(first, Status.DELIVERED)) == [Settled.REFUSED]
    assert kept_early(store) == 2
    if end == "released":
        store.settle(release(second))
    else:
        store.pump_for(20)
    assert store.statuses(identifier) == ["bounced"]
    assert notes(store, identifier).count(LATE_BOUNCE) == 1
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_what_came_of_an_older_copy_is_not_held_against_a_late_one(store: Store) -> None:
    identifier = store.accept()
    (first,) = store.claim().legs
    assert store.returns.news(news(identifier)) is Came.NOTED
    store.settle(release(first))
    (second,) = store.claim().legs
    store.pump_for(20)
    (third,) = store.claim().legs
    store.settle(release(third))
    assert store.settle(settlement(second, Status.DELIVERED)) == [Settled.LATE]
    assert store.statuses(identifier) == ["delivered"]
    store.reconcile()


def test_a_split_keeps_it(store: Store) -> None:
    identifier, _ = delivered(store, Status.DELIVERED, Status.DEFERRED, Status.DEFERRED)
    store.pump_for(62)
    (claimed,) = store.claim().legs
    assert store.returns.news(news(identifier, 0)) is Came.CHANGED
    leg = claimed.leg
    parts = [
        msgspec.structs.replace(
            leg, hop=hop, recipients=group, statuses=tuple(leg.statuses[at] for at in group)
        )
        for hop, group in (("a", (1,)), ("b", (0, 2)))
    ]
    assert store.run(store.queue().split(claimed.leg_id, claimed.fence, parts))
    assert store.statuses(identifier) == ["bounced", "deferred", "deferred"]
    store.settle(*(settlement(each, Status.DELIVERED) for each in store.claim().legs))
    assert store.statuses(identifier) == ["bounced", "delivered", "delivered"]
    store.reconcile()


@pytest.mark.parametrize("kind", ["complained", "unsubscribed"])
def test_complaints_and_unsubscriptions_change_no_status(store: Store, kind: NewsKind) -> None:
    identifier, _ = delivered(store, Status.DELIVERED)
    told = news(identifier, kind=kind)
    assert store.returns.news(told) is Came.NOTED
    assert store.returns.news(told) is Came.REPEATED
    assert store.statuses(identifier) == ["delivered"]
    assert store.ledger() == ["accepted", "attempt", kind]
    assert counted(store) == {kind: 1}
    assert store.returns.news(news(identifier)) is Came.CHANGED


def listed(store: Store) -> list[tuple[str, str, str]]:
    """What is on the suppression list."""
    entries = store.suppressions.page("", 100).entries
    return sorted((each.address, each.list, each.reason) for each in entries)


def test_a_dead_address_is_suppressed_with_its_bounce(store: Store) -> None:
    identifier, _ = delivered(store, Status.DELIVERED)
    entry = Suppression("r0@example.test", "app", "", "bounce", "dsn", 7, None, "550 5.1.1")
    told = msgspec.structs.replace(news(identifier), suppressions=(entry,))
    assert store.returns.news(told) is Came.CHANGED
    assert store.suppressions.find("r0@example.test") == [entry]
    assert store.ledger() == ["accepted", "attempt", "suppressed", "bounced"]
    assert store.suppressions.remove("r0@example.test", "app", "")
    # The same report once more does not undo what somebody has decided.
    assert store.returns.news(told) is Came.REPEATED
    assert listed(store) == []


def test_an_unsubscription_is_told_once_until_he_subscribes_again(store: Store) -> None:
    def unsubscription(address: str, list_name: str = "news") -> News:
        entry = Suppression(address, "app", list_name, "unsubscribe", "one-click", 7)
        return msgspec.structs.replace(news(b"", None, "unsubscribed"), suppressions=(entry,))

    first = unsubscription("a@b.test")
    assert [store.returns.news(first) for _ in range(3)] == [Came.NOTED] + [Came.REPEATED] * 2
    assert store.returns.news(unsubscription("a@b.test", "other")) is Came.NOTED
    assert store.returns.news(unsubscription("c@b.test")) is Came.NOTED
    assert counted(store) == {"unsubscribed": 3}
    assert store.suppressions.remove("a@b.test", "app", "news")
    assert [store.returns.news(first) for _ in range(2)] == [Came.NOTED, Came.REPEATED]
    assert listed(store) == [
        ("a@b.test", "news", "unsubscribe"),
        ("a@b.test", "other", "unsubscribe"),
        ("c@b.test", "news", "unsubscribe"),
    ]
    assert store.ledger().count("unsubscribed") == 4


def test_nobody_hears_that_he_is_unsubscribed_when_he_is_not(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        return  # The twin packs nothing.
    entry = Suppression("a@b.test", "app", "news", "unsubscribe", "one-click", 7)
    other = Suppression("c@d.test", "app", "news", "unsubscribe", "one-click", 7)
    both = (other, entry)
    given = msgspec.structs.replace(news(b"", None, "unsubscribed"), suppressions=both)
    place = place_of("a@b.test")
    key = f"ph:suppressed:{place[0]}"
    for _ in range(2):
        store.client.hset(key, place[1:], b"\2new")
        for _ in range(2):
            with pytest.raises(StoreError):
                store.returns.news(given)
        assert store.client.hget(key, place[1:]) == b"\2new"
        assert listed(store) == [("c@d.test", "news", "unsubscribe")]
        store.client.hdel(key, place[1:])
        assert [store.returns.news(given) for _ in range(2)] == [Came.NOTED, Came.REPEATED]
        assert len(listed(store)) == 2
    assert store.ledger() == ["suppressed", *["suppressed", "unsubscribed"] * 2]


def test_a_bounce_counts_when_its_suppression_has_no_room(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        return  # The twin packs nothing.
    place = place_of("a@b.test")
    store.client.hset(f"ph:suppressed:{place[0]}", place[1:], b"\2new")
    identifier, _ = delivered(store, Status.DELIVERED)
    entry = Suppression("a@b.test", "app", "", "bounce", "dsn", 7)
    given = msgspec.structs.replace(news(identifier), suppressions=(entry,))
    assert store.returns.news(given) is Came.CHANGED
    assert store.statuses(identifier) == ["bounced"]


def test_what_is_gone_is_noted(store: Store) -> None:
    gone = bytes(range(16))
    assert store.returns.news(news(gone)) is Came.NOTED
    assert store.returns.news(news(gone)) is Came.REPEATED
    assert store.returns.news(news(gone, None, mark=b"n")) is Came.NOTED
    unsubscription = news(b"", None, "unsubscribed")
    assert store.returns.news(unsubscription) is Came.NOTED
    assert [event.leg for event in store.spool.events()] == [gone, gone, b""]
    assert counted(store) == {"bounced_late": 2, "unsubscribed": 1}


def test_it_is_remembered_as_long_as_it_counts(store: Store) -> None:
    gone = bytes(16)
    store.clock.advance(5 * DAY_SECONDS)  # To the end of a week.
    assert store.returns.news(news(gone)) is Came.NOTED
    store.clock.advance(60 * DAY_SECONDS - 1)
    assert store.returns.news(news(gone)) is Came.REPEATED
    store.clock.advance(11 * DAY_SECONDS)
    assert store.returns.news(news(gone)) is Came.NOTED
    if isinstance(store, RedisTestStore):
        client: Any = store.client
        for key in client.keys("ph:told:*"):
            days = client.ttl(key) / DAY_SECONDS
            assert 60 <= days <= 67


def test_what_cannot_be_read_is_noted(store: Store) -> None:
    identifier, _ = delivered(store, Status.DELIVERED)
    store.put_head(identifier, b"\x01\xc1")
    assert store.returns.news(news(identifier)) is Came.CHANGED
    other, _ = delivered(store, Status.DELIVERED)
    if isinstance(store, MemoryTestStore):
        return  # What it holds is no bytes.
    assert isinstance(store, RedisTestStore)
    for at, damaged in enumerate((b"", b"\x01", b"\x02new", b"\xff" * 40, b"\x01" * 60)):
        store.client.hset(f"ph:leg:{other[15]}", leg_id(other, 0), damaged)
        assert store.returns.news(news(other, mark=bytes([at]))) is Came.NOTED
        assert store.client.hget(f"ph:leg:{other[15]}", leg_id(other, 0)) == damaged


def test_a_leg_behind_one_that_cannot_be_read_is_found(store: Store) -> None:
    identifier = store.accept(hops=("a", "b", "c"))
    store.settle(*(settlement(each, Status.DELIVERED) for each in store.claim().legs))
    if isinstance(store, RedisTestStore):
        store.client.hdel(f"ph:leg:{identifier[15]}", leg_id(identifier, 1))
    assert store.returns.news(news(identifier, 2)) is Came.CHANGED
    identifier = store.accept(hops=("a", "b"))
    store.settle(*(settlement(each, Status.DELIVERED) for each in store.claim().legs))
    if isinstance(store, RedisTestStore):
        store.client.hset(f"ph:leg:{identifier[15]}", leg_id(identifier, 0), b"\x01")
    assert store.returns.news(news(identifier, 1)) is Came.CHANGED
    assert store.statuses(identifier)[1] == "bounced"


def test_a_history_has_an_end(store: Store) -> None:
    identifier, claimed = delivered(store, Status.DELIVERED)
    many = tuple(Attempt(at, "a", (), "worker ended") for at in range(500))
    store.put_history(claimed.leg_id, many)
    assert store.returns.news(news(identifier)) is Came.CHANGED
    assert len(notes(store, identifier)) == 500
    assert notes(store, identifier)[-1] == LATE_BOUNCE
