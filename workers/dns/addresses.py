"""Which addresses may be connected to: those of the public internet. Pure.

Whoever owns a domain says in DNS where we connect to, so an address inside our own network would
let them reach what only we can (SSRF). The address that was checked is the one to connect to, never
its name again, which may by then have another one. Networks that operators allow pass.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from shared.hosts import Address, Network, address, network

_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # This network, and the unspecified address (RFC 1122 section 3.2.1.3).
            "10.0.0.0/8",  # Private (RFC 1918), as are 172.16.0.0/12 and 192.168.0.0/16.
            "100.64.0.0/10",  # Shared behind a carrier's NAT (RFC 6598).
            "127.0.0.0/8",  # Loopback.
            "169.254.0.0/16",  # Link-local (RFC 3927), clouds' metadata among them.
            "172.16.0.0/12",
            "192.0.0.0/24",  # IETF protocol assignments (RFC 6890).
            "192.0.2.0/24",  # Documentation (RFC 5737), as are the two below.
            "192.88.99.0/24",  # Former 6to4 relays (RFC 7526).
            "192.168.0.0/16",
            "198.18.0.0/15",  # Benchmarks (RFC 2544).
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # Multicast (RFC 5771).
            "240.0.0.0/4",  # Reserved, and broadcast (RFC 1112, RFC 919).
            "2001::/23",  # IETF protocol assignments, Teredo among them (RFC 2928, RFC 4380).
            "2001:db8::/32",  # Documentation (RFC 3849), as is the one below (RFC 9637).
            "3fff::/20",
        ),
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""What is given out as global unicast (RFC 4291 section 2.4): loopback, link-local, unique local
(the metadata at fd00:ec2::254 among it), site-local and multicast addresses are outside."""
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # IPv4-mapped (RFC 4291 section 2.5.5.2).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 behind a translator (RFC 6052 section 2.1).
_6TO4 = ipaddress.IPv6Network("2002::/16")  # IPv4 in bits 16 to 47 (RFC 3056 section 2).
_KNOWN_ADDRESSES = 10_000
_LITERAL = re.compile(r"\[(IPv6:)?([0-9A-Fa-f.:]{2,45})\]\Z", re.IGNORECASE)


class AddressRules:
    """The rules of one installation."""

    def __init__(self, allow_networks: Iterable[str] = ()) -> None:
        """Raises `ConfigError` for what is no network."""
        self._allowed: tuple[Network, ...] = tuple(map(network, allow_networks))
        # The same few addresses take most of the mail, and a check costs 20 us.
        self._known = lru_cache(_KNOWN_ADDRESSES)(self._check)

    def permit(self, text: str) -> bool:
        """Whether an address may be connected to. What is no address, or has a zone, may not."""
        return self._known(text)

    def permitted(self, texts: Iterable[str]) -> list[str]:
        """Those of the addresses that may be connected to, in their order."""
        return [text for text in texts if self.permit(text)]

    def _check(self, text: str) -> bool:
        found = address(text)
        if found is None or "%" in text:
            return False
        return self._permit(found)

    def _permit(self, found: Address) -> bool:
        if any(found in each for each in self._allowed):
            return True
        if any(found in each for each in _REFUSED):
            return False
        if found.version == 4:
            return True
        embedded = _embedded(found)
        if embedded is not None:
            return self._permit(embedded)
        return found in _PUBLIC_V6


def _embedded(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address where packets to this one end; None when there is none."""
    if found in _MAPPED or found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if found in _6TO4:
        return ipaddress.IPv4Address((int(found) >> 80) & 0xFFFFFFFF)
    return None


def literal_address(domain: str) -> str | None:
    """The address in `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3); else None."""
    matched = _LITERAL.match(domain)
    found = address(matched[2]) if matched else None
    if matched is None or found is None or found.version != (6 if matched[1] else 4):
        return None
    return str(found)
