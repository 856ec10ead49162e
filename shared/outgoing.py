"""How mail leaves, as far as it can be changed while workers run: relays, routes, shaping, keys,
what replies mean, and where what comes back goes.

`outgoing_from` checks all of it and reads the secrets; a wrong entry is a `ConfigError` with the
remedy. Workers call it at their start and on SIGHUP, `posthaste up` and `posthaste reload` before.
"""

from __future__ import annotations

import msgspec

from shared.classification.classification import Classification
from shared.direct import direct_from
from shared.dkim import Keys, keys_from
from shared.errors import ConfigError
from shared.feedback.tokens import Tokens
from shared.hops import ANY_SITE, DestinationLimit, route_key
from shared.model.turns import turn_name
from shared.relays import Relay, relays_from, sources_from
from shared.routing import Routes
from shared.secret_files import feedback_keys_of
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from shared.tls import client_context

_AT_START = ("store", "worker", "retry", "dns", "log", "sentry")
"""Sections that a worker reads once."""


class Outgoing(msgspec.Struct, frozen=True):
    """Relays in order, where mail goes, and the signing keys by domain."""

    relays: tuple[Relay, ...]
    sources: tuple[Relay, ...]
    """Relays as routes with a source address, a greeting or limits of their own reach them."""
    routes: Routes
    keys: Keys
    shaping: Shaping
    """How much sites, relays and routes are given at once, and which replies ask for less."""
    classification: Classification
    """What replies mean."""
    direct: dict[str, Relay] = {}
    """How sessions straight to MX hosts are, by the name of the route; empty: none."""
    weights: dict[str, int] = {}
    """Of applications, by the names by which they take turns."""
    tokens: Tokens | None = None
    """What signs references and unsubscribe links; None: there is no key."""
    return_domains: tuple[str, ...] = ()
    """Of return paths of our own; empty: there are none."""
    unsubscribe_url: str = ""
    """What unsubscribe links begin with; empty: there are none."""

    def limits(self) -> dict[str, DestinationLimit | None]:
        """Those of each relay and route, and of all sites that have none of their own; None where
        there are none: mail that nothing limits then costs the store less."""
        found = {relay.name: self.shaping.of_relay(relay.name).limit for relay in self.relays}
        for name in self.routes.names:
            of_route = self.shaping.of_route(name)
            found[route_key(name)] = of_route.limit if of_route is not None else DestinationLimit()
        if self.direct:
            found[ANY_SITE] = self.shaping.default.limit
        nothing = DestinationLimit()
        said = {key: None if limit == nothing else limit for key, limit in found.items()}
        return {ANY_SITE: None, **said}


def at_start_only(before: Settings, now: Settings) -> list[str]:
    """What has changed that a running worker does not take: it goes on with what was `before`."""
    names = [name for name in _AT_START if getattr(before, name) != getattr(now, name)]
    policies = [
        f"direct.{name}"
        for name in ("mta_sts", "mta_sts_port")
        if getattr(before.direct, name) != getattr(now.direct, name)
    ]
    return names + policies


def outgoing_from(settings: Settings) -> Outgoing:
    """What the settings say now; files are read anew. Raises `ConfigError`."""
    client_context.cache_clear()
    found = unchecked(settings)
    if settings.require_dkim and not found.relays[0].signed:
        raise ConfigError(
            f"require_dkim needs signing, which relay {found.relays[0].name} turns off:"
            ' set its dkim to "on", or leave require_dkim out'
        )
    if settings.require_dkim and not all(each.signed for each in found.direct.values()):
        raise ConfigError(
            'require_dkim needs signing, which [direct] turns off: set its dkim to "on", or leave'
            " require_dkim out"
        )
    return found


def unchecked(settings: Settings) -> Outgoing:
    """The same, each part right in itself, but not whether they go together."""
    secrets = feedback_keys_of(settings.feedback)
    return Outgoing(
        relays_from(settings.relay),
        sources_from(settings),
        Routes(settings),
        keys_from(settings.dkim),
        Shaping(settings),
        Classification(settings),
        direct_from(settings),
        {turn_name(name): each.weight for name, each in settings.application.items()},
        Tokens(secrets) if secrets else None,
        settings.bounces.domains,
        settings.unsubscribe.url,
    )
