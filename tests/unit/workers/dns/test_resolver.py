"""The cache before DNS: how long what is kept, one question at a time, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.clock import ManualClock
from workers.dns.answers import Answer, Found, Kind, NoData, NoSuchName, Temporary, Told
from workers.dns.resolver import MOST_CHARACTERS, QUESTIONS, Resolver

FOUND = Found(("192.0.2.1",), "a.test")
GONE = Temporary("no DNS server has answered in time")


class Scripted:
    """An upstream whose next answer is `told`; it can be held."""

    def __init__(self, answer: Answer, seconds: float = 0.0) -> None:
        self.told = Told(answer, seconds)
        self.asked: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.under_way = self.most_under_way = 0

    async def ask(self, name: str, kind: Kind) -> Told:
        self.asked.append((name, kind))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        told = self.told
        await self.open.wait()
        self.under_way -= 1
        return told


def kept_for(answer: Answer, seconds: float) -> float:
    """Seconds until an answer is asked for again, to a tenth."""

    async def ask_until_asked_again() -> float:
        upstream, clock = Scripted(answer, seconds), ManualClock()
        resolver = Resolver(upstream, clock)
        start = clock.monotonic()
        await resolver.look_up("a.test", "A")
        for wait in (0.0, 4.9, 5.0, 59.9, 60.0, 3599.9, 3600.0, 86_399.9, 86_400.0):
            clock.advance(start + wait - clock.monotonic())
            assert await resolver.look_up("a.test", "A") == answer
            if len(upstream.asked) > 1:
                return wait
        raise AssertionError("kept for ever")

    return asyncio.run(ask_until_asked_again())


@pytest.mark.parametrize(
    ("answer", "seconds", "kept"),
    [
        (FOUND, 60, 60.0),
        (FOUND, 0, 0.0),
        (FOUND, 7 * 86_400, 86_400.0),
        (NoData("a.test"), 60, 60.0),
        (NoData("a.test"), 0, 5.0),
        (NoSuchName(), 60, 60.0),
        (NoSuchName(), 1, 5.0),
        (NoSuchName(), 86_400, 3600.0),
        (GONE, 0, 5.0),
        (GONE, 3600, 5.0),
    ],
)
def test_an_answer_is_kept_as_long_as_dns_says_within_bounds(
    answer: Answer, seconds: float, kept: float
) -> None:
    assert kept_for(answer, seconds) == kept


def with_resolver(
    work: Callable[[Resolver, Scripted, ManualClock], Awaitable[None]], capacity: int = 100
) -> None:
    async def run() -> None:
        upstream, clock = Scripted(FOUND, 60), ManualClock()
        await work(Resolver(upstream, clock, capacity), upstream, clock)

    asyncio.run(run())


def test_one_question_serves_all_who_ask_meanwhile() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        upstream.told = Told(FOUND, 0)  # Nothing is kept: the question itself is shared.
        answers = await asyncio.gather(*(resolver.look_up("a.test", "A") for _ in range(50)))
        assert answers == [FOUND] * 50
        assert upstream.asked == [("a.test", "A")]
        await resolver.look_up("a.test", "A")
        assert len(upstream.asked) == 2

    with_resolver(work)


def test_a_cancelled_caller_takes_nobodys_answer_away() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        upstream.open.clear()
        first = asyncio.create_task(resolver.look_up("a.test", "A"))
        second = asyncio.create_task(resolver.look_up("a.test", "A"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        upstream.open.set()
        assert await second == FOUND
        assert len(upstream.asked) == 1

    with_resolver(work)


def test_names_are_one_whatever_their_case_and_final_dot() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        for name in ("A.test", "a.TEST.", "a.test"):
            await resolver.look_up(name, "A")
        await resolver.look_up("a.test", "AAAA")
        assert upstream.asked == [("a.test", "A"), ("a.test", "AAAA")]

    with_resolver(work)


def test_the_cache_is_bounded_and_loses_what_was_not_asked_for_longest() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        for name in ("a.test", "b.test", "a.test", "c.test"):  # b.test goes.
            await resolver.look_up(name, "A")
        del upstream.asked[:]
        await resolver.look_up("a.test", "A")
        await resolver.look_up("c.test", "A")
        assert upstream.asked == []
        await resolver.look_up("b.test", "A")
        assert upstream.asked == [("b.test", "A")]

    with_resolver(work, capacity=2)


def test_an_answer_that_is_too_large_is_given_and_not_kept() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        large = Found(("x" * 100,) * (MOST_CHARACTERS // 100 + 1), "a.test")
        assert await resolver.look_up("a.test", "MX") == FOUND
        upstream.told = Told(large, 60)
        for _ in range(2):
            assert await resolver.look_up("a.test", "MX", fresh=True) == large
        assert await resolver.look_up("a.test", "MX") == large
        assert len(upstream.asked) == 4
        assert not resolver._kept

    with_resolver(work)


def test_questions_under_way_are_bounded() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        upstream.open.clear()
        names = [f"{number}.test" for number in range(QUESTIONS + 20)]
        asking = [asyncio.create_task(resolver.look_up(name, "A")) for name in names]
        while upstream.under_way < QUESTIONS:
            await asyncio.sleep(0)
        upstream.open.set()
        await asyncio.gather(*asking)
        assert len(upstream.asked) == len(names)
        assert upstream.most_under_way == QUESTIONS

    with_resolver(work)


def test_a_fresh_look_passes_the_cache_by_and_renews_it() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        await resolver.look_up("a.test", "A")
        other = Found(("192.0.2.2",), "a.test")
        upstream.told = Told(other, 60)
        assert await resolver.look_up("a.test", "A") == FOUND
        assert await resolver.look_up("a.test", "A", fresh=True) == other
        assert await resolver.look_up("a.test", "A") == other

    with_resolver(work)


def test_a_fresh_look_that_fails_forgets_nothing_that_still_holds() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        await resolver.look_up("a.test", "A")
        upstream.told = Told(GONE)
        assert await resolver.look_up("a.test", "A", fresh=True) == GONE
        assert await resolver.look_up("a.test", "A") == FOUND

    with_resolver(work)


def test_several_questions_are_asked_together_and_only_what_is_missing() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        known = Found(("192.0.2.9",), "b.test")
        upstream.told = Told(known, 60)
        await resolver.look_up("b.test", "A")
        upstream.told = Told(FOUND, 60)
        upstream.open.clear()
        asking = asyncio.create_task(
            resolver.look_up_all([("a.test", "A"), ("b.test", "A"), ("a.test", "AAAA")])
        )
        while upstream.under_way < 2:
            await asyncio.sleep(0)
        upstream.open.set()
        assert await asking == [FOUND, known, FOUND]
        assert upstream.asked == [("b.test", "A"), ("a.test", "A"), ("a.test", "AAAA")]

    with_resolver(work)


def test_a_fault_reaches_the_caller_and_is_not_kept() -> None:
    async def work(resolver: Resolver, upstream: Scripted, clock: ManualClock) -> None:
        class Broken:
            async def ask(self, name: str, kind: Kind) -> Told:
                raise RuntimeError("a fault of ours")

        resolver._upstream = Broken()
        with pytest.raises(RuntimeError):
            await resolver.look_up("a.test", "A")
        resolver._upstream = upstream
        assert await resolver.look_up("a.test", "A") == FOUND

    with_resolver(work)
