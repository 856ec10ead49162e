"""Random histories over both stores at once: after every step they must say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.clock import ManualClock
from shared.hops import DestinationLimit, PoolMembers
from shared.model.message import MessageClass
from shared.model.status import FINAL, FOLLOWS, OPEN, Status
from shared.model.suppression import REASONS, Reason, Suppression
from shared.parting import parted
from shared.store.limits import Override
from shared.store.memory_shares import Shares
from shared.store.news import late_bounce
from shared.store.operations import Aside, Destination, Line, Move, Place, SetAside
from shared.store.ports import Accepted, AcceptKind, Claimed, Idempotency
from shared.store.quotas import Quota
from shared.store.recent import Sought
from shared.store.returns import Came, News, NewsKind
from shared.store.suppression_records import unpack_entries
from tests.support.redis_server import RedisServer
from tests.support.stores import (
    MemoryTestStore,
    RedisTestStore,
    Store,
    release,
    settlement,
)
from tests.support.stores import settings as store_settings

HOPS = ("a", "b")
POOLS = {
    "pool:o": PoolMembers("ordered", (("a", 1), ("b", 1))),
    "pool:w": PoolMembers("weighted", (("b", 1), ("a", 3), ("c@x", 2))),
}
SITES = ("mx:s@r", "mx:t")
QUEUES = (*HOPS, *SITES, *POOLS)
LIMITED = ("a", "b", "@r", "mx:*", "mx:s")
RATES = (DestinationLimit(), DestinationLimit(2.0, 1), DestinationLimit(50.0, 2),
         DestinationLimit(concurrency=1), DestinationLimit(per_minute=3),
         DestinationLimit(4.0, 3, 5, 9, 20), DestinationLimit(weight=3))  # fmt: skip
OVERRIDES = (Override(per_second=3.0), Override(per_minute=2, concurrency=0, until_ms=1),
             Override(0, 1, 0, 4, 0))  # fmt: skip
APPLICATIONS = ("app", "shop", "zoo", "")
KINDS: tuple[NewsKind, ...] = ("bounced", "complained", "unsubscribed")
NAMES: tuple[MessageClass, ...] = ("transactional", "critical")
OUTCOMES = (Status.DELIVERED, Status.DEFERRED, Status.DEFERRED, Status.BOUNCED, Status.UNCERTAIN,
            Status.DEAD)  # fmt: skip

accept = st.tuples(
    st.just("accept"), st.sampled_from(QUEUES), st.sampled_from(NAMES), st.integers(1, 3),
    st.sampled_from((False, False, False, True)), st.booleans(),
    st.sampled_from((False, False, True)), st.sampled_from(APPLICATIONS),
)  # fmt: skip
claim = st.tuples(
    st.just("claim"),
    st.sampled_from(NAMES),
    st.integers(1, 5),
    st.sampled_from((True, True, False)),
)
settle = st.tuples(st.just("settle"), st.integers(0, 3), st.sampled_from(OUTCOMES))
listed = (
    st.integers(0, 5), st.sampled_from(("", "app", "shop")), st.sampled_from(("", "", "news")),
)  # fmt: skip
suppress = st.tuples(
    st.just("suppress"),
    st.lists(
        st.tuples(*listed, st.sampled_from(REASONS), st.sampled_from((None, None, 0, 900, 7000))),
        min_size=1, max_size=3,
    ),
    st.booleans(),
)  # fmt: skip
listing = st.one_of(
    suppress,
    st.tuples(st.just("unsuppress"), *listed),
    st.tuples(st.just("start"), st.integers(0, 3)),
)
news = st.tuples(
    st.just("news"), st.integers(0, 9), st.sampled_from((0, 1, 2, 3, None)), st.booleans(),
    st.sampled_from(("bounced", "bounced", "bounced", "complained", "unsubscribed")),
)  # fmt: skip
pump = st.tuples(st.just("pump"), st.sampled_from((1, 2, 5, 14)))
seldom = st.one_of(
    st.tuples(st.just("release"), st.integers(0, 3), st.sampled_from((0, 3000))),
    st.tuples(st.just("renew"), st.integers(0, 9)),
    st.tuples(st.just("stall"), st.integers(2, 9)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("reschedule"), st.integers(0, 9), st.integers(0, 9000)),
    st.tuples(st.just("suspend"), st.sampled_from(QUEUES), st.sampled_from((None, 4000))),
    st.tuples(st.just("resume"), st.sampled_from(QUEUES)),
    st.tuples(st.just("trouble"), st.sampled_from((*HOPS, *SITES)), st.booleans()),
    st.tuples(st.just("flush"), st.sampled_from(QUEUES), st.sampled_from(NAMES)),
    st.tuples(st.just("move"), st.sampled_from(QUEUES), st.sampled_from(NAMES),
              st.sampled_from((None, *APPLICATIONS)), st.sampled_from(QUEUES), st.booleans(),
              st.booleans()),
    st.tuples(st.just("requeue"), st.sampled_from(("dead", "uncertain"))),
    st.tuples(st.just("damage"), st.integers(0, 9), st.sampled_from((None, b"\x02", b"\x01\xc1"))),
    st.tuples(st.just("drop"), st.sampled_from(("dead", "uncertain"))),
    st.tuples(st.just("ration"), st.sampled_from(HOPS), st.lists(st.integers(1, 3), max_size=4),
              st.sampled_from((Quota(minute=4), Quota(2, 9, 12), Quota(day=6))), st.booleans()),
    st.tuples(st.just("weigh"), st.sampled_from(({}, {}, {"app": 3}, {"shop": 2, "zoo": 50}))),
    st.tuples(st.just("limit"), st.sampled_from(LIMITED), st.sampled_from(RATES)),
    st.tuples(st.just("set_limit"), st.sampled_from(LIMITED), st.sampled_from(OVERRIDES),
              st.integers(0, 9000)),
    st.tuples(st.just("clear_limit"), st.sampled_from(LIMITED)),
)  # fmt: skip
steps = st.lists(
    st.one_of(accept, claim, claim, settle, settle, news, pump, seldom, seldom, listing),
    min_size=40,
    max_size=90,
)
"""Enough claims and settlements that legs get to every state (`SEEN` makes sure of it)."""

SEEN: set[str] = set()


class Pair:
    """The same history on both."""

    def __init__(self, memory: Store, real: Store, clock: ManualClock) -> None:
        self.stores = (memory, real)
        for store in self.stores:
            store.run(store.queue().pools(POOLS))
        self.clock = clock
        self.ids: list[bytes] = []
        self.claims: list[tuple[Claimed, Claimed]] = []
        self.overrides: dict[str, Override] = {}
        self.known: dict[bytes, dict[int, Status]] = {}

    def both(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Do the same to both; what they answer must be equal."""
        first, second = (getattr(store, name)(*arguments, **options) for store in self.stores)
        assert first == second, name
        return first

    def step(self, step: tuple[Any, ...]) -> None:
        """One step of the history."""
        getattr(self, f"do_{step[0]}")(*step[1:])

    def do_accept(
        self, hop: str, name: str, recipients: int, scheduled: bool, hold: bool, soon: bool,
        application: str = "app",
    ) -> None:  # fmt: skip
        when = 3000 if scheduled else None
        options: dict[str, Any] = {
            "hops": (hop, "d"), "message_class": name, "recipients": recipients, "hold": hold,
            "deliver_by_in_ms": 7000 if soon else None, "application": application,
            "list_name": "news" if recipients == 2 else "", "send_in_ms": when,
        }  # fmt: skip
        given = self.both("submission", **options)
        (first,), (second,) = (store.spool.accept([given]) for store in self.stores)
        assert first == second
        assert isinstance(first, Accepted)
        self.ids.append(first.message_id)
        if first.suppressed:
            whole = len(first.suppressed) == 2 * recipients
            SEEN.add("all suppressed" if whole else "some suppressed")

    def do_suppress(
        self, many: list[tuple[int, str, str, Reason, int | None]], by_worker: bool
    ) -> None:
        now = self.clock.now_ms()
        entries = [
            Suppression(
                f"r{at}@example.test", application, list_name, reason, "test", now,
                None if wait is None else now + wait, f"{wait}",
            )
            for at, application, list_name, reason, wait in many
        ]  # fmt: skip
        first, second = (
            store.run(store.queue().suppress(entries)) if by_worker
            else store.suppressions.add(entries)
            for store in self.stores
        )  # fmt: skip
        assert first == second

    def do_unsuppress(self, at: int, application: str, list_name: str) -> None:
        first, second = (
            store.suppressions.remove(f"r{at}@example.test", application, list_name)
            for store in self.stores
        )
        assert first == second

    def do_start(self, at: int) -> None:
        if self.claims:
            claimed, _ = self.claims[-1 - at % len(self.claims)]
            (answer,) = self.both("started", claimed)
            if answer.suppressed:
                SEEN.add("suppressed at start")

    def do_ration(self, hop: str, counts: list[int], quota: Quota, keyed: bool) -> None:
        """A batch of an application with a quota; with a key they may be replays."""
        batch = [
            self.both(
                "submission", hops=(hop,), recipients=count, quota=quota,
                idempotency=Idempotency(bytes([count]) * 16, b"f" * 16) if keyed else None,
            )
            for count in counts
        ]  # fmt: skip
        first, second = (store.spool.accept(batch) for store in self.stores)
        assert first == second
        for each in first:
            assert isinstance(each, Accepted)
            SEEN.add(each.kind.value)
            if each.kind is AcceptKind.ACCEPTED:
                self.ids.append(each.message_id)

    def do_claim(self, name: str, limit: int, start: bool) -> None:
        first, second = (
            store.claim(name, limit=limit, quantum=2, start=start)  # type: ignore[arg-type]
            for store in self.stores
        )
        assert first == second
        self.claims += zip(first.legs, second.legs, strict=True)

    def do_settle(self, at: int, status: Status) -> None:
        if self.claims:
            first, _ = self.claims[-1 - at % len(self.claims)]
            given = settlement(first, status, retry_ms=2000, note="lost; TLS")
            pinned = status is Status.DEFERRED and first.leg.attempts % 2 == 1
            refusal = "421 4.7.0 later" if pinned else ""
            self.both("settle", msgspec.structs.replace(given, pinned=pinned, refusal=refusal))

    def do_release(self, at: int, wait: int) -> None:
        if self.claims:
            first, _ = self.claims[-1 - at % len(self.claims)]
            said = "421 4.7.0 later" if wait else ""
            self.both("settle", release(first, wait, refusal=said))

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

    def do_suspend(self, hop: str, wait: int | None) -> None:
        until = None if wait is None else self.clock.now_ms() + wait
        for store in self.stores:
            store.operations.suspend(hop, until, "by hand")

    def do_resume(self, hop: str) -> None:
        first, second = (store.operations.resume(hop) for store in self.stores)
        assert first == second

    def do_trouble(self, hop: str, slow: bool) -> None:
        self.both("trouble", hop, slow=slow)

    def do_flush(self, hop: str, name: Any) -> None:
        first, second = (store.operations.flush(hop, name, 3) for store in self.stores)
        assert first == second

    def do_move(
        self, hop: str, name: Any, application: str | None, to: str, part: bool, now: bool
    ) -> None:
        """Some of a line; with `part` each recipient goes another way."""
        line = Line(hop, name, application)
        moves, others = (self.read(store, line, to, part=part) for store in self.stores)
        assert moves == others
        first, second = (store.operations.move(line, moves, now=now) for store in self.stores)
        assert first == second

    @staticmethod
    def read(store: Store, line: Line, to: str, *, part: bool) -> list[Move]:
        """What moves the first ones of a line."""
        found = []
        for entry in store.operations.line(line, 0, 3):
            leg = entry.leg
            if leg is not None:
                hops = [("a", "pool:w", to)[at % 3] if part else to for at in leg.indices()]
                found.append(Move(entry.leg_id, leg, parted(leg, hops)))
        return found

    def do_news(self, at: int, recipient: int | None, had_it: bool, kind: NewsKind) -> None:
        """It comes twice, and counts once; with `had_it` about somebody who may have his mail."""
        message = self.ids[-1 - at % len(self.ids)] if self.ids else bytes(16)
        had = [
            (each, index) for each, statuses in self.known.items()
            for index, status in sorted(statuses.items()) if Status.BOUNCED in FOLLOWS[status]
            and status not in OPEN
        ]  # fmt: skip
        if had and had_it:
            message, recipient = had[-1 - at % len(had)]
        entry = Suppression(
            f"r{recipient or 0}@example.test", "app", "news", REASONS[KINDS.index(kind)], "test",
            self.clock.now_ms(),
        )  # fmt: skip
        attempt = late_bounce(7, "mx", recipient or 0, 550, "5.1.1", "no such user")
        mark = bytes([0 if recipient is None else recipient + 1])
        given = News(
            kind, message, mark, "my app", "transactional", "g|m", b"x", recipient,
            attempt if kind == "bounced" else None, (entry,) if at % 3 == 0 else (),
        )  # fmt: skip
        first, second = (store.returns.news(given) for store in self.stores)
        assert first == second
        SEEN.add(first.value)
        before = [store.spool.get(message) for store in self.stores]
        ledgers = [len(store.ledger()) for store in self.stores]
        assert {store.returns.news(given) for store in self.stores} == {Came.REPEATED}
        assert [store.spool.get(message) for store in self.stores] == before
        assert [len(store.ledger()) for store in self.stores] == ledgers

    def do_requeue(self, kind: Aside) -> None:
        legs = [(each.leg_id, self.clock.now_ms() + 9000) for each in self.aside(kind)]
        first, second = (store.operations.requeue(legs) for store in self.stores)
        assert first == second == [True] * len(legs)

    def do_drop(self, kind: Aside) -> None:
        legs = [each.leg_id for each in self.aside(kind)]
        first, second = (store.operations.drop([*legs, *legs]) for store in self.stores)
        assert first == second == [True] * len(legs) + [False] * len(legs)

    def aside(self, kind: Aside) -> list[SetAside]:
        """What is set aside, two at a time."""
        found: list[SetAside] = []
        place: Place | None = None
        while True:
            first, second = (store.operations.aside(kind, 2, place) for store in self.stores)
            assert first == second
            if not first:
                return found
            found += first
            place = (first[-1].since_ms, first[-1].leg_id)

    def do_damage(self, at: int, packed: bytes | None) -> None:
        if self.ids:
            self.both("put_head", self.ids[at % len(self.ids)], packed)

    def do_weigh(self, weights: dict[str, int]) -> None:
        for store in self.stores:
            store.run(store.queue().weights(weights))

    def do_limit(self, key: str, limit: DestinationLimit) -> None:
        for store in self.stores:
            store.run(store.queue().limit(key, limit))

    def do_set_limit(self, key: str, override: Override, wait: int) -> None:
        if override.until_ms is not None:
            override = msgspec.structs.replace(override, until_ms=self.clock.now_ms() + wait)
        self.overrides[key] = override
        for store in self.stores:
            store.operations.set_limit(key, override)

    def do_clear_limit(self, key: str) -> None:
        override = self.overrides.pop(key, None)
        over = override is not None and override.is_over(self.clock.now_ms())
        first, second = (store.operations.clear_limit(key) for store in self.stores)
        assert first == second or over  # That is forgotten when it is come across.

    @staticmethod
    def seen(each: Destination | None) -> tuple[Any, ...]:
        """What must agree; of ready ids some may be tombstones, and rates are by the minute."""
        if each is None:
            return (0, 0, None, None, {})
        return (each.deferred, each.in_flight, each.pause, each.override, each.used, each.refusal)

    def shares(self) -> Iterable[Shares]:
        """What the twin has counted."""
        twin = self.stores[0]
        assert isinstance(twin, MemoryTestStore)
        return twin.memory.state.shares.values()

    def compare_lists(self) -> None:
        """Recent messages and figures by minute are the same."""
        first, second = (store.recent.recent(None, 200) for store in self.stores)
        assert first == second
        sought = Sought(recipient="R1@", status=Status.DEFERRED)
        first, second = (store.recent.search(sought, 9, 2, scan=7) for store in self.stores)
        assert first == second
        SEEN.update("sought" for _ in first.entries)
        samples = [store.samples.samples() for store in self.stores]
        assert samples[0] == samples[1]
        SEEN.update("sampled" for each in samples[0] if each.total().deferred)

    def compare(self) -> None:
        """Everything that can be seen is the same, and nothing is unaccounted for."""
        for identifier in self.ids:
            first, second = (store.spool.get(identifier) for store in self.stores)
            assert first == second
            if first is not None:
                self.nothing_final_is_left(identifier, first.statuses())
        assert self.stores[0].returns.outcomes(0) == self.stores[1].returns.outcomes(0)
        assert self.stores[0].returns.outcomes(1) == self.stores[1].returns.outcomes(1)
        assert len({store.spool.uses("app") for store in self.stores}) == 1
        pages = [store.suppressions.page("", 1000) for store in self.stores]
        assert pages[0] == pages[1]
        for at in range(2):
            found = [store.suppressions.find(f"r{at}@example.test") for store in self.stores]
            assert found[0] == found[1]
        limits = [store.operations.limits(LIMITED) for store in self.stores]
        assert limits[0] == limits[1]
        self.compare_lists()
        first_depth, second_depth = (store.spool.depth() for store in self.stores)
        for name in ("accepted", "by_status", "ready_legs", "deferred_legs", "leased_legs",
                     "dead_legs", "held_legs", "finished_messages", "live_workers",
                     "suspended_hops", "troubled_hops"):  # fmt: skip
            assert getattr(first_depth, name) == getattr(second_depth, name), name
        views = [{(each.hop, each.message_class): each for each in store.operations.destinations()}
                 for store in self.stores]  # fmt: skip
        for place in views[0].keys() | views[1].keys():
            first_one, second_one = (view.get(place) for view in views)
            assert self.seen(first_one) == self.seen(second_one), place
        SEEN.update(name for each in views[0].values() for name, there in (
            ("deferred", each.deferred), ("in flight", each.in_flight), ("pause", each.pause),
            ("override", each.override), ("slowed", each.slowed), ("used", sum(each.used.values())),
        ) if there)  # fmt: skip
        SEEN.update("turns" for each in self.shares() if each.unlike)
        SEEN.update(event.kind for event in self.stores[0].spool.events(limit=10_000))
        self.stores[1].reconcile()
        self.nothing_is_forgotten()

    def nothing_final_is_left(self, identifier: bytes, statuses: dict[int, Status]) -> None:
        """But for what was delivered and has bounced since."""
        for index, old in self.known.get(identifier, {}).items():
            new = statuses.get(index)
            if old in FINAL and new is not old:
                assert (old, new) == (Status.DELIVERED, Status.BOUNCED)
                SEEN.add("bounced late")
        self.known[identifier] = statuses

    def nothing_is_forgotten(self) -> None:
        """Each queue that has mail is in one place, where a claim or a wake-up finds it."""
        real = self.stores[1]
        assert isinstance(real, RedisTestStore)
        client: Any = real.client  # Of both kinds, by its types.
        packed = [each for name in client.keys("ph:suppressed:*") for each in client.hvals(name)]
        entries = [entry for each in packed for entry in unpack_entries(each)]
        expiring = sum(entry.expires_ms is not None for entry in entries)
        counts = [int(each or 0) for each in client.hmget("ph:suppressed", "entries", "expiring")]
        assert counts == [len(entries), expiring]
        for c in range(2):
            ring = client.lrange(f"ph:ring:{c}", 0, -1)
            wake = client.zrange(f"ph:wake:{c}", 0, -1)
            assert len({*ring, *wake}) == len(ring) + len(wake)
            start = f"ph:ready:{c}:".encode()
            ready = {each.removeprefix(start) for each in client.keys(start + b"*")}
            assert ready <= {*ring, *wake}
            for queue in wake:
                hop, _, application = queue.partition(b"|")
                assert client.zscore(f"ph:apps:{c}:{hop.decode()}", application) is not None


