"""The MTA-STS policy that holds for a domain (RFC 8461): from the cache, renewed when it changes.

`MtaSts.policy` gives what a delivery must obey, or None when there is nothing to prove. A policy
that is in the cache and has not expired holds whatever DNS or HTTPS say meanwhile (section 3.3); it
is fetched anew when the record's id is another one, and once a day. Who is about to give a delivery
up because of a policy asks again with `fresh`, and defers (section 5.1): it never bounces for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import msgspec

from shared.clock import Clock
from workers.dns.answers import Found
from workers.dns.exchangers import domain_name
from workers.dns.resolver import Resolver
from workers.dns.sts_policy import NoPolicy, Policy, read_policy, record_id

REFRESH_SECONDS = 86_400
"""A policy in use is fetched again after a day, or half its time, so that nobody can have it run
out by keeping us from its host (section 10.2)."""
RETRY_SECONDS = 300.0
"""After a failed fetch the same id is left alone for this long (section 3.3)."""
CAPACITY = 20_000
"""Domains remembered, in each of the two memories."""


class Kept(msgspec.Struct, frozen=True):
    """A policy in the cache."""

    policy: Policy
    id: str
    fetched_ms: int

    def age_seconds(self, now_ms: int) -> float:
        """Since it was fetched."""
        return (now_ms - self.fetched_ms) / 1000


class PolicyCache(Protocol):
    """Where policies are kept: one that outlives the process protects better."""

    async def load(self, domain: str) -> Kept | None:
        """What is kept for a domain, expired or not."""
        ...

    async def keep(self, domain: str, kept: Kept) -> None:
        """Keep it instead of what was there."""
        ...

    def __len__(self) -> int:
        """Domains that are kept."""
        ...


class MemoryPolicies:
    """A `PolicyCache` of this process; what was not asked for longest goes first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    async def load(self, domain: str) -> Kept | None:
        """What is kept for a domain, expired or not."""
        if domain in self._kept:
            self._kept.move_to_end(domain)
        return self._kept.get(domain)

    def __len__(self) -> int:
        return len(self._kept)

    async def keep(self, domain: str, kept: Kept) -> None:
        """Keep it instead of what was there."""
        self._kept[domain] = kept
        self._kept.move_to_end(domain)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


class Fetcher(Protocol):
    """Who fetches: `workers.dns.policy_fetch.PolicyFetcher`."""

    async def fetch(self, domain: str) -> bytes | NoPolicy:
        """The policy's text."""
        ...


def _refresh_seconds(policy: Policy) -> float:
    return min(REFRESH_SECONDS, policy.max_age_seconds / 2)


def _tell_nobody(domain: str, reason: str) -> None:
    """Without anybody to tell."""


class MtaSts:
    """Policies of domains."""

    def __init__(
        self,
        resolver: Resolver,
        fetcher: Fetcher,
        clock: Clock,
        cache: PolicyCache | None = None,
        on_failure: Callable[[str, str], None] = _tell_nobody,
    ) -> None:
        """`on_failure(domain, reason)` hears of each fetch that failed (section 3.3)."""
        self._resolver = resolver
        self._fetcher = fetcher
        self._clock = clock
        self._cache = MemoryPolicies() if cache is None else cache
        self._on_failure = on_failure
        self._fetching: dict[tuple[str, str], asyncio.Task[Kept | None]] = {}
        self._failed: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Domain -> the id that could not be fetched, and when it may be tried again."""

    def counts(self) -> tuple[int, int]:
        """Domains whose policy is kept, and those whose policy could not be fetched in the last
        minutes. Any thread may ask."""
        now = self._clock.monotonic()
        return len(self._cache), sum(until > now for _, until in list(self._failed.values()))

    async def policy(self, domain: str, *, fresh: bool = False) -> Policy | None:
        """The policy for a recipient's domain, in mode enforce or testing; else None.

        Waits for a fetch of a minute at most. `fresh` asks DNS itself for the record.
        """
        name = domain_name(domain)
        if name is None:
            return None  # An address literal: there is no name to prove anything by.
        kept = await self._valid(name)
        answer = await self._resolver.look_up(f"_mta-sts.{name}", "TXT", fresh=fresh)
        identity = record_id(answer.records) if isinstance(answer, Found) else None
        if identity is not None:
            if kept is None or kept.id != identity:
                kept = await asyncio.shield(self._renewal(name, identity)) or kept
            elif kept.age_seconds(self._clock.now_ms()) >= _refresh_seconds(kept.policy):
                self._renewal(name, identity)  # What is kept holds meanwhile.
        return kept.policy if kept is not None and kept.policy.mode != "none" else None

    async def _valid(self, domain: str) -> Kept | None:
        kept = await self._cache.load(domain)
        if kept is None or kept.age_seconds(self._clock.now_ms()) >= kept.policy.max_age_seconds:
            return None
        return kept

    def _renewal(self, domain: str, identity: str) -> asyncio.Task[Kept | None]:
        """The one fetch of a policy that is under way."""
        key = (domain, identity)
        if key not in self._fetching:
            task = asyncio.get_running_loop().create_task(self._renew(domain, identity))
            self._fetching[key] = task
            task.add_done_callback(lambda _: self._fetching.pop(key))
        return self._fetching[key]

    async def _renew(self, domain: str, identity: str) -> Kept | None:
        failed, until = self._failed.get(domain, ("", 0.0))
        if failed == identity and self._clock.monotonic() < until:
            return None
        body = await self._fetcher.fetch(domain)
        policy = body if isinstance(body, NoPolicy) else read_policy(body)
        if isinstance(policy, NoPolicy):
            self._failed[domain] = (identity, self._clock.monotonic() + RETRY_SECONDS)
            self._failed.move_to_end(domain)
            if len(self._failed) > CAPACITY:
                self._failed.popitem(last=False)
            self._on_failure(domain, policy.reason)
            return None
        self._failed.pop(domain, None)
        kept = Kept(policy, identity, self._clock.now_ms())
        await self._cache.keep(domain, kept)
        return kept
