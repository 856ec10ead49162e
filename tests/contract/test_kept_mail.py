"""Mail kept for a look: the last ones, bounded in number and bytes, whatever they hold."""

from __future__ import annotations

import pytest

from shared.store import memory_returns, redis_returns
from shared.store.returns import MOST_CONTENT_BYTES, Returned
from tests.support.stores import RedisTestStore, Store

BINARY = bytes(range(256)) + b"\r\n\0"


def mail(identifier: str, content: bytes = BINARY, **fields: str) -> Returned:
    """Some mail."""
    about = {"reason": "no_token", "sender": "", "recipient": "x@b.test", "subject": "s", **fields}
    return Returned(identifier, 7, size_bytes=len(content), content=content, **about)


def ids(store: Store, limit: int = 100) -> list[str]:
    """Of what is kept, the last one first."""
    return [each.id for each in store.returns.kept(limit)]


def test_it_is_shown_as_it_came(store: Store) -> None:
    kept = mail("a", subject="Überraschung \N{PILE OF POO}")
    store.returns.keep(kept, 10)
    (listed,) = store.returns.kept(10)
    assert (listed.content, listed.subject, listed.size_bytes) == (b"", kept.subject, 259)
    assert store.returns.kept_one("a") == kept
    assert store.returns.kept_one("b") is None


def test_the_oldest_go(store: Store) -> None:
    for name in "abcdef":
        store.returns.keep(mail(name), 4)
    assert (ids(store), ids(store, 2), ids(store, 0)) == (["f", "e", "d", "c"], ["f", "e"], [])
    assert store.returns.kept_count() == 4
    store.returns.keep(mail("g"), 2)  # The setting was lowered.
    assert ids(store) == ["g", "f"]
    assert store.returns.kept_one("a") is None
    store.returns.keep(mail("h"), 0)
    assert ids(store) == []
    assert store.returns.kept_count() == 0


def test_the_same_one_twice_is_one(store: Store) -> None:
    for _ in range(2):
        store.returns.keep(mail("a"), 4)
    assert ids(store) == ["a"]
    assert store.returns.drop_kept("a") == 1


def test_there_is_an_end_to_its_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (memory_returns, redis_returns):
        monkeypatch.setattr(each, "MOST_KEPT_BYTES", 200_000)
    for name in "abcdef":
        store.returns.keep(mail(name, b"x" * 10 * 1024 * 1024), 100)
    assert ids(store) == ["f", "e", "d"]
    found = store.returns.kept_one("f")
    assert found is not None
    assert (len(found.content), found.size_bytes) == (MOST_CONTENT_BYTES, 10 * 1024 * 1024)
    store.returns.keep(mail("g", b""), 100)
    assert len(ids(store)) == 4
    assert store.returns.drop_kept("e") == 1
    store.returns.keep(mail("h", b"x" * 10 * 1024 * 1024), 100)
    assert ids(store) == ["h", "g", "f", "d"]


def test_long_and_broken_texts_are_cut(store: Store) -> None:
    store.returns.keep(
        mail("a", subject="\udc80" + "s" * 5000, sender="m" * 5000, reason="r" * 90), 5
    )
    (found,) = store.returns.kept(5)
    assert (found.subject[:2], len(found.subject), len(found.sender)) == ("?s", 200, 320)


def test_it_is_dropped(store: Store) -> None:
    for name in "abc":
        store.returns.keep(mail(name), 9)
    assert (store.returns.drop_kept("b"), store.returns.drop_kept("b")) == (1, 0)
    assert ids(store) == ["c", "a"]
    if isinstance(store, RedisTestStore):
        assert sorted(store.client.hkeys("ph:kept:content")) == [b"a", b"c"]
    assert (store.returns.drop_kept(None), store.returns.drop_kept(None)) == (2, 0)
    assert ids(store) == []
    if isinstance(store, RedisTestStore):
        assert store.client.keys("ph:kept*") == []


def test_what_cannot_be_read_hides_nothing(store: Store) -> None:
    for name in "abc":
        store.returns.keep(mail(name), 9)
    if isinstance(store, RedisTestStore):
        store.client.hset("ph:kept:about", "b", b"\x01\xc1")
        store.client.hset("ph:kept:about", "c", b"\x02new")
        assert ids(store) == ["a"]
        assert store.returns.kept_one("b") is None
        assert store.returns.drop_kept("b") == 1
