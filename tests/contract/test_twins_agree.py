"""Random histories over both stores at once: after every step they must say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.clock import ManualClock
from shared.model.message import CLASSES
from shared.model.status import Status
from shared.store.ports import Claimed, DestinationLimit
from tests.support.redis_server import RedisServer
from tests.support.stores import (
    MemoryTestStore,
    RedisTestStore,
    Store,
    release,
    settlement,
)
from tests.support.stores import settings as store_settings

HOPS = ("a", "b", "c")
OUTCOMES = (Status.DELIVERED, Status.DEFERRED, Status.BOUNCED, Status.UNCERTAIN)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.sampled_from(HOPS), st.sampled_from(CLASSES),
                  st.integers(1, 3), st.booleans()),
        st.tuples(st.just("claim"), st.sampled_from(CLASSES), st.integers(1, 5),
                  st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from(OUTCOMES)),
        st.tuples(st.just("release"), st.integers(0, 9), st.sampled_from((0, 3000))),
        st.tuples(st.just("renew"), st.integers(0, 9)),
        st.tuples(st.just("pump"), st.integers(1, 8)),
        st.tuples(st.just("stall"), st.integers(2, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("reschedule"), st.integers(0, 9), st.integers(0, 9000)),
        st.tuples(st.just("suspend"), st.sampled_from(HOPS), st.sampled_from((0, 4000))),
        st.tuples(st.just("limit"), st.sampled_from(HOPS), st.sampled_from((0.0, 2.0, 50.0)),
                  st.integers(0, 2)),
    ),
    min_size=5, max_size=60,
)  # fmt: skip


class Pair:
    """The same history on both."""

    def __init__(self, memory: Store, real: Store, clock: ManualClock) -> None:
        self.stores = (memory, real)
        self.clock = clock
        self.ids: list[bytes] = []
        self.claims: list[tuple[Claimed, Claimed]] = []

    def both(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Do the same to both; what they answer must be equal."""
        first, second = (getattr(store, name)(*arguments, **options) for store in self.stores)
        assert first == second, name
        return first

    def step(self, step: tuple[Any, ...]) -> None:
        """One step of the history."""
        getattr(self, f"do_{step[0]}")(*step[1:])

    def do_accept(self, hop: str, name: str, recipients: int, scheduled: bool) -> None:
        when = 3000 if scheduled else None
        options = {"hops": (hop, "d"), "message_class": name, "recipients": recipients}
        self.ids.append(self.both("accept", **options, send_in_ms=when))

    def do_claim(self, name: str, limit: int, start: bool) -> None:
        first, second = (
            store.claim(name, limit=limit, quantum=2, start=start)  # type: ignore[arg-type]
            for store in self.stores
        )
        assert first == second
        self.claims += zip(first.legs, second.legs, strict=True)

    def do_settle(self, at: int, status: Status) -> None:
        if self.claims:
            first, _ = self.claims[at % len(self.claims)]
            self.both("settle", settlement(first, status, retry_ms=2000))

    def do_release(self, at: int, wait: int) -> None:
        if self.claims:
            first, _ = self.claims[at % len(self.claims)]
            self.both("settle", release(first, wait))

    def do_renew(self, at: int) -> None:
        if self.claims:
            self.both("renew", self.claims[at % len(self.claims)][0])

    def do_pump(self, halves: int) -> None:
        for _ in range(halves):
            self.clock.advance(0.5)
            first, second = (store.pump() for store in self.stores)
            # Tickets in a real queue count too, which the twin does not have.
            assert [getattr(first, name) for name in ("due", "reaped", "crashed", "dead")] == [
                getattr(second, name) for name in ("due", "reaped", "crashed", "dead")
            ]

    def do_stall(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def do_cancel(self, at: int) -> None:
        if self.ids:
            identifier = self.ids[at % len(self.ids)]
            first, second = (store.spool.cancel(identifier).kind for store in self.stores)
            assert first is second

    def do_reschedule(self, at: int, wait: int) -> None:
        if self.ids:
            identifier, when = self.ids[at % len(self.ids)], self.clock.now_ms() + wait
            first, second = (
                store.spool.reschedule(identifier, when, when + 10**9).kind for store in self.stores
            )
            assert first is second

    def do_suspend(self, hop: str, wait: int) -> None:
        for store in self.stores:
            store.run(store.queue().suspend(hop, wait))

    def do_limit(self, hop: str, rate: float, concurrency: int) -> None:
        for store in self.stores:
            store.run(store.queue().limit(hop, DestinationLimit(rate, concurrency)))

    def compare(self) -> None:
        """Everything that can be seen is the same, and nothing is unaccounted for."""
        for identifier in self.ids:
            first, second = (store.spool.get(identifier) for store in self.stores)
            assert first == second
        first_depth, second_depth = (store.spool.depth() for store in self.stores)
        for name in ("accepted", "by_status", "ready_legs", "deferred_legs", "leased_legs",
                     "dead_legs", "finished_messages", "live_workers"):  # fmt: skip
            assert getattr(first_depth, name) == getattr(second_depth, name), name
        self.stores[1].reconcile()


@pytest.fixture(scope="module")
def server(redis_server: RedisServer) -> RedisServer:
    return redis_server


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(history=steps)
def test_twins_agree(server: RedisServer, history: list[tuple[Any, ...]]) -> None:
    server.client().flushall()  # This module's own server.
    clock = ManualClock()
    real = RedisTestStore(store_settings(server.url), clock)
    try:
        pair = Pair(MemoryTestStore(store_settings(), clock), real, clock)
        for step in history:
            pair.step(step)
            pair.compare()
    finally:
        real.close()
