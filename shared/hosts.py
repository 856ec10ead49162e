"""Host names and addresses as settings give them. Pure: nothing is looked up."""

from __future__ import annotations

import ipaddress
import re

import idna

from shared.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_-]{1,63})*\Z")
_GREETING = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")


def host(text: str) -> str:
    """A host's name, lower case and in ASCII, or its address. Raises `ConfigError`."""
    found = address(text.strip("[]"))
    if found is not None:
        return str(found)
    try:
        name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        name = ""
    name = name.lower().rstrip(".")
    if not is_host_name(name):
        raise ConfigError(f"host {text!r} is neither a host name nor an address")
    return name


def is_host_name(name: str) -> bool:
    """Whether a text, lower case and without a final dot, can be a host's name in DNS."""
    # No top-level domain is a number, so 256.1.1.1 is an address that was mistyped.
    return bool(_NAME.match(name)) and not name.rpartition(".")[2].isdigit()


def address(text: str) -> Address | None:
    """An IP address; None when the text is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def network(text: str) -> Network:
    """A network as prefix and length, or one address. Raises `ConfigError`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a network, such as 10.0.0.0/8: {error}") from error


def is_loopback(name: str) -> bool:
    """Whether a host is this machine by its name or address alone."""
    found = address(name)
    return name == "localhost" if found is None else found.is_loopback


def is_greeting(text: str) -> bool:
    """Whether a text may follow EHLO: a host name or an address literal (RFC 5321 4.1.3)."""
    if not (text.startswith("[") and text.endswith("]")):
        return bool(_GREETING.match(text))
    literal = text[1:-1]
    version = 6 if literal.lower().startswith("ipv6:") else 4
    found = address(literal[5:] if version == 6 else literal)
    return found is not None and found.version == version and "%" not in literal
