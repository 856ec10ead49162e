"""Small records that change together, and the audit trail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import StoreFull
from shared.store.records import ANY, MOST_CHANGES, Audited, Change
from shared.store.redis_records import SMALL_BYTES
from shared.store.scripts import PREFIX
from tests.support.stores import RedisTestStore, Store


def put(store: Store, key: bytes, value: bytes | None, expected: bytes | None = None) -> bool:
    return store.records.write([Change("things", key, value, expected)])


def test_a_record_changes_only_as_it_was_read(store: Store) -> None:
    assert put(store, b"a", b"one")
    assert store.records.get("things", b"a") == b"one"
    assert not put(store, b"a", b"two"), "it is there already"
    assert not put(store, b"a", b"two", b"other")
    assert put(store, b"a", b"two", b"one")
    assert not put(store, b"b", b"two", b"one"), "what is not there is not as it was"
    assert not put(store, b"a", None, b"one")
    assert store.records.get("things", b"a") == b"two"
    assert put(store, b"a", None, b"two")
    assert store.records.get("things", b"a") is None


def test_all_changes_are_made_or_none_and_the_trail_is_with_them(store: Store) -> None:
    put(store, b"a", b"one")
    entry = Audited("thing.changed", "usr_1")
    changes = [
        Change("things", b"b", b"new"),
        Change("others", b"a", b"new"),
        Change("things", b"a", b"two", b"not this"),
    ]
    assert not store.records.write(changes, [entry])
    assert store.records.some("things", [b"a", b"b"]) == [b"one", None]
    assert store.records.all("others") == {}
    assert store.records.trail() == []
    changes[2] = Change("things", b"a", b"two", b"one")
    assert store.records.write(changes, [entry])
    assert store.records.all("things") == {b"a": b"two", b"b": b"new"}
    assert store.records.all("others") == {b"a": b"new"}
    assert [each.act for each in store.records.trail()] == ["thing.changed"]


def test_whoever_does_not_care_writes_over_anything(store: Store) -> None:
    for value in (b"one", b"two", None, None, b"three"):
        assert store.records.write([Change("things", b"a", value, ANY)])
        assert store.records.get("things", b"a") == value


@pytest.mark.parametrize("value", [b"", b"-", b"*", b"=", b"\0\xff\r\n", b"x" * 100_000])
def test_values_and_keys_are_any_bytes(store: Store, value: bytes) -> None:
    key = value[:300]
    assert put(store, key, value)
    assert store.records.all("things") == {key: value}
    assert not put(store, key, b"other")
    assert put(store, key, b"other", value)


def test_a_record_is_gone_at_its_end(store: Store) -> None:
    now = store.clock.now_ms()
    assert store.records.write([Change("things", b"a", b"one", None, now + 1000)])
    store.clock.advance(0.999)
    assert store.records.get("things", b"a") == b"one"
    assert not put(store, b"a", b"two")
    store.clock.advance(0.001)
    assert store.records.get("things", b"a") is None
    assert store.records.some("things", [b"a"]) == [None]
    assert store.records.all("things") == {}
    assert not put(store, b"a", b"two", b"one"), "it is there no more"
    assert put(store, b"a", b"two"), "as a new one, and for ever"
    store.clock.advance(10_000)
    assert store.records.get("things", b"a") == b"two"


def test_what_has_ended_leaves_no_bytes_behind(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        pytest.skip("the twin keeps what has ended")
    now = store.clock.now_ms()
    store.records.write([Change("things", bytes((n,)), b"x", None, now + 1) for n in range(50)])
    store.clock.advance(1)
    for _ in range(3):
        store.records.write([Change("things", b"other", b"y", ANY)])
    name = f"{PREFIX}records:things"
    assert store.client.hlen(name) == 1
    assert store.client.zcard(f"{name}:ends") == 0


def test_a_write_has_a_bound(store: Store) -> None:
    changes = [Change("things", str(n).encode(), b"x") for n in range(MOST_CHANGES + 1)]
    with pytest.raises(ValueError, match="at most"):
        store.records.write(changes)
    assert store.records.write(changes[:MOST_CHANGES])
    assert store.records.write([])
    assert store.records.some("things", []) == []


def test_of_two_writers_at_once_one_succeeds(store: Store) -> None:
    put(store, b"a", b"0")

    def take(number: int) -> bool:
        changes = [
            Change("things", b"a", str(number).encode(), b"0"),
            Change("taken", str(number).encode(), b"x"),
        ]
        return store.records.write(changes, [Audited("thing.taken", str(number))])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(take, range(1, 41)))
    assert sum(answers) == 1
    winner = str(answers.index(True) + 1)
    assert store.records.get("things", b"a") == winner.encode()
    assert list(store.records.all("taken")) == [winner.encode()]
    assert [each.who for each in store.records.trail()] == [winner]


def test_the_trail_is_read_from_the_newest_in_pages(store: Store) -> None:
    for number in range(25):
        entry = Audited(
            "thing.done",
            "usr_1",
            "ann@example.test",
            "192.0.2.1",
            f"it {number}",
            {"n": "ü"},
            "req",
        )
        store.records.write([], [entry, Audited("thing.seen", "system")])
    seen: list[Audited] = []
    before = ""
    while page := store.records.trail(before, 7):
        seen += page
        before = page[-1].id
    assert len(seen) == 50
    assert [each.act for each in seen[:2]] == ["thing.seen", "thing.done"]
    assert [each.what for each in seen[1::2]] == [f"it {n}" for n in reversed(range(25))]
    assert len({each.id for each in seen}) == 50
    first = seen[-1]
    assert (first.login, first.address, first.details) == (
        "ann@example.test",
        "192.0.2.1",
        {"n": "ü"},
    )
    assert first.at_ms > 0


@pytest.mark.parametrize("before", ["x", "0-0", "(", "+", "-", "1-1-1", "9" * 400 + "-1"])
def test_nothing_is_older_than_what_is_no_id(store: Store, before: str) -> None:
    store.records.write([], [Audited("thing.done", "system")])
    assert store.records.trail(before) == []


def test_the_trail_has_a_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for twin in ("memory_records", "redis_records"):
        monkeypatch.setattr(f"shared.store.{twin}.MOST_AUDITED", 300)
    for at in range(10):
        store.records.write([], [Audited("thing.done", "system", what=str(at))] * 100)
    kept = store.records.trail(limit=2000)
    assert 300 <= len(kept) <= 500, "a server drops whole blocks"
    assert kept[0].what == "9"


def test_what_cannot_be_read_is_not_there(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        pytest.skip("the twin's values are whole")
    put(store, b"a", b"one")
    store.records.write([], [Audited("thing.done", "usr_1")])
    name = f"{PREFIX}records:things"
    store.client.hset(name, b"a", b"short")
    for packed in (b"\2newer", b"\1\xc1", b"", b"\1\x81"):
        store.client.xadd(f"{PREFIX}audit", {"e": packed})
    assert store.records.get("things", b"a") is None
    assert store.records.all("things") == {}
    assert put(store, b"a", b"two")
    assert [each.act for each in store.records.trail()] == ["thing.done"]


def test_a_full_store_takes_what_is_small_and_its_trail(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        pytest.skip("the twin is never full")
    store.client.config_set("maxmemory", 1)
    try:
        assert store.records.write(
            [Change("things", b"a", b"one")], [Audited("thing.done", "usr_1")]
        )
        with pytest.raises(StoreFull):
            put(store, b"b", bytes(SMALL_BYTES + 1))
        assert put(store, b"a", None, b"one")
    finally:
        store.client.config_set("maxmemory", 0)
    assert put(store, b"b", bytes(SMALL_BYTES + 1))
    assert [each.act for each in store.records.trail()] == ["thing.done"]
