"""Direct delivery as it is used: how sessions to MX hosts are, for each route that differs.

`direct_from` checks `[direct]` and what routes say instead. A wrong entry is a `ConfigError`. Each
is a `Relay` without a host: where a session goes is found in DNS, for each site.
"""

from __future__ import annotations

from shared.errors import ConfigError
from shared.outgoing_settings import DirectSettings, RouteSettings
from shared.relay_checks import check_numbers, check_texts
from shared.relays import Relay
from shared.routing import own_name
from shared.settings import Settings
from shared.tls import client_context

TLS_MODES = ("opportunistic", "required")
_MOST_SESSIONS = 10_000
_PORTS = range(1, 65536)


def direct_from(settings: Settings) -> dict[str, Relay]:
    """By the name that hops have behind `@`; empty: no route is direct. Raises `ConfigError`."""
    found: dict[str, Relay] = {}
    for route in settings.route:
        if route.direct:
            found[own_name(route, settings.shaping.route)] = _sessions(settings.direct, route)
    return found


def _sessions(direct: DirectSettings, route: RouteSettings) -> Relay:
    tls = route.tls or direct.tls
    where = f"route {route.name}: tls" if route.tls else "direct.tls"
    if tls not in TLS_MODES:
        raise ConfigError(f"{where} must be one of {', '.join(TLS_MODES)}")
    relay = Relay(
        tls=tls,
        source_address=route.source_address,
        ehlo_name=route.ehlo_name or direct.ehlo_name,
        **{name: getattr(direct, name) for name in _SAME},
    )
    try:
        _check(direct, relay)
    except ConfigError as error:
        raise ConfigError(f"direct: {error}") from error
    return relay


_SAME = (
    "connections", "messages_per_connection", "max_age_seconds", "idle_seconds", "port", "ca_file",
    "send_ahead", "min_bytes_per_second", "dkim", "timeouts",
)  # fmt: skip


def _check(direct: DirectSettings, relay: Relay) -> None:
    check_numbers(relay)
    check_texts(relay)
    if not 1 <= direct.sessions <= _MOST_SESSIONS:
        raise ConfigError(f"sessions is a number from 1 to {_MOST_SESSIONS}")
    if direct.port not in _PORTS or direct.mta_sts_port not in _PORTS:
        raise ConfigError("port and mta_sts_port must be 1 to 65535")
    client_context(True, direct.ca_file)
