"""Outcomes by application and site: counted with the settlement, by day, whatever the names are."""

from __future__ import annotations

from typing import Any

import pytest

from shared.model.message import MessageClass
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.store import memory_outcomes
from shared.store.outcomes import What, outcome_counter
from tests.support.stores import MemoryTestStore, RedisTestStore, Store, settlement

DAY_SECONDS = 86_400
NAMES = ["shop", "my shop", "a|b", "o|x|y", "100%|%7C %20", "büro ünit", "\N{NO-BREAK SPACE}x", "|"]


def settle(store: Store, *counters: str, of: MessageClass = "transactional") -> None:
    """A message whose delivery counts so."""
    store.accept(message_class=of)
    (claimed,) = store.claim(of).legs
    store.settle(settlement(claimed, Status.DELIVERED, counted=counters))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_hold_whatever_a_key_allows(store: Store, name: str) -> None:
    counter = outcome_counter(name, "gmail", "delivered")
    settle(store, counter, "plain", counter, of="bulk")
    assert store.returns.outcomes(0) == {(name, "bulk", "gmail", "delivered"): 2}
    assert store.spool.depth().counters["plain"] == 1
    assert not [each for each in store.spool.depth().counters if "gmail" in each]


def test_they_are_told_by_day(store: Store) -> None:
    key: tuple[str, MessageClass, str, str] = ("app", "transactional", "other", "delivered")
    counter = outcome_counter("app", "other", "delivered")
    for days in (0, 1, 33):
        store.clock.advance(days * DAY_SECONDS)
        settle(store, counter)
    found = [store.returns.outcomes(days).get(key, 0) for days in (0, 1, 34, 35, 400)]
    assert found == [3, 1, 2, 3, 3]
    store.clock.advance(10 * DAY_SECONDS)
    assert store.returns.outcomes(10) == {}
    assert store.returns.outcomes(35) == {key: 1}
    if isinstance(store, RedisTestStore):
        client: Any = store.client
        for each in client.keys("ph:outcomes:*"):
            assert 35 <= client.ttl(each) / DAY_SECONDS <= 36
        assert client.ttl("ph:outcomes") == -1


@pytest.mark.parametrize("application", ["app", "my|shop", "a" * 64, "ö" * 40])
@pytest.mark.parametrize("named", [True, False], ids=["named", "as before turns"])
def test_what_expires_counts_with_its_whole_name(
    store: Store, application: str, named: bool
) -> None:
    submission = store.submission(
        application=application, recipients=3, deliver_by_in_ms=1000, named=named
    )
    store.spool.accept([submission])
    store.pump_for(2)
    assert store.returns.outcomes(1) == {(application, "transactional", "other", "expired"): 3}


def test_who_is_suppressed_when_it_is_accepted_counts(store: Store) -> None:
    entries = [Suppression(f"r{at}@example.test", at_ms=1) for at in (0, 1, 2)]
    store.suppressions.add(entries)
    store.accept(hops=("a", "b"), recipients=2, application="my shop", message_class="bulk")
    assert store.returns.outcomes(1) == {("my shop", "bulk", "other", "suppressed"): 3}


def test_names_without_end_are_counted_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[tuple[str, What]] = [("app", "delivered"), ("late", "delivered")]
    settle(store, outcome_counter("app", "other", "delivered"))
    if isinstance(store, MemoryTestStore):
        monkeypatch.setattr(memory_outcomes, "MOST_OUTCOMES", 1)
    else:
        assert isinstance(store, RedisTestStore)
        client: Any = store.client
        for key in ("ph:outcomes", *client.keys("ph:outcomes:*")):
            client.hset(key, mapping={f"9|{at}": 1 for at in range(19_999)})
    for name, what in known * 2:
        settle(store, outcome_counter(name, "other", what))
    for days in (0, 1):
        assert store.returns.outcomes(days) == {
            ("app", "transactional", "other", "delivered"): 3,
            ("", "transactional", "other", "delivered"): 2,
        }
