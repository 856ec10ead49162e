"""The suppression list: what is on it, and what it does to mail at accept and at start."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.errors import StoreError
from shared.model.leg import LegState
from shared.model.message import MessageClass, Recipient
from shared.model.status import Status
from shared.model.suppression import Reason, Suppression
from shared.store.ports import Accepted, AcceptKind, ChangeKind, Idempotency, Submission
from shared.store.quotas import Quota
from shared.store.suppression_records import EMPTY, pack_entry, place_of
from shared.store.suppressions import AcceptedPayload, Unsuppressed
from tests.support.stores import RedisTestStore, Store, settlement

DAY = 86_400_000
R0, R1, R2 = (f"r{index}@example.test" for index in range(3))
HOSTILE = (
    "a\0b", "|", "app|", "ü" * 127, "x" * 255, "\0", "\x01\x00", "ß→\U0001f4ee", " ", "p" * 100,
)  # fmt: skip


def entry(address: str = R0, **fields: Any) -> Suppression:
    return Suppression(address, **fields)


def everything(
    store: Store, limit: int = 1000, application: str | None = None
) -> list[Suppression]:
    """All pages."""
    found: list[Suppression] = []
    cursor = ""
    while True:
        page = store.suppressions.page(cursor, limit, application)
        assert len(page.entries) <= limit
        found += page.entries
        cursor = page.next_cursor
        if not cursor:
            return found


def submit(store: Store, *submissions: Submission) -> list[Accepted]:
    answers = store.spool.accept(submissions)
    assert all(isinstance(each, Accepted) for each in answers), answers
    return [each for each in answers if isinstance(each, Accepted)]


def to(submission: Submission, *emails: str) -> Submission:
    people = tuple(Recipient("to", email) for email in emails)
    head = msgspec.structs.replace(submission.message.head, recipients=people)
    message = msgspec.structs.replace(submission.message, head=head)
    return msgspec.structs.replace(submission, message=message)


# -- the list -------------------------------------------------------------------------------


def test_what_is_put_on_the_list_is_found(store: Store) -> None:
    whole = entry(
        application="shop", list="news", reason="bounce", source="smtp", at_ms=7,
        expires_ms=store.clock.now_ms() + DAY, detail="550 5.1.1",
    )  # fmt: skip
    assert store.suppressions.add([whole, entry(R1)]) == [True, True]
    assert store.suppressions.find(R0) == [whole]
    assert store.suppressions.find(R1) == [entry(R1)]
    assert store.suppressions.find(R2) == []
    assert store.suppressions.count() == 2


def test_entries_of_one_address_are_apart_by_application_and_list(store: Store) -> None:
    entries = [entry(application=name, list=each) for name in ("", "a") for each in ("", "b", "c")]
    assert store.suppressions.add(entries) == [True] * 6
    assert store.suppressions.find(R0) == entries
    assert store.suppressions.remove(R0, "a", "b")
    assert not store.suppressions.remove(R0, "a", "b")
    assert not store.suppressions.remove(R1, "", "")
    assert store.suppressions.find(R0) == [each for each in entries if each != entries[4]]
    assert store.suppressions.count() == 5


def test_an_entry_is_replaced_unless_it_is_firmer_and_lasts_longer(store: Store) -> None:
    now = store.clock.now_ms()
    reasons: tuple[Reason, ...] = ("bounce", "complaint", "unsubscribe", "manual")
    for number, (old, new) in enumerate((old, new) for old in reasons for new in reasons):
        for was in (None, now + 2 * DAY):
            for ends in (None, now + DAY, now + 2 * DAY, now + 3 * DAY):
                address = f"{number}.{was}.{ends}@example.test"
                first = entry(address, reason=old, expires_ms=was)
                second = entry(address, reason=new, expires_ms=ends, source="x")
                assert store.suppressions.add([first]) == [True]
                assert store.suppressions.add([second]) == [False]
                earlier = ends is not None and (was is None or ends < was)
                kept = old != "unsubscribe" and old != new and earlier
                assert store.suppressions.find(address) == [first if kept else second]


def test_an_entry_ends_by_itself(store: Store) -> None:
    ends = store.clock.now_ms() + 5000
    store.suppressions.add([entry(expires_ms=ends), entry(R1)])
    store.clock.advance(4.999)
    assert len(store.suppressions.find(R0)) == 1
    store.clock.advance(0.001)
    assert store.suppressions.find(R0) == []
    assert everything(store) == [entry(R1)]
    assert not store.suppressions.remove(R0, "", "")
    assert store.suppressions.add([entry(expires_ms=ends + DAY)]) == [True]
    assert store.suppressions.count() == 2
    store.clock.advance(2 * DAY / 1000)
    store.suppressions.add([entry(list="another")])
    assert [each.list for each in store.suppressions.find(R0)] == ["another"]
    if isinstance(store, RedisTestStore):  # What it writes to it clears up.
        assert store.suppressions.count() == 2
    store.pump_for(8)
    assert store.suppressions.count() == 2


def test_what_has_ended_before_it_came_is_new_each_time(store: Store) -> None:
    ended = entry(expires_ms=store.clock.now_ms())
    store.suppressions.add([entry(list="news", expires_ms=store.clock.now_ms() + 1)])
    assert store.suppressions.add([ended, entry(R1), ended, entry(), ended]) == [
        True, True, True, True, False,
    ]  # fmt: skip
    assert len(everything(store)) == 2


def test_what_has_ended_is_forgotten(store: Store) -> None:
    ends = store.clock.now_ms() + 1000
    store.suppressions.add([entry(f"{n}@a.test", expires_ms=ends) for n in range(300)])
    store.suppressions.add([entry(f"{n}@b.test") for n in range(20)])
    store.suppressions.add([entry(f"{n}@b.test", expires_ms=ends + DAY) for n in range(20, 40)])
    assert store.suppressions.count() == 340
    store.pump_for(30)
    assert store.suppressions.count() == 40
    assert len(everything(store)) == 40


def test_every_entry_comes_once_whatever_is_added_and_removed_meanwhile(store: Store) -> None:
    stays = [entry(f"{n}@a.test", list=f"l{n % 7}") for n in range(150)]
    stays += [entry("many@a.test", list=f"l{n}") for n in range(40)]
    goes = [entry(f"{n}@b.test") for n in range(100)]
    store.suppressions.add([*stays, *goes])
    found: list[Suppression] = []
    cursor = ""
    for turn in range(1000):
        page = store.suppressions.page(cursor, 7)
        found += page.entries
        cursor = page.next_cursor
        if not cursor:
            break
        if turn < len(goes):
            store.suppressions.remove(goes[turn].address, "", "")
        store.suppressions.add([entry("many@a.test", list=f"new{turn}")])
    assert not cursor
    assert len(set(found)) == len(found)
    assert set(stays) <= set(found)


def test_a_page_can_be_of_one_application(store: Store) -> None:
    entries = [entry(f"{n}@a.test", application=("a", "b", "")[n % 3]) for n in range(90)]
    store.suppressions.add(entries)
    for name in ("a", "b", ""):
        mine = {each for each in entries if each.application == name}
        found = everything(store, 8, name)
        assert len(found) == len(mine)
        assert set(found) == mine
    assert everything(store, 8, "c") == []


def test_a_cursor_that_comes_from_no_page_is_refused(store: Store) -> None:
    for cursor in ("x", "00000", "ff1000", "000000" + "G" * 16, "-1"):
        with pytest.raises(ValueError, match="cursor"):
            store.suppressions.page(cursor, 10)


def test_hostile_names_are_only_names(store: Store) -> None:
    entries = [
        entry(f"{at}@a.test", application=name, list=other, source=name, detail=other)
        for at, name in enumerate(HOSTILE) for other in HOSTILE
    ]  # fmt: skip
    assert store.suppressions.add(entries) == [True] * len(entries)
    assert store.suppressions.add(entries) == [False] * len(entries)
    for each in entries[:: len(HOSTILE) + 1]:
        (kept,) = [one for one in store.suppressions.find(each.address) if one.list == each.list]
        assert kept.application == each.application
        assert each.source.startswith(kept.source)
        assert each.detail.startswith(kept.detail)
        assert len(kept.source.encode()) <= 255
    for each in entries:
        assert store.suppressions.remove(each.address, each.application, each.list)
    assert store.suppressions.count() == 0
    assert everything(store) == []


def test_what_an_entry_says_does_not_pass_for_another_entry(store: Store) -> None:
    """Its list and its detail have the very bytes that the other one is found by."""
    inside = f"\0\x0f{R0}\0\0"
    store.suppressions.add([entry(detail=inside, list=inside, application="shop")])
    given = store.submission()
    (answer,) = submit(store, given)
    (claimed,) = store.claim(start=False).legs
    (started,) = store.started(claimed)
    assert (answer.suppressed, started.suppressed) == ((), {})
    store.suppressions.add([entry(application="app", detail=inside)])
    (answer,) = submit(store, store.submission())
    assert answer.suppressed == (0,)


def test_many_entries_are_put_on_the_list_in_several_scripts(store: Store) -> None:
    entries = [entry(f"{n}@a.test") for n in range(1301)]
    assert store.suppressions.add([*entries, entries[0]]) == [True] * 1301 + [False]
    assert store.suppressions.count() == 1301
    assert store.suppressions.add([]) == []


def test_changes_are_events(store: Store) -> None:
    first = entry(application="shop", reason="complaint")
    store.suppressions.add([first, first])
    store.suppressions.add([msgspec.structs.replace(first, source="arf")])
    store.suppressions.remove(R0, "shop", "")
    store.suppressions.remove(R0, "shop", "")
    events = store.spool.events()
    assert [each.kind for each in events] == ["suppressed", "suppressed", "unsuppressed"]
    assert {each.leg for each in events} == {b""}
    decode = msgspec.msgpack.decode
    assert decode(events[0].payload, type=Suppression) == first
    assert decode(events[2].payload, type=Unsuppressed) == Unsuppressed(R0, "shop", "")


def test_an_import_is_a_few_events(store: Store) -> None:
    """Or millions of them would push everything else out of the stream."""
    entries = [entry(f"r{number}@example.test") for number in range(600)]
    assert sum(store.suppressions.add(entries, together=True)) == 600
    told = store.spool.events()
    assert {each.kind for each in told} == {"imported"}
    assert 3 <= len(told) <= 6
    assert sum(msgspec.msgpack.decode(each.payload)["suppressions"] for each in told) == 600
    assert store.suppressions.count() == 600
    store.suppressions.add(entries, together=True)
    assert len(store.spool.events()) == len(told), "nothing has changed"


def test_workers_suppress_too(store: Store) -> None:
    async def work() -> list[bool]:
        return await store.queue().suppress([entry(), entry(R1), entry()])

    assert store.run(work()) == [True, True, False]
    assert store.suppressions.find(R1) == [entry(R1)]


# -- accept ---------------------------------------------------------------------------------


def test_a_suppressed_recipient_is_final_at_once(store: Store) -> None:
    store.suppressions.add([entry(R1)])
    (answer,) = submit(store, store.submission(recipients=3))
    assert answer.suppressed == (1,)
    assert store.statuses(answer.message_id) == ["queued", "suppressed", "queued"]
    depth = store.spool.depth()
    assert depth.accepted["transactional"] == 3
    assert depth.by_status["transactional"]["suppressed"] == 1
    assert depth.by_status["transactional"]["queued"] == 2
    event = store.spool.events()[-1]
    assert event.kind == "accepted"
    assert msgspec.msgpack.decode(event.payload, type=AcceptedPayload).suppressed == (1,)
    store.reconcile()
    (claimed,) = store.claim().legs
    assert claimed.leg.open_indices() == (0, 2)
    given = settlement(claimed, Status.DELIVERED, Status.SUPPRESSED, Status.DELIVERED)
    store.settle(given)
    assert store.statuses(answer.message_id) == ["delivered", "suppressed", "delivered"]
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


@pytest.mark.parametrize("send_in_ms", [None, 60_000])
@pytest.mark.parametrize("deliver_by_in_ms", [None, 90_000])
def test_a_message_nobody_of_which_is_sent_to_is_finished_at_once(
    store: Store, send_in_ms: int | None, deliver_by_in_ms: int | None
) -> None:
    store.suppressions.add([entry(f"r{n}@example.test") for n in range(4)])
    given = store.submission(
        hops=("a", "b"), recipients=2, send_in_ms=send_in_ms, deliver_by_in_ms=deliver_by_in_ms
    )
    (answer,) = submit(store, given)
    assert answer == Accepted(
        AcceptKind.ACCEPTED, given.message.id, send_in_ms is not None, suppressed=(0, 1, 2, 3)
    )
    stored = store.spool.get(answer.message_id)
    assert stored is not None
    assert {leg.state for leg in stored.legs} == {LegState.FINAL}
    depth = store.spool.depth()
    assert depth.finished_messages == 1
    assert depth.ready_legs["transactional"] == depth.deferred_legs["transactional"] == 0
    assert depth.counters.get("tickets_minted", 0) == 0
    assert store.claim().legs == ()
    store.reconcile()

    async def content() -> bytes | None:
        return await store.queue().content(answer.message_id)

    assert store.run(content()) is None
    store.pump_for(120)
    assert store.statuses(answer.message_id) == ["suppressed"] * 4
    store.clock.advance(25 * 3600)
    store.pump()
    assert store.spool.get(answer.message_id) is None
    store.reconcile()


def test_one_leg_of_several_may_have_nobody_left(store: Store) -> None:
    store.suppressions.add([entry("r2@example.test"), entry("r3@example.test"), entry(R0)])
    (answer,) = submit(store, store.submission(hops=("a", "b"), recipients=2))
    assert answer.suppressed == (0, 2, 3)
    assert store.statuses(answer.message_id) == ["suppressed", "queued"] + ["suppressed"] * 2
    assert store.spool.depth().finished_messages == 0
    (claimed,) = store.claim().legs
    assert claimed.leg.hop == "a"
    store.settle(settlement(claimed, Status.SUPPRESSED, Status.DELIVERED))
    assert store.spool.depth().finished_messages == 1
    store.reconcile()


def test_what_is_left_of_a_scheduled_message_can_have_another_time(store: Store) -> None:
    store.suppressions.add([entry(R0), entry(R1), entry(R2)])
    some = submit(store, store.submission(hops=("a", "b"), recipients=2, send_in_ms=5000))[0]
    nobody = submit(store, store.submission(hops=("a", "b"), send_in_ms=5000))[0]
    when = store.clock.now_ms() + 60_000
    change = store.spool.reschedule(some.message_id, when, when + DAY)
    assert change.kind is ChangeKind.CHANGED
    assert store.statuses(some.message_id) == ["suppressed"] * 3 + ["scheduled"]
    change = store.spool.reschedule(nobody.message_id, when, when + DAY)
    assert change.kind is ChangeKind.TOO_LATE
    assert store.spool.cancel(nobody.message_id).kind is ChangeKind.TOO_LATE
    store.pump_for(30)
    assert store.claim().legs == ()
    assert store.spool.cancel(some.message_id).kind is ChangeKind.CHANGED
    assert store.statuses(some.message_id) == ["suppressed"] * 3 + ["cancelled"]
    store.reconcile()


def test_the_same_key_has_the_same_answer(store: Store) -> None:
    key = Idempotency(b"k" * 16, b"f" * 16)
    store.suppressions.add([entry(R1)])
    first, again = submit(
        store, *(store.submission(recipients=2, idempotency=key) for _ in range(2))
    )
    assert first.suppressed == again.suppressed == (1,)
    store.suppressions.remove(R1, "", "")
    store.suppressions.add([entry(R0)])
    (later,) = submit(store, store.submission(recipients=2, idempotency=key))
    assert later == Accepted(AcceptKind.REPLAYED, first.message_id, suppressed=(1,))


@pytest.mark.parametrize(
    ("fields", "message_class", "list_name", "stands"),
    [
        ({}, "critical", "", True),
        ({"reason": "bounce"}, "critical", "", True),
        ({"reason": "complaint"}, "critical", "", False),
        ({"reason": "unsubscribe"}, "critical", "", False),
        ({"reason": "complaint"}, "bulk", "", True),
        ({"application": "app"}, "bulk", "news", True),
        ({"application": "other"}, "bulk", "news", False),
        ({"application": "app", "list": "news"}, "bulk", "news", True),
        ({"application": "app", "list": "news"}, "bulk", "", False),
        ({"application": "app", "list": "news"}, "bulk", "new", False),
        ({"list": "news"}, "bulk", "news", True),
        ({"application": "other", "list": "news"}, "bulk", "news", False),
    ],
)
def test_what_stands_in_the_way_of_what(
    store: Store, fields: dict[str, Any], message_class: MessageClass, list_name: str, stands: bool
) -> None:
    def given() -> Submission:
        return store.submission(message_class=message_class, list_name=list_name)

    (before,) = submit(store, given())
    (claimed,) = store.claim(message_class, start=False).legs
    store.suppressions.add([entry(**fields)])
    (after,) = submit(store, given())
    assert (before.suppressed, after.suppressed) == ((), (0,) if stands else ())
    (started,) = store.started(claimed)
    assert started.may_go
    assert dict(started.suppressed) == ({0: entry(**fields)} if stands else {})


def test_addresses_are_compared_in_their_canonical_form(store: Store) -> None:
    store.suppressions.add([entry("bob@example.test"), entry("jürgen@xn--bcher-kva.test")])
    answers = submit(
        store,
        to(store.submission(), "Bob@example.test"),
        to(store.submission(), "JÜRGEN@xn--bcher-kva.test"),
        to(store.submission(), "bob+news@example.test"),
        to(store.submission(), "ob@example.test"),
    )
    assert [each.suppressed for each in answers] == [(0,), (0,), (), ()]


def test_suppressed_recipients_count_for_the_quota(store: Store) -> None:
    """An application that sends to dead addresses uses up what it may send."""
    store.suppressions.add([entry()])
    submit(store, store.submission(recipients=2, quota=Quota(day=3)))
    assert [use.used for use in store.spool.uses("app")][1] == 2


# -- start ----------------------------------------------------------------------------------


def test_who_is_suppressed_after_accept_is_told_at_the_start(store: Store) -> None:
    identifier = store.accept(recipients=3, send_in_ms=5000)
    global_one = entry(R1, reason="manual")
    own = entry(R1, application="app", reason="bounce", detail="550")
    ends = entry(R2, expires_ms=store.clock.now_ms() + 5500)
    store.suppressions.add([global_one, own, ends, entry(R0, application="shop")])
    store.pump_for(5)
    (claimed,) = store.claim(start=False).legs
    (started,) = store.started(claimed)
    assert dict(started.suppressed) == {1: own, 2: ends}
    store.clock.advance(1)
    (started,) = store.started(claimed)
    assert dict(started.suppressed) == {1: own}
    assert store.statuses(identifier) == ["queued"] * 3


def test_many_that_start_together_have_each_their_own_answer(store: Store) -> None:
    for at in range(20):
        store.accept(application=f"app{at}", recipients=99)
        store.suppressions.add([entry(f"r{at}@example.test", application=f"app{at}")])
    claimed = store.claim(start=False).legs
    assert len(claimed) == 20
    for answer, each in zip(store.started(*claimed), claimed, strict=True):
        ((at, found),) = answer.suppressed.items()
        assert answer.may_go
        assert (found.address, f"app{at}") == (f"r{at}@example.test", each.head.application)


def test_a_leg_that_is_lost_has_no_answer(store: Store) -> None:
    store.accept()
    (claimed,) = store.claim(start=False).legs
    store.suppressions.add([entry()])
    (started,) = store.started(msgspec.structs.replace(claimed, fence=claimed.fence + 1))
    assert not started.may_go
    assert started.suppressed == {}


# -- what this release cannot read ----------------------------------------------------------


def test_a_release_before_finds_the_message_of_a_key(store: Store) -> None:
    """It takes all that is behind the fingerprint and a digit for the message's id."""
    if not isinstance(store, RedisTestStore):
        return  # The twin is of one release.
    key = Idempotency(b"k" * 16, b"f" * 16)
    store.suppressions.add([entry()])
    (answer,) = submit(store, store.submission(idempotency=key))
    client: Any = store.client
    (name,) = client.keys("ph:idem:*")
    assert client.hget(name, key.key) == key.fingerprint + b"0" + answer.message_id
    client.hdel(name, key.key + b"p")  # As a release before has written it.
    (again,) = submit(store, store.submission(idempotency=key))
    assert again == Accepted(AcceptKind.REPLAYED, answer.message_id)


