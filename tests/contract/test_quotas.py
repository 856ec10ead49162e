"""Quotas: counted with the message that is accepted, refused as a whole, new in each window."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.clock import ManualClock
from shared.store.ports import Accepted, AcceptKind, Idempotency
from shared.store.quotas import Quota, Use, window_around
from tests.support.redis_server import RedisServer
from tests.support.stores import RedisTestStore, Store, settings

KEY = Idempotency(b"k" * 16, b"f" * 16)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def go_to(store: Store, text: str) -> None:
    store.clock.advance((ms(text) - store.clock.now_ms()) / 1000)


def accept(store: Store, *counts: int, **options: Any) -> list[Accepted]:
    """One batch of messages with so many recipients each."""
    answers = store.spool.accept([store.submission(recipients=n, **options) for n in counts])
    assert all(isinstance(each, Accepted) for each in answers)
    return [each for each in answers if isinstance(each, Accepted)]


def kinds(answers: list[Accepted]) -> list[str]:
    return [each.kind.value for each in answers]


def used(store: Store, application: str = "app") -> list[int]:
    """Of minute, day and month."""
    return [use.used for use in store.spool.uses(application)]


def test_recipients_count_until_the_limit_is_reached(store: Store) -> None:
    go_to(store, "2027-03-10T12:00:10")
    quota = Quota(minute=5)
    assert kinds(accept(store, 2, 3, quota=quota)) == ["accepted", "accepted"]
    (refused,) = accept(store, 1, quota=quota)
    assert refused == Accepted(
        AcceptKind.OVER_QUOTA, b"", full=Use("minute", 5, ms("2027-03-10T12:01:00"), 50_000)
    )
    store.clock.advance(50)
    assert kinds(accept(store, 5, quota=quota)) == ["accepted"]
    assert store.spool.depth().accepted["transactional"] == 10
    store.reconcile()


def test_in_a_batch_each_message_that_fits_is_accepted_in_order(store: Store) -> None:
    submissions = [store.submission(recipients=n, quota=Quota(day=6)) for n in (3, 4, 2, 2, 1)]
    answers = [each for each in store.spool.accept(submissions) if isinstance(each, Accepted)]
    assert kinds(answers) == ["accepted", "over_quota", "accepted", "over_quota", "accepted"]
    assert [each.full.used for each in answers if each.full] == [3, 5]
    assert [store.spool.get(each.message.id) is not None for each in submissions] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert used(store) == [0, 6, 0]
    assert store.ledger() == ["accepted"] * 3


def test_a_refused_message_leaves_no_trace(store: Store) -> None:
    quota = Quota(minute=3)
    accept(store, 3, quota=quota)
    assert kinds(accept(store, 1, quota=quota, idempotency=KEY)) == ["over_quota"]
    store.clock.advance(60)
    assert kinds(accept(store, 1, quota=quota, idempotency=KEY)) == ["accepted"]
    assert used(store) == [1, 0, 0]
    store.reconcile()


@pytest.mark.parametrize("limit", [2, 9])
def test_a_replay_counts_nothing_and_is_answered_over_quota(store: Store, limit: int) -> None:
    quota = Quota(minute=limit)
    first, again = accept(store, 2, 2, quota=quota, idempotency=KEY)
    assert again == Accepted(AcceptKind.REPLAYED, first.message_id)
    other = Idempotency(KEY.key, b"g" * 16)
    assert kinds(accept(store, 2, quota=quota, idempotency=other)) == ["mismatch"]
    assert used(store) == [2, 0, 0]


def test_what_one_window_refuses_counts_in_none(store: Store) -> None:
    accept(store, 2, quota=Quota(minute=3, day=9, month=100))
    (refused,) = accept(store, 2, quota=Quota(minute=3, day=9, month=100))
    assert refused.full is not None
    assert refused.full.window == "minute"
    assert used(store) == [2, 2, 2]


def test_of_several_full_windows_the_one_that_ends_last_is_told(store: Store) -> None:
    go_to(store, "2028-02-28T22:00:00")
    accept(store, 4, quota=Quota(minute=4, day=4, month=5))
    quotas = Quota(minute=4, day=4, month=5), Quota(minute=4, day=4, month=9), Quota(minute=4)
    fulls = [accept(store, 2, quota=quota)[0].full for quota in quotas]
    assert fulls == [
        Use("month", 4, ms("2028-03-01"), 26 * 3_600_000),
        Use("day", 4, ms("2028-02-29"), 2 * 3_600_000),
        Use("minute", 4, ms("2028-02-28T22:01:00"), 60_000),
    ]


def test_cancelling_gives_nothing_back(store: Store) -> None:
    (accepted,) = accept(store, 2, quota=Quota(minute=2), send_in_ms=5000)
    store.spool.cancel(accepted.message_id)
    assert kinds(accept(store, 1, quota=Quota(minute=2))) == ["over_quota"]


def test_applications_have_their_own(store: Store) -> None:
    names = ("shop", "shop 2", "", "läden")
    for name in names:
        assert kinds(accept(store, 2, quota=Quota(minute=3), application=name)) == ["accepted"]
        assert kinds(accept(store, 2, quota=Quota(minute=3), application=name)) == ["over_quota"]
    assert [used(store, name)[0] for name in names] == [2, 2, 2, 2]
    assert used(store, "another") == [0, 0, 0]


def test_without_a_quota_nothing_is_counted(store: Store) -> None:
    assert kinds(accept(store, 3)) == ["accepted"]
    assert used(store) == [0, 0, 0]


def test_a_limit_of_more_than_one_script_of_items(store: Store) -> None:
    answers = accept(store, *[1] * 250, quota=Quota(day=150))
    assert kinds(answers) == ["accepted"] * 150 + ["over_quota"] * 100


@pytest.mark.parametrize(
    ("now", "starts", "ends"),
    [
        ("2027-01-31T23:59:59", "2027-01-01", "2027-02-01"),
        ("2027-02-28T23:59:59", "2027-02-01", "2027-03-01"),
        ("2028-02-29T00:00:00", "2028-02-01", "2028-03-01"),
        ("2028-03-01T00:00:00", "2028-03-01", "2028-04-01"),
        ("2031-12-31T23:59:59", "2031-12-01", "2032-01-01"),
        ("2032-01-01T00:00:00", "2032-01-01", "2032-02-01"),
        ("2099-12-31T12:00:00", "2099-12-01", "2100-01-01"),
        ("2100-02-28T12:00:00", "2100-02-01", "2100-03-01"),
    ],
)
def test_months_are_those_of_the_calendar(store: Store, now: str, starts: str, ends: str) -> None:
    go_to(store, now)
    *_, month = store.spool.uses("app")
    assert (month.reset_ms, month.wait_ms) == (ms(ends), ms(ends) - ms(now))
    assert window_around("month", ms(now)) == (ms(starts), ms(ends))


def test_windows_end_when_the_twin_says_for_a_century(redis_server: RedisServer) -> None:
    clock = ManualClock(ms("2026-12-01"))
    store = RedisTestStore(settings(redis_server.url), clock)
    for _ in range(1200):
        clock.advance(31 * 86_400 - 3_600)
        for use in store.spool.uses("app"):
            assert use.reset_ms == window_around(use.window, clock.now_ms())[1]
    store.close()


def test_a_refusal_writes_nothing(redis_server: RedisServer) -> None:
    store = RedisTestStore(settings(redis_server.url), ManualClock())
    client = redis_server.client()
    before = client.info("persistence")["rdb_changes_since_last_save"]
    assert kinds(accept(store, 4, quota=Quota(3, 9, 9), application="x")) == ["over_quota"]
    assert client.info("persistence")["rdb_changes_since_last_save"] == before
    store.close()


def test_counts_end_with_their_window(redis_server: RedisServer) -> None:
    client = redis_server.client()
    client.flushall()
    store = RedisTestStore(settings(redis_server.url), ManualClock())
    for name in ("a", "b"):
        accept(store, 1, 1, quota=Quota(1000, 1000, 1000), application=name)
        accept(store, 1, quota=Quota(1000, 1000, 1000), application=name)
    for use in store.spool.uses("a"):
        start, end = window_around(use.window, store.clock.now_ms())
        key = f"ph:quota:{use.window}:{start}"
        assert client.pexpiretime(key) == end
        assert client.hgetall(key) == {b"a": b"3", b"b": b"3"}
    assert len(client.keys("ph:quota:*")) == 3
    store.close()
