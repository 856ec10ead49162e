"""SMTP sessions over all workers: limits that hold, places that come back, and shares."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.clock import ManualClock
from shared.store.redis_sessions import open_sessions
from shared.store.sessions import LEASE_MS, RENEW_SECONDS, Answer, Asked
from tests.support.redis_server import RedisServer
from tests.support.stores import MemoryTestStore, RedisTestStore, Store
from tests.support.stores import settings as store_settings

LEASE = LEASE_MS / 1000


def one(store: Store, process: str, hop: str, held: int, more: int = 0, **said: Any) -> Answer:
    (answer,) = store.ask(process, Asked(hop, held, more, **said))
    return answer


def is_open(store: Store, hop: str) -> int:
    """What operators see."""
    store.accept(hops=(hop,))
    return next(each.connections for each in store.operations.destinations() if each.hop == hop)


def live_for(store: Store, seconds: float, **held: int) -> None:
    """Time goes by, and these processes renew what they have at `gw1`."""
    for _ in range(int(seconds / RENEW_SECONDS)):
        store.clock.advance(RENEW_SECONDS)
        for process, count in held.items():
            one(store, process, "gw1", count)


def test_without_a_limit_all_are_granted_and_counted(store: Store) -> None:
    assert one(store, "p", "gw1", 0, 500) == Answer(500)
    assert one(store, "q", "gw1", 0, 20) == Answer(20)
    assert is_open(store, "gw1") == 520
    assert one(store, "p", "gw1", 0) == Answer()
    assert is_open(store, "gw1") == 20


def test_a_limit_holds_over_all_processes(store: Store) -> None:
    store.limit("gw1", connections=3)
    assert one(store, "p", "gw1", 0, 2) == Answer(2)
    answer = one(store, "q", "gw1", 0, 2)
    assert answer.granted == 1
    assert answer.again_ms > 0
    assert one(store, "r", "gw1", 0, 1).granted == 0
    assert one(store, "p", "gw2", 0, 9).granted == 9, "another relay's are its own"
    one(store, "p", "gw1", 1)
    assert one(store, "r", "gw1", 0, 1).granted == 1
    assert is_open(store, "gw1") == 3


def test_a_limit_counts_what_was_open_before_it(store: Store) -> None:
    one(store, "p", "gw1", 0, 8)
    store.limit("gw1", connections=3)
    assert one(store, "q", "gw1", 0, 1).granted == 0
    assert one(store, "p", "gw1", 8) == Answer(idle=6, due=6), "five too many, one for the other"
    assert one(store, "p", "gw1", 2).due == 0
    assert one(store, "q", "gw1", 0, 1).granted == 1


def test_a_process_that_was_killed_gives_its_places_back_with_its_lease(store: Store) -> None:
    store.limit("gw1", connections=2)
    one(store, "killed", "gw1", 0, 2)
    one(store, "alive", "gw2", 0, 1)
    for _ in range(int(LEASE / RENEW_SECONDS)):
        store.clock.advance(RENEW_SECONDS - 0.1)
        assert one(store, "alive", "gw1", 0, 1).granted == 0
        one(store, "alive", "gw2", 1)
    assert is_open(store, "gw1") == 2
    store.clock.advance(LEASE - int(LEASE / RENEW_SECONDS) * (RENEW_SECONDS - 0.1))
    assert one(store, "alive", "gw1", 0, 2).granted == 2


def test_a_lease_that_is_renewed_does_not_end(store: Store) -> None:
    store.limit("gw1", connections=2)
    one(store, "p", "gw1", 0, 2)
    live_for(store, 3 * LEASE, p=2)
    assert one(store, "q", "gw1", 0, 1).granted == 0


def test_after_a_stall_of_the_store_nobody_loses_its_places(store: Store) -> None:
    store.limit("gw1", connections=2)
    one(store, "p", "gw1", 0, 1)
    one(store, "q", "gw1", 0, 1)
    store.clock.advance(60)
    assert one(store, "r", "gw1", 0, 1).granted == 0
    store.clock.advance(1)
    one(store, "p", "gw1", 1)
    live_for(store, LEASE, p=1)
    assert one(store, "r", "gw1", 0, 1).granted == 1, "q has not come back"
    assert one(store, "r", "gw1", 1, 1).granted == 0


def test_a_session_that_is_open_is_put_back(store: Store) -> None:
    store.limit("gw1", connections=2)
    one(store, "stopped", "gw1", 0, 2)
    one(store, "p", "gw2", 0, 1)
    for _ in range(4):
        store.clock.advance(2)
        one(store, "p", "gw2", 1)
    assert one(store, "p", "gw1", 0, 1).granted == 1, "the lease has run out"
    answer = one(store, "stopped", "gw1", 2)
    assert is_open(store, "gw1") == 3
    assert answer.due == 1, "there is one too many"
    one(store, "stopped", "gw1", 1)
    assert is_open(store, "gw1") == 2


def test_a_process_that_stops_leaves_nothing_behind(store: Store) -> None:
    store.limit("gw1", connections=2)
    one(store, "p", "gw1", 0, 2)
    store.run(store.sessions().leave("p"))
    assert one(store, "q", "gw1", 0, 2).granted == 2
    assert is_open(store, "gw1") == 2


def test_an_answer_that_is_lost_is_made_good(store: Store) -> None:
    store.limit("gw1", connections=2)
    one(store, "p", "gw1", 0, 2)  # It never hears that both were granted.
    assert one(store, "p", "gw1", 0, 2).granted == 2
    assert is_open(store, "gw1") == 2


def test_sessions_begin_no_faster_than_their_rate(store: Store) -> None:
    store.limit("gw1", connections_per_second=4)
    granted, held = [], 0
    for _ in range(80):
        store.clock.advance(0.05)
        answer = one(store, "p", "gw1", held, 5)
        granted.append(answer.granted)
        held += answer.granted
        assert answer.again_ms > 0
    assert 16 <= sum(granted) <= 17
    assert max(granted) == 1
    store.clock.advance(60)
    assert one(store, "p", "gw1", held, 5).granted == 1, "nothing is saved up"


def test_the_rate_is_shared_and_told(store: Store) -> None:
    store.limit("gw1", connections_per_second=2)
    assert one(store, "p", "gw1", 0, 1).granted == 1
    answer = one(store, "q", "gw1", 0, 1)
    assert answer.granted == 0
    store.clock.advance(answer.again_ms / 1000)
    assert one(store, "p", "gw1", 1, 1).granted == 0, "q has none, and has asked"
    assert one(store, "q", "gw1", 0, 1).granted == 1


def test_the_limit_of_the_route_holds_too(store: Store) -> None:
    store.limit("gw1", connections=5)
    store.limit("@news", connections=3)
    assert one(store, "p", "gw1@news", 0, 9).granted == 3
    assert one(store, "p", "gw1", 0, 9).granted == 2, "two of the relay's are left"
    assert one(store, "q", "gw2@news", 0, 1).granted == 0, "the route has all it may have"
    assert is_open(store, "gw1") == 5


def test_each_site_has_the_limit_of_all_sites(store: Store) -> None:
    store.limit("mx:*", connections=2)
    store.limit("mx:large.test", connections=20)
    assert one(store, "p", "mx:a.test", 0, 9).granted == 2
    assert one(store, "p", "mx:b.test@own+sts~x", 0, 9).granted == 2
    assert one(store, "q", "mx:b.test", 0, 9).granted == 0, "a site is one, whatever the policy"
    assert one(store, "p", "mx:large.test", 0, 30).granted == 20


def test_a_limit_that_is_set_later_or_lifted_holds_at_once(store: Store) -> None:
    store.limit("gw1", connections=1)
    assert one(store, "p", "gw1", 0, 5).granted == 1
    store.limit("gw1", connections=2)
    assert one(store, "p", "gw1", 1, 5).granted == 1
    store.limit("gw1")
    assert one(store, "p", "gw1", 2, 5).granted == 5


class Process:
    """One that uses every session it may have, and does as it is told."""

    def __init__(self, store: Store, name: str, most: int = 50) -> None:
        self.store, self.name, self.most, self.held = store, name, most, 0

    def ask(self) -> Answer:
        answer = one(self.store, self.name, "gw1", self.held, self.most - self.held)
        self.held += answer.granted
        if answer.due:
            self.held -= answer.due
            one(self.store, self.name, "gw1", self.held)
        return answer


def play(store: Store, seconds: float, *processes: Process) -> None:
    """Each asks every 0.25 s; never are there more than the limit."""
    for _ in range(int(seconds * 4)):
        store.clock.advance(0.25)
        for process in processes:
            process.ask()


def test_who_comes_later_gets_its_share_within_seconds_and_keeps_it(store: Store) -> None:
    store.limit("gw1", connections=10)
    first, second, third = (Process(store, name) for name in "abc")
    play(store, 1, first)
    assert first.held == 10
    play(store, 3, first, second)
    assert (first.held, second.held) == (5, 5)
    play(store, 4, first, second, third)
    shares = [each.held for each in (first, second, third)]
    assert sorted(shares) == [3, 3, 4]
    changes = 0
    for _ in range(20):
        before = [each.held for each in (first, second, third)]
        play(store, 0.25, first, second, third)
        changes += before != [each.held for each in (first, second, third)]
    assert changes == 0, "nobody gives up for nothing"


def test_who_uses_little_leaves_the_rest_to_others(store: Store) -> None:
    store.limit("gw1", connections=10)
    busy, modest = Process(store, "busy"), Process(store, "modest", most=1)
    play(store, 4, busy, modest)
    assert (busy.held, modest.held) == (9, 1)


def test_more_processes_than_places_take_turns(store: Store) -> None:
    store.limit("gw1", connections=2)
    processes = [Process(store, name) for name in "abc"]
    had = {each.name: 0 for each in processes}
    for _ in range(120):
        play(store, 0.25, *processes)
        assert sum(each.held for each in processes) <= 2
        for each in processes:
            had[each.name] += each.held
    assert min(had.values()) > 20, had
    assert sum(had.values()) > 0.8 * 240, "places are seldom empty"


def test_an_idle_session_ends_for_whoever_waits(store: Store) -> None:
    store.limit("gw1", connections=1)
    one(store, "p", "gw1", 0, 1)
    one(store, "q", "gw1", 0, 1)
    assert one(store, "p", "gw1", 1) == Answer(idle=1, due=0)
    store.clock.advance(1.5)
    assert one(store, "p", "gw1", 1) == Answer(), "q has not asked again"


def test_class_critical_is_before_who_has_waited_longer(store: Store) -> None:
    store.limit("gw1", connections=1)
    one(store, "p", "gw1", 0, 1)
    one(store, "q", "gw1", 0, 1)
    store.clock.advance(0.5)
    one(store, "q", "gw1", 0, 1)
    one(store, "r", "gw1", 0, 1, urgent=True)
    assert one(store, "p", "gw1", 1).due == 1, "at once, and for nobody else so soon"
    one(store, "p", "gw1", 0, 1)
    assert one(store, "q", "gw1", 0, 1).granted == 0
    assert one(store, "r", "gw1", 0, 1, urgent=True).granted == 1


def test_what_hops_of_a_route_share_is_read_once(store: Store) -> None:
    """Else a call for fifty hops reads what a thousand have, fifty times."""
    store.limit("@news", connections=20)
    asked = [Asked(f"mx:{at}.test@news", 0, 1) for at in range(30)]
    assert sum(each.granted for each in store.ask("p", *asked)) == 20
    if isinstance(store, RedisTestStore):
        store.client.config_resetstat()
        assert sum(each.granted for each in store.ask("q", *asked)) == 0
        stats = store.client.info("commandstats")
        assert stats["cmdstat_hgetall"]["calls"] == 2


HOPS = ("gw1", "gw1@news", "gw2", "mx:a.test@news+sts~x")
said = st.tuples(st.sampled_from(HOPS), st.integers(0, 5), st.integers(0, 4), st.booleans())
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abc"), st.lists(said, max_size=3)),
        st.tuples(st.just("ask"), st.sampled_from("abc"), st.lists(said, max_size=3)),
        st.tuples(st.just("limit"), st.sampled_from(("gw1", "@news", "mx:*")),
                  st.integers(0, 6), st.sampled_from((0.0, 0.0, 3.0, 40.0))),
        st.tuples(st.just("wait"), st.sampled_from((1, 250, 1000, 2100, 7000))),
        st.tuples(st.just("leave"), st.sampled_from("abc")),
    ),
    min_size=10, max_size=60,
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(history=steps)
def agree(server: RedisServer, history: list[tuple[Any, ...]]) -> None:
    server.client().flushall()  # This module's own server.
    clock = ManualClock()
    real = RedisTestStore(store_settings(server.url), clock)
    memory = MemoryTestStore(store_settings(), clock)
    try:
        for name, *given_ in history:
            if name == "wait":
                clock.advance(given_[0] / 1000)
                continue
            found = [_step(each, name, *given_) for each in (memory, real)]
            assert found[0] == found[1], (name, given_)
        keys = ("gw1", "gw2", "@news", "mx:a.test")
        seen = open_sessions(real.operations._redis, keys, clock.now_ms())  # type: ignore[attr-defined]
        assert seen == {key: n for key in keys if (n := memory.memory.sessions.open_at(key))}
    finally:
        real.close()


def _step(store: Store, name: str, *given_: Any) -> Any:
    if name == "limit":
        return store.limit(given_[0], connections=given_[1], connections_per_second=given_[2])
    if name == "leave":
        return store.run(store.sessions().leave(given_[0]))
    process, asked = given_
    return store.ask(process, *{each[0]: Asked(*each) for each in asked}.values())


def test_twins_agree_about_sessions(redis_server: RedisServer) -> None:
    agree(redis_server)


def test_what_is_forgotten_leaves_no_keys(redis_server: RedisServer) -> None:
    redis_server.client().flushall()
    store = RedisTestStore(store_settings(redis_server.url), ManualClock())
    try:
        store.limit("mx:*", connections=2, connections_per_second=5)
        for number in range(20):
            one(store, "p", f"mx:{number}.test", 0, 1)
        store.run(store.sessions().leave("p"))
        left = redis_server.client().keys("ph:session*")
        assert not [key for key in left if "begun" not in str(key)]
        assert all(0 < redis_server.client().pttl(key) <= 61_000 for key in left)
    finally:
        store.close()


def test_a_process_asks_for_many_sites_at_once(store: Store) -> None:
    asked = [Asked(f"mx:{number}.test", 0, 1) for number in range(450)]
    assert store.ask("p", *asked) == [Answer(1)] * 450
    assert store.ask("p") == []
