"""API keys: found, revoked, and when each was used last."""

from __future__ import annotations

import json

from click.testing import CliRunner

from shared.api_keys import generate
from shared.cli.main import cli
from shared.model.message import CLASSES
from tests.support.stores import RedisTestStore, Store


def test_keys_are_kept_oldest_first_and_revoked(store: Store) -> None:
    _, first = generate("shop", (), CLASSES, store.clock)
    store.clock.advance(1)
    _, second = generate("blog", ("blog.test",), ("bulk",), store.clock)
    store.keys.add(second)
    store.keys.add(first)
    assert store.keys.all() == [first, second]
    assert store.keys.find("nobody") is None
    assert store.keys.revoke("nobody") is False
    assert store.keys.revoke(first.id) is True
    found = store.keys.find(first.id)
    assert found is not None
    assert found.revoked_ms == store.clock.now_ms()


def test_uses_are_kept_apart_from_the_keys(store: Store) -> None:
    _, key = generate("shop", (), CLASSES, store.clock)
    store.keys.add(key)
    assert store.keys.last_used() == {}
    store.keys.used(key.id, 1000)
    store.keys.used("other", 5)
    store.keys.used(key.id, 2000)
    assert store.keys.last_used() == {key.id: 2000, "other": 5}
    assert store.keys.find(key.id) == key


def test_the_command_shows_when_a_key_was_used(store: Store) -> None:
    if not isinstance(store, RedisTestStore):
        return  # The command needs a server.
    for name in ("shop", "blog"):
        store.keys.add(generate(name, (), CLASSES, store.clock)[1])
    store.keys.used(store.keys.all()[0].id, 1_700_000_000_000)
    runner = CliRunner(env={"POSTHASTE_STORE_REDIS_URL": store.url})
    rows = json.loads(runner.invoke(cli, ["key", "list", "--json"]).stdout)
    assert {row["last_used_at"] for row in rows} == {"2023-11-14T22:13:20Z", None}
    told = runner.invoke(cli, ["key", "list"]).stdout
    assert "last used 2023-11-14T22:13:20Z" in told
    assert "no use known" in told
