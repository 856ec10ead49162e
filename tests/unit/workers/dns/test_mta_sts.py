"""Which MTA-STS policy holds, and when it is fetched (RFC 8461 sections 3.3, 5.1, 10.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.clock import ManualClock
from workers.dns.answers import Answer, Found, Kind, NoSuchName, Temporary, Told
from workers.dns.mta_sts import REFRESH_SECONDS, RETRY_SECONDS, Kept, MemoryPolicies, MtaSts
from workers.dns.resolver import Resolver
from workers.dns.sts_policy import NoPolicy, Policy

DAY = 86_400
GONE = NoPolicy("the policy host could not be reached")


def text(mx: str = "mx.a.test", mode: str = "enforce", max_age: int = 7 * DAY) -> bytes:
    return f"version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: {max_age}\n".encode()


class Setting:
    """A domain, a.test: its record, its policy, and how often each was asked for."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.id: str | None = "1"
        self.dns: Answer | None = None
        self.body: bytes | NoPolicy = text()
        self.asked: list[str] = []
        self.fetched: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()
        resolver = Resolver(self, self.clock)
        self.sts = MtaSts(resolver, self, self.clock, on_failure=self._failed)

    def _failed(self, domain: str, reason: str) -> None:
        self.failures.append((domain, reason))

    async def ask(self, name: str, kind: Kind) -> Told:
        self.asked.append(f"{name} {kind}")
        record = Found((f"v=STSv1; id={self.id}",), name) if self.id else NoSuchName()
        return Told(self.dns or record, 60)

    async def fetch(self, domain: str) -> bytes | NoPolicy:
        self.fetched.append(domain)
        await self.open.wait()
        return self.body

    async def host(self, *, fresh: bool = False) -> str | None:
        """The host that the policy names; None without a policy."""
        policy = await self.sts.policy("a.test", fresh=fresh)
        return policy.mx[0] if policy is not None else None

    async def background_ends(self) -> None:
        while self.sts._fetching:
            await asyncio.sleep(0)


def playing(work: Callable[[Setting], Awaitable[None]]) -> None:
    async def run() -> None:
        await work(Setting())

    asyncio.run(run())


def test_a_policy_is_fetched_once_and_holds() -> None:
    async def work(at: Setting) -> None:
        for _ in range(3):
            policy = await at.sts.policy("A.Test.")
            assert policy == Policy("enforce", ("mx.a.test",), 7 * DAY)
            at.clock.advance(3600)
        assert at.fetched == ["a.test"]
        assert set(at.asked) == {"_mta-sts.a.test TXT"}

    playing(work)


def test_deliveries_that_come_together_wait_for_one_fetch() -> None:
    async def work(at: Setting) -> None:
        at.open.clear()
        waiting = [asyncio.create_task(at.host()) for _ in range(20)]
        while not at.fetched:
            await asyncio.sleep(0)
        waiting[0].cancel()
        at.open.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert found[1:] == ["mx.a.test"] * 19
        assert len(at.fetched) == 1

    playing(work)


@pytest.mark.parametrize("answer", [NoSuchName(), Temporary("x"), Found(("v=spf1 -all",), "a")])
def test_without_a_record_nothing_is_fetched(answer: Answer) -> None:
    async def work(at: Setting) -> None:
        at.dns = answer
        assert await at.host() is None
        assert at.fetched == []

    playing(work)


@pytest.mark.parametrize("domain", ["[192.0.2.1]", "a..b", ""])
def test_what_is_no_domain_has_no_policy(domain: str) -> None:
    async def work(at: Setting) -> None:
        assert await at.sts.policy(domain) is None
        assert at.asked == []

    playing(work)


@pytest.mark.parametrize("answer", [NoSuchName(), Temporary("x"), Found(("v=spf1 -all",), "a")])
def test_a_policy_in_the_cache_holds_without_its_record_until_it_expires(answer: Answer) -> None:
    async def work(at: Setting) -> None:
        assert await at.host() == "mx.a.test"
        at.dns, at.body = answer, GONE
        at.clock.advance(7 * DAY - 1)
        assert await at.host() == "mx.a.test"
        at.clock.advance(1)
        assert await at.host() is None
        assert len(at.fetched) == 1

    playing(work)


def test_another_id_brings_the_new_policy_at_once() -> None:
    async def work(at: Setting) -> None:
        assert await at.host() == "mx.a.test"
        at.id, at.body = "2", text("mx2.a.test")
        assert await at.host() == "mx.a.test"  # DNS is cached.
        assert await at.host(fresh=True) == "mx2.a.test"
        at.id, at.body = "3", text("mx3.a.test")
        at.clock.advance(60)
        assert await at.host() == "mx3.a.test"

    playing(work)


