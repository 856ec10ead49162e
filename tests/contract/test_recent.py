"""Recent messages: pages by position, what is sought, and what is gone or cannot be read."""

from __future__ import annotations

import msgspec
import pytest

from shared.model.leg import leg_id
from shared.model.message import Address, Recipient
from shared.model.status import Status
from shared.store.ports import Accepted, Idempotency
from shared.store.quotas import Quota
from shared.store.recent import Sought
from tests.support.stores import MemoryTestStore, RedisTestStore, Store, settlement

DAY_MS = 86_400_000


def accept(store: Store, **fields: object) -> bytes:
    """Accept a message whose head has these fields."""
    to = fields.pop("to", ("ann@example.test",))
    assert isinstance(to, tuple)
    given = store.submission(recipients=len(to))
    people = tuple(Recipient("to", each) for each in to)
    head = msgspec.structs.replace(given.message.head, recipients=people, **fields)
    message = msgspec.structs.replace(given.message, head=head)
    (answer,) = store.spool.accept([msgspec.structs.replace(given, message=message)])
    assert isinstance(answer, Accepted)
    return answer.message_id


def found(store: Store, **sought: object) -> list[bytes]:
    """Ids of a search, the newest first."""
    page = store.recent.search(Sought(**sought), None, 50)  # type: ignore[arg-type]  # Of a test.
    return [entry.message_id for entry in page.entries]


def put_leg(store: Store, message_id: bytes, packed: bytes) -> None:
    """Damage the first leg; the twin has none that could be."""
    assert isinstance(store, RedisTestStore)
    store.client.hset(f"ph:leg:{message_id[15]}", leg_id(message_id, 0), packed)


def forget(store: Store) -> None:
    """Deliver what is queued, and let its time go by."""
    store.settle(*(settlement(each, Status.DELIVERED) for each in store.claim().legs))
    store.clock.advance(86_401)
    while store.pump().forgotten:
        pass
    store.pump()


def test_the_newest_come_first_page_by_page(store: Store) -> None:
    ids = [store.accept() for _ in range(7)]
    first = store.recent.recent(None, 3)
    assert [entry.message_id for entry in first.entries] == ids[:3:-1]
    assert [entry.position for entry in first.entries] == [6, 5, 4]
    assert first.next == 4
    second = store.recent.recent(first.next, 3)
    assert [entry.message_id for entry in second.entries] == ids[3:0:-1]
    last = store.recent.recent(second.next, 3)
    assert [entry.message_id for entry in last.entries] == ids[:1]
    assert last.next is None


def test_an_exact_page_has_nothing_behind_it(store: Store) -> None:
    store.accept()
    store.accept()
    assert store.recent.recent(None, 2).next is None
    empty = store.recent.recent(0, 2)
    assert (empty.entries, empty.next, empty.scanned_to_ms) == ((), None, None)


def test_a_position_beyond_either_end_is_the_end(store: Store) -> None:
    store.accept()
    assert len(store.recent.recent(99, 5).entries) == 1
    assert store.recent.recent(-5, 5).entries == ()


def test_positions_stay_when_mail_comes_and_goes(store: Store) -> None:
    for _ in range(4):
        store.accept()
    forget(store)
    later = [store.accept() for _ in range(3)]
    page = store.recent.recent(None, 2)
    assert [entry.position for entry in page.entries] == [6, 5]
    store.accept()
    rest = store.recent.recent(page.next, 2)
    assert [entry.message_id for entry in rest.entries] == [later[0]]
    assert rest.next is None


def test_what_is_gone_in_the_middle_is_passed_over(store: Store) -> None:
    kept = store.accept(send_in_ms=5 * DAY_MS)
    for _ in range(3):
        store.accept()
    forget(store)
    page = store.recent.recent(None, 10)
    assert [entry.message_id for entry in page.entries] == [kept]
    assert page.entries[0].position == 0
    assert page.entries[0].statuses == (Status.SCHEDULED,)


def test_trimming_ends_at_the_first_that_is_there(store: Store) -> None:
    ids = [store.accept() for _ in range(5)]
    for each in (*ids[:2], ids[3]):
        store.put_head(each, None)
    store.pump()
    page = store.recent.recent(None, 9)
    assert [entry.message_id for entry in page.entries] == [ids[4], ids[2]]
    assert page.scanned_to_ms is not None
    assert store.recent.recent(2, 9).scanned_to_ms is None