@pytest.fixture(scope="module")
def server(redis_server: RedisServer) -> RedisServer:
    return redis_server


@settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(history=steps)
@example(
    history=[
        *[("accept", "a", "transactional", 1, False, False, False, name)
          for name in ("app", "shop", "zoo")] * 3,
        *[("accept", "b", "transactional", 1, False, False, False, "app")] * 3,
        *[("claim", "transactional", 2, True), ("pump", 1)] * 4,
    ]
)  # fmt: skip
@example(
    history=[
        ("accept", "a", "transactional", 2, False, False, False), ("pump", 1),
        *[("claim", "transactional", 5, True), ("pump", 14), ("pump", 14)] * 3,
        ("requeue", "dead"), ("claim", "transactional", 5, True),
    ]
)  # fmt: skip
@example(
    history=[
        *[("accept", "a", "transactional", 2, False, False, False)] * 3,
        ("damage", 0, b"\x01\xc1"), ("damage", 1, b"\x02"), ("claim", "transactional", 9, True),
        ("pump", 14), ("requeue", "dead"), ("claim", "transactional", 9, True), ("drop", "dead"),
        *[("pump", 14)] * 9, ("damage", 1, None), ("claim", "transactional", 9, True),
    ]
)  # fmt: skip
@example(
    history=[
        ("limit", "a", DestinationLimit(per_minute=3, per_day=5)), ("pump", 1),
        *[("accept", "a", "transactional", 3, False, False, False)] * 5,
        *[("claim", "transactional", 2, True), ("settle", 0, Status.DEFERRED), ("pump", 5)] * 2,
        ("move", "a", "transactional", None, "pool:w", True, False),
        ("move", "a", "transactional", "app", "b", False, False),
        ("claim", "transactional", 9, True), ("pump", 14), ("claim", "transactional", 9, True),
    ]
)  # fmt: skip
@example(
    history=[
        ("accept", "a", "transactional", 2, False, False, False),
        ("move", "a", "transactional", "app", "b", True, False),
    ]
)  # fmt: skip
@example(
    history=[
        ("accept", "a", "transactional", 2, False, True, False), ("pump", 1),
        ("claim", "transactional", 9, True), ("news", 0, 0, False, "bounced"),
        ("settle", 0, Status.DELIVERED), ("settle", 1, Status.UNCERTAIN),
        *[("news", 0, 0, True, "bounced")] * 2, ("drop", "uncertain"), ("pump", 14),
        ("news", 0, None, False, "complained"), ("news", 0, 3, True, "bounced"),
    ]
)  # fmt: skip
@example(
    history=[
        ("accept", "mx:s@r", "transactional", 2, False, True, False, "shop"), ("pump", 1),
        ("set_limit", "mx:s", Override(per_minute=2, until_ms=1), 400), ("pump", 2),
        ("set_limit", "mx:*", Override(0, 1, 0, 4, 0), 0), ("claim", "transactional", 4, True),
    ]
)  # fmt: skip
@example(
    history=[
        ("accept", "a", "transactional", 2, False, False, False),
        ("suppress", [(0, "", "", "bounce", 7000), (2, "app", "news", "unsubscribe", None)], True),
        ("claim", "transactional", 2, False), ("start", 0),
        ("suppress", [(3, "", "", "manual", 7000)], False), ("unsuppress", 3, "", ""),
        ("suppress", [(1, "app", "", "complaint", None)], False), ("start", 1),
        ("accept", "a", "transactional", 1, True, False, True), ("pump", 14),
        ("accept", "a", "critical", 1, False, False, True),
        ("unsuppress", 1, "app", ""), ("start", 0), ("pump", 14),
        ("accept", "a", "transactional", 1, False, False, True),
    ]
)  # fmt: skip
def agree(server: RedisServer, history: list[tuple[Any, ...]]) -> None:
    server.client().flushall()  # This module's own server.
    clock = ManualClock()
    real = RedisTestStore(store_settings(server.url, max_crashes=2), clock)
    try:
        pair = Pair(MemoryTestStore(store_settings(max_crashes=2), clock), real, clock)
        for step in history:
            pair.step(step)
            pair.compare()
    finally:
        real.close()


def test_twins_agree(server: RedisServer) -> None:
    agree(server)
    assert {
        "deferred", "in flight", "pause", "accepted", "attempt", "cancelled", "rescheduled",
        "expired", "crashed", "dead", "requeued", "dropped", "over_quota", "replayed", "override",
        "slowed", "used", "moved", "turns", "suppressed", "unsuppressed", "all suppressed",
        "some suppressed", "suppressed at start", "changed", "noted", "bounced late", "complained",
        "sought", "sampled",
    } <= SEEN, "the histories are too tame"  # fmt: skip
