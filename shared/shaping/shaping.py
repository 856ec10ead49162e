"""What applies to a site, a relay or a route, out of all that shaping.toml says. Pure.

A site is known by its MX hosts: a provider's entry applies when each of them matches one of its
patterns, so that a domain with a host elsewhere is not taken for it. What the entry does not say,
`[default]` says. By the domains of addresses nothing is shaped: they only name a provider. Relays
and routes have what their own tables say and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from shared.errors import ConfigError
from shared.hops import DestinationLimit
from shared.routing import relay_names
from shared.setting_names import nearest
from shared.settings import Settings
from shared.shaping.rules import Rules
from shared.shaping.settings import FIGURES, Shape, ShapingSettings

_KEPT_SITES = 10_000
"""Sets of MX hosts whose entry is remembered."""


class Shaped(msgspec.Struct, frozen=True):
    """What applies to one destination."""

    provider: str
    """The name of `[site.NAME]`; empty: no provider, or none that is known."""
    shape: Shape
    """Figures that are said and are limits; all others are None."""

    @property
    def limit(self) -> DestinationLimit:
        """The same for the store."""
        shape = self.shape
        return DestinationLimit(
            per_second=shape.per_second or 0.0,
            # A session is sent the next envelope along with a message's data.
            concurrency=2 * (shape.connections or 0),
            per_minute=shape.per_minute or 0,
            per_hour=shape.per_hour or 0,
            per_day=shape.per_day or 0,
            connections=shape.connections or 0,
            connections_per_second=shape.connections_per_second or 0.0,
            weight=shape.weight or 1,
        )


class Shaping:
    """Asked for each leg: answers for MX hosts are remembered."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError` where the file names a relay or route that is not there."""
        shaping = settings.shaping
        relays = relay_names(settings.relay)
        _check_names(shaping, "relay", relays)
        _check_names(shaping, "route", [route.name for route in settings.route])
        self.default = Shaped("", _together(shaping.default))
        self.rules = Rules(shaping.rule)
        self._sites = [
            (Shaped(name, _together(shaping.default, site)), _patterns(site.mx))
            for name, site in shaping.site.items()
        ]
        self._providers: dict[str, str] = {}
        for name, site in shaping.site.items():
            for domain in site.domains:
                self._providers.setdefault(domain.lower(), name)
        self._relays = {
            name: Shaped("", _together(Shape(per_second=entry.rate), shaping.relay.get(name)))
            for name, entry in zip(relays, settings.relay, strict=True)
        }
        self._routes = {name: Shaped("", _together(shape)) for name, shape in shaping.route.items()}
        self._of_hosts = lru_cache(maxsize=_KEPT_SITES)(self._find)

    def of_site(self, hosts: Iterable[str]) -> Shaped:
        """What applies to the site of these MX hosts; of none at all, the default."""
        return self._of_hosts(tuple(hosts))

    def provider_of_domain(self, domain: str) -> str:
        """The `[site.NAME]` that the addresses of a domain (lower case) are at; empty: none that
        says so. Of several the one that is asked first."""
        return self._providers.get(domain, "")

    def of_relay(self, name: str) -> Shaped:
        """What applies to a relay; to one that is not there, nothing."""
        return self._relays.get(name, _NOTHING)

    def of_route(self, name: str) -> Shaped | None:
        """What a route is limited to, wherever its mail goes; None: by nothing."""
        return self._routes.get(name)

    def _find(self, hosts: tuple[str, ...]) -> Shaped:
        names = [host.lower().removesuffix(".") for host in hosts]
        if not names:
            return self.default
        for shaped, (exact, below) in self._sites:
            if all(name in exact or name.endswith(below) for name in names):
                return shaped
        return self.default


_NOTHING = Shaped("", Shape())


def _patterns(mx: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Full names, and what the others end with."""
    lower = [each.lower() for each in mx]
    exact = frozenset(each for each in lower if not each.startswith("*."))
    return exact, tuple(each[1:] for each in lower if each.startswith("*."))


def _together(*shapes: Shape | None) -> Shape:
    """The figures of the last that says each; a limit of 0 is none."""
    figures: dict[str, float] = {}
    for shape in shapes:
        said = {name: getattr(shape, name, None) for name in FIGURES}
        figures |= {name: value for name, value in said.items() if value is not None}
    return msgspec.convert({name: value for name, value in figures.items() if value}, Shape)


def _check_names(shaping: ShapingSettings, table: str, known: Iterable[str]) -> None:
    names = list(known)
    for name in getattr(shaping, table):
        if name not in names:
            there = nearest(name, names) if names else f"; there is no [[{table}]] at all"
            raise ConfigError(
                f"{shaping.path}: [{table}.{name}] is no {table} of posthaste.toml{there}"
            )