def test_what_cannot_be_read_is_left_alone(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        return  # The twin packs nothing.
    place = place_of(R0)
    name = f"ph:suppressed:{place[0]}"
    damaged = [b"\x02new", b"\x01\x00", b"\x01\xff\xff\x00", b"\xff", b""]
    damaged += [EMPTY + pack_entry(entry())[:-1], b"\x02" + pack_entry(entry())]
    for turn, packed in enumerate(damaged):
        store.client.hset(name, place[1:], packed)
        ends = store.clock.now_ms() + 1000
        store.suppressions.add([entry(R1, expires_ms=ends)])
        (answer,) = submit(store, store.submission(recipients=2))
        assert answer.suppressed == (1,)
        with pytest.raises(StoreError):
            store.suppressions.add([entry(), entry(f"{turn}@a.test")])
        assert store.suppressions.find(R0) == []
        assert len(store.suppressions.find(f"{turn}@a.test")) == 1
        assert not store.suppressions.remove(R0, "", "")
        assert len(everything(store)) == turn + 2
        store.pump_for(8)
        assert store.client.hget(name, place[1:]) == packed
        assert store.suppressions.count() == turn + 1


def test_nothing_of_a_message_is_stored_when_the_list_cannot_be_asked(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        return  # The twin packs nothing.
    store.suppressions.add([entry(R1)])
    store.client.set(f"ph:suppressed:{place_of(R0)[0]}", "no hash")
    (answer,) = store.spool.accept([store.submission()])
    assert isinstance(answer, StoreError)
    assert store.client.keys("ph:head:*") == store.client.keys("ph:body:*") == []
    store.reconcile()


def test_an_entry_of_another_form_is_kept_where_it_is(store: Store) -> None:
    """Such as one of a release to come, whose address is a keyed hash."""
    if not isinstance(store, RedisTestStore):
        return  # The twin packs nothing.
    place = place_of(R0)
    name = f"ph:suppressed:{place[0]}"
    form = bytearray(pack_entry(entry(expires_ms=1)))
    form[2] += 32
    form += b"\0\x0a\0" + bytes(9) + b"\0\x01\x10"  # And two that are damaged inside.
    store.client.hset(name, place[1:], EMPTY + bytes(form))
    assert submit(store, store.submission())[0].suppressed == ()
    assert store.suppressions.add([entry()]) == [True]
    assert submit(store, store.submission())[0].suppressed == (0,)
    assert store.suppressions.find(R0) == everything(store) == [entry()]
    assert store.suppressions.add([entry(source="x")]) == [False]
    assert store.suppressions.remove(R0, "", "")
    store.suppressions.add([entry(R1, expires_ms=store.clock.now_ms() + 1)])
    store.pump_for(8)
    assert store.suppressions.count() == 0
    assert store.client.hget(name, place[1:]) == EMPTY + bytes(form)


def test_an_address_cannot_have_entries_without_end(store: Store) -> None:
    """Or each message to it, and to some others, would take the store's time."""
    if not isinstance(store, RedisTestStore):
        return  # The twin has bounds of no kind.
    entries = [entry(list=f"{n:04}" + "x" * 250) for n in range(300)]
    with pytest.raises(StoreError, match="too many"):
        store.suppressions.add(entries)
    assert 65_000 < size_of_place(store) <= 65_536
    assert store.suppressions.count() == len(everything(store)) > 200
    assert submit(store, store.submission(list_name=entries[0].list))[0].suppressed == (0,)


def test_no_application_keeps_others_from_their_entries_of_an_address(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        return  # The twin has bounds of no kind.
    for name in ("greedy", "shop"):
        many = [entry(application=name, list=f"{n:04}" + "x" * 240) for n in range(150)]
        with pytest.raises(StoreError, match="too many"):
            store.suppressions.add(many)
        assert store.suppressions.add(many[:1]) == [False]
    assert 32_768 < size_of_place(store) < 32_768 + 5000
    assert store.suppressions.add([entry(application="app", list="news"), entry()]) == [True] * 2


def size_of_place(store: RedisTestStore) -> int:
    """Bytes of all entries of `R0`."""
    place = place_of(R0)
    client: Any = store.client
    return len(client.hget(f"ph:suppressed:{place[0]}", place[1:]))
