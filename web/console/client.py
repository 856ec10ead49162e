"""The address that a request came from, behind the load balancers that are trusted."""

from __future__ import annotations

import ipaddress

from flask import request

from shared.console_settings import ConsoleSettings
from shared.hosts import Address, address, network


def client_address(settings: ConsoleSettings) -> str:
    """The last address of X-Forwarded-For that no trusted proxy has; without one the peer's.

    Whatever stands before it, anybody could have written.
    """
    trusted = [network(text) for text in settings.trusted_proxies]
    at = request.remote_addr or ""
    names = [
        each.strip() for each in ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
    ]
    for name in reversed(names):
        found = _plain(at)
        if found is None or not any(found in each for each in trusted):
            break
        name = _without_port(name)
        if address(name) is None:
            break
        at = name
    found = _plain(at)
    return str(found) if found is not None else ""


def _without_port(name: str) -> str:
    """Some proxies add it: `192.0.2.1:5060`, `[2001:db8::1]:5060`."""
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0] if name.count(":") == 1 else name


def _plain(text: str) -> Address | None:
    """An IPv4 address that an IPv6 socket shows is one of IPv4."""
    found = address(text)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