@pytest.mark.store(recent_messages=3)
def test_more_than_the_most_are_not_kept(store: Store) -> None:
    ids = [store.accept() for _ in range(5)]
    store.pump()
    page = store.recent.recent(None, 10)
    assert [entry.message_id for entry in page.entries] == ids[:1:-1]
    assert [entry.position for entry in page.entries] == [4, 3, 2]
    assert page.next is None


def test_one_run_of_the_pump_trims_a_bounded_number(store: Store) -> None:
    """Beside as many as it has forgotten, a hundred."""
    ids = [store.accept() for _ in range(250)]
    for each in ids:
        store.put_head(each, None)
    assert store.recent.recent(None, 250).next is None
    for left in (150, 50):
        store.pump()
        position = 250 - left
        assert store.recent.recent(position + 1, 1).scanned_to_ms is not None
        assert store.recent.recent(position, 1).scanned_to_ms is None
    store.pump()
    assert store.recent.recent(None, 1).scanned_to_ms is None
    store.accept()
    assert [entry.position for entry in store.recent.recent(None, 9).entries] == [250]


def test_statuses_are_by_recipient_over_all_legs(store: Store) -> None:
    store.accept(hops=("a", "b"), recipients=2)
    claimed = next(each for each in store.claim().legs if each.leg.hop == "b")
    store.settle(settlement(claimed, Status.BOUNCED, Status.DEFERRED))
    (entry,) = store.recent.recent(None, 5).entries
    assert entry.statuses == (Status.QUEUED, Status.QUEUED, Status.BOUNCED, Status.DEFERRED)


@pytest.mark.parametrize("packed", [b"", b"\x01\xc1", b"\x02\x90", b"\xff" * 40])
def test_a_head_that_cannot_be_read_is_passed_over(store: Store, packed: bytes) -> None:
    good, bad = store.accept(), store.accept()
    store.put_head(bad, packed)
    page = store.recent.recent(None, 5)
    assert [entry.message_id for entry in page.entries] == [good]
    assert page.next is None


@pytest.mark.parametrize(
    ("packed", "status"), [(b"\x01broken", Status.DEAD), (b"\x02newer", Status.QUEUED)]
)
def test_a_leg_that_cannot_be_read_fails_no_page(
    store: Store, packed: bytes, status: Status
) -> None:
    if isinstance(store, MemoryTestStore):
        return  # Its legs are not packed.
    store.accept(hops=("a", "b"))
    (entry,) = store.recent.recent(None, 5).entries
    put_leg(store, entry.message_id, packed)
    (entry,) = store.recent.recent(None, 5).entries
    assert entry.statuses == (status, Status.QUEUED)


def test_a_leg_of_a_newer_release_is_found_as_queued(store: Store) -> None:
    if isinstance(store, MemoryTestStore):
        return  # Its legs are not packed.
    message_id = store.accept()
    put_leg(store, message_id, b"\x02newer")
    assert found(store, status=Status.QUEUED) == [message_id]
    assert found(store, status=Status.DEAD) == []


def test_a_replay_and_a_refusal_are_not_listed_again(store: Store) -> None:
    once = store.accept(idempotency=Idempotency(b"k" * 16, b"f" * 16))
    store.accept(idempotency=Idempotency(b"k" * 16, b"f" * 16))
    store.spool.accept([store.submission(idempotency=Idempotency(b"k" * 16, b"g" * 16))])
    store.spool.accept([store.submission(quota=Quota(day=1), recipients=2)])
    page = store.recent.recent(None, 5)
    assert [entry.message_id for entry in page.entries] == [once]
    assert page.entries[0].position == 0


def test_b10_recipients_are_sought_as_addresses_are_compared(store: Store) -> None:
    one = accept(store, to=("Ann.Lee@Example.test", "bob@else.test"))
    two = accept(store, to=("jörg@xn--bcher-kva.example",))
    assert found(store, recipient="ann.lee@example.TEST") == [one]
    assert found(store, recipient="LEE@") == [one]
    assert found(store, recipient="else.test") == [one]
    assert found(store, recipient="JÖRG@bücher.example") == [two]
    assert found(store, recipient="@Bücher.example") == [two]
    assert found(store, recipient="bücher.example") == [two]
    assert found(store, recipient="nobody") == []
    assert found(store, recipient=" ") == [two, one]


def test_every_word_of_a_subject_must_be_there(store: Store) -> None:
    one = accept(store, subject="Your ORDER 17 from Straße")
    two = accept(store, subject="Your parcel")
    assert found(store, subject="your order") == [one]
    assert found(store, subject="strasse 17") == [one]
    assert found(store, subject="YOUR") == [two, one]
    assert found(store, subject="order parcel") == []


