"""What direct delivery is made of in one process: DNS, policies, the stage that resolves."""

from __future__ import annotations

import random

import structlog

from shared.clock import Clock
from shared.metrics.worker import WorkerMetrics
from shared.settings import Settings
from workers.dns.addresses import AddressRules
from workers.dns.measured import Measured
from workers.dns.mta_sts import MtaSts
from workers.dns.mx import Family, MxRouter, OwnHost
from workers.dns.policy_fetch import PolicyFetcher, policy_context
from workers.dns.resolver import Resolver
from workers.dns.servers import Servers
from workers.dns.ways import Ways
from workers.hops import Hops
from workers.resolve import Resolve

_log = structlog.get_logger(__name__)


def resolving(settings: Settings, clock: Clock, hops: Hops, metrics: WorkerMetrics) -> Resolve:
    """The stage. Raises `ConfigError`.

    What `[dns]` says, and of `[direct]` what is about policies, holds until a restart.
    """
    resolver = Resolver(Measured(Servers(settings.dns), metrics), clock)
    rules = AddressRules(settings.dns.allow_networks)
    own, rng = _own_host(settings), random.Random()  # noqa: S311  # Which host of equals is first.
    routers: dict[tuple[Family, ...], MxRouter] = {}

    def router(families: tuple[Family, ...]) -> MxRouter:
        if families not in routers:
            routers[families] = MxRouter(resolver, rules, own, rng, families)
        return routers[families]

    policies = _policies(settings, resolver, rules, clock)
    if policies is not None:
        metrics.policies = policies.counts
    ways = Ways(router, policies, clock)
    return Resolve(ways, hops.sites, lambda: hops.routes)


def _policies(
    settings: Settings, resolver: Resolver, rules: AddressRules, clock: Clock
) -> MtaSts | None:
    direct = settings.direct
    if not direct.mta_sts:
        return None
    context = policy_context(direct.ca_file)
    fetcher = PolicyFetcher(resolver, rules, context, direct.mta_sts_port)

    def tell(_: str, reason: str) -> None:  # A recipient's domain is no word for a log.
        _log.warning("policy_not_fetched", reason=reason)

    return MtaSts(resolver, fetcher, clock, on_failure=tell)


def _own_host(settings: Settings) -> OwnHost:
    """How the settings name this host: mail that would come back to it goes nowhere."""
    routes = [each for each in settings.route if each.direct]
    names = [settings.direct.ehlo_name, *(each.ehlo_name for each in routes)]
    return OwnHost(
        frozenset(name.lower() for name in names if name),
        frozenset(each.source_address for each in routes if each.source_address),
    )