@pytest.mark.parametrize("body", [GONE, b"<html>", text(mode="strict")])
def test_the_old_policy_holds_when_the_new_one_cannot_be_had(body: bytes | NoPolicy) -> None:
    async def work(at: Setting) -> None:
        assert await at.host() == "mx.a.test"
        at.id, at.body = "2", body
        assert await at.host(fresh=True) == "mx.a.test"
        assert [domain for domain, _ in at.failures] == ["a.test"]
        at.clock.advance(7 * DAY)
        assert await at.host() is None

    playing(work)


def test_a_failed_fetch_is_repeated_after_five_minutes_or_for_another_id() -> None:
    async def work(at: Setting) -> None:
        at.body = GONE
        assert await at.host() is None
        at.body = text()
        at.clock.advance(RETRY_SECONDS - 1)
        assert await at.host(fresh=True) is None
        assert len(at.fetched) == 1
        at.clock.advance(1)
        assert await at.host(fresh=True) == "mx.a.test"
        at.id, at.body = "2", GONE
        await at.host(fresh=True)
        at.id, at.body = "3", text("mx3.a.test")
        assert await at.host(fresh=True) == "mx3.a.test"
        assert at.failures == [("a.test", GONE.reason)] * 2

    playing(work)


def test_a_policy_in_use_is_renewed_daily_while_nobody_waits() -> None:
    async def work(at: Setting) -> None:
        await at.host()
        at.clock.advance(REFRESH_SECONDS)
        at.open.clear()
        assert await at.host() == "mx.a.test"
        at.open.set()
        await at.background_ends()
        assert len(at.fetched) == 2
        at.clock.advance(7 * DAY - 1)  # More than a week after the first fetch.
        at.dns = NoSuchName()
        assert await at.host() == "mx.a.test"

    playing(work)


def test_a_policy_for_less_than_two_days_is_renewed_at_half_its_time() -> None:
    async def work(at: Setting) -> None:
        at.body = text(max_age=3600)
        await at.host()
        at.clock.advance(1799)
        await at.host()
        assert len(at.fetched) == 1
        at.clock.advance(1)
        await at.host()
        await at.background_ends()
        assert len(at.fetched) == 2

    playing(work)


def test_a_daily_renewal_that_fails_is_told_and_takes_nothing_away() -> None:
    async def work(at: Setting) -> None:
        await at.host()
        at.clock.advance(REFRESH_SECONDS)
        at.body = GONE
        for _ in range(3):
            assert await at.host() == "mx.a.test"
            await at.background_ends()
        assert len(at.fetched) == 2
        assert at.failures == [("a.test", GONE.reason)]

    playing(work)


def test_mode_none_ends_a_policy_and_is_kept() -> None:
    async def work(at: Setting) -> None:
        assert await at.host() == "mx.a.test"
        at.id, at.body = "2", b"version: STSv1\nmode: none\nmax_age: 86400\n"
        assert await at.host(fresh=True) is None
        assert await at.host(fresh=True) is None
        assert len(at.fetched) == 2

    playing(work)


def test_mode_testing_is_a_policy_that_is_not_enforced() -> None:
    async def work(at: Setting) -> None:
        at.body = text(mode="testing")
        policy = await at.sts.policy("a.test")
        assert policy is not None
        assert not policy.enforced

    playing(work)


def test_the_memory_of_policies_is_bounded() -> None:
    async def work() -> None:
        memory = MemoryPolicies(capacity=2)
        kept = Kept(Policy("none", (), 1), "1", 0)
        await memory.keep("a.test", kept)
        await memory.keep("b.test", kept)
        await memory.load("a.test")
        await memory.keep("c.test", kept)
        assert await memory.load("a.test") == kept
        assert await memory.load("b.test") is None
        assert await memory.load("c.test") == kept

    asyncio.run(work())


async def failing_domains_are_counted_for_minutes(found: Setting) -> None:
    found.body = GONE
    assert found.sts.counts() == (0, 0)
    await found.host()
    assert found.sts.counts() == (0, 1)
    found.clock.advance(RETRY_SECONDS)
    assert found.sts.counts() == (0, 0)
    found.body = text()
    await found.host()
    assert found.sts.counts() == (1, 0)


def test_domains_with_a_policy_and_those_whose_policy_cannot_be_had_are_counted() -> None:
    asyncio.run(failing_domains_are_counted_for_minutes(Setting()))