def test_the_other_fields_are_as_they_say(store: Store) -> None:
    one = accept(store, application="shop", tags=("vip", "eu"), sender=Address("Sales@a.test"))
    two = accept(store, application="shop 2")
    store.accept(message_class="bulk")
    assert found(store, application="shop") == [one]
    assert found(store, tag="eu") == [one]
    assert found(store, tag="e") == []
    assert found(store, sender="sales@") == [one]
    assert found(store, message_class="transactional") == [two, one]
    assert found(store, application="shop 2", tag="eu") == []


def test_a_status_is_sought_among_all_recipients(store: Store) -> None:
    one = store.accept(recipients=2)
    (claimed,) = store.claim().legs
    store.settle(settlement(claimed, Status.DELIVERED, Status.BOUNCED))
    two = store.accept()
    assert found(store, status=Status.BOUNCED) == [one]
    assert found(store, status=Status.DELIVERED) == [one]
    assert found(store, status=Status.QUEUED) == [two]
    assert found(store, status=Status.DEAD) == []


def test_a_status_is_found_on_a_later_leg(store: Store) -> None:
    message_id = store.accept(hops=("a", "b"))
    claimed = next(each for each in store.claim().legs if each.leg.hop == "b")
    store.settle(settlement(claimed, Status.BOUNCED))
    assert found(store, status=Status.BOUNCED) == [message_id]
    assert found(store, status=Status.BOUNCED, subject="other") == []


def test_times_bound_a_search_from_both_sides(store: Store) -> None:
    start, ids = store.clock.now_ms(), []
    for _ in range(10):
        ids.append(store.accept())
        store.clock.advance(120)
    assert found(store, since_ms=start + 240_000, until_ms=start + 480_000) == ids[3:1:-1]
    assert found(store, since_ms=start + 960_001) == ids[:8:-1]
    assert found(store, until_ms=start) == []
    assert found(store, until_ms=start + 1) == ids[:1]
    page = store.recent.search(Sought(since_ms=start + 960_000), None, 50)
    assert page.next is None
    assert page.scanned_to_ms == start + 960_000
    page = store.recent.search(Sought(until_ms=start + 120_001), None, 1, scan=2)
    assert [entry.message_id for entry in page.entries] == [ids[1]]


def test_a_message_that_was_overtaken_by_far_hides_no_other(store: Store) -> None:
    """Its machine's clock was wrong: it stands among others that are minutes younger."""
    late = store.clock.now_ms() - 600_000
    ids = [store.accept()]
    store.accept(identifier=late.to_bytes(6, "big") + b"\x70\x00\x80" + bytes(6) + b"z")
    ids += [store.accept(), store.accept()]
    page = store.recent.search(Sought(since_ms=store.clock.now_ms() - 1000), None, 9)
    assert [entry.message_id for entry in page.entries][:2] == ids[:0:-1]
    assert [entry.position for entry in page.entries][:2] == [3, 2]


def test_a_search_stops_after_so_many_and_goes_on_there(store: Store) -> None:
    start = store.clock.now_ms()
    wanted = accept(store, subject="needle")
    for _ in range(24):
        store.clock.advance(1)
        store.accept()
    sought, before, pages = Sought(subject="needle"), None, []
    while True:
        page = store.recent.search(sought, before, 5, scan=10)
        pages.append((page.scanned_to_ms, [entry.message_id for entry in page.entries]))
        before = page.next
        if before is None:
            break
    assert pages == [(start + 15_000, []), (start + 5_000, []), (start, [wanted])]


def test_a_search_that_has_enough_goes_on_behind_the_last_one(store: Store) -> None:
    ids = [accept(store, subject=f"odd {at % 2}") for at in range(12)]
    first = store.recent.search(Sought(subject="odd 1"), None, 4, scan=100)
    assert [entry.message_id for entry in first.entries] == [ids[at] for at in (11, 9, 7, 5)]
    rest = store.recent.search(Sought(subject="odd 1"), first.next, 4, scan=100)
    assert [entry.message_id for entry in rest.entries] == [ids[at] for at in (3, 1)]
    assert rest.next is None


def test_a_head_is_given_whole(store: Store) -> None:
    accept(store, subject="<b>", metadata={"order": "17"})
    (entry,) = store.recent.recent(None, 1).entries
    stored = store.spool.get(entry.message_id)
    assert stored is not None
    assert entry.head == stored.head
