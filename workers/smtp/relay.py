"""The relay's settings as the client uses them; wrong ones are a `ConfigError` with the remedy."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import unquote, urlsplit

import msgspec

from shared.config import RelaySettings
from shared.errors import ConfigError

_PORTS = {"smtp": 25, "smtps": 465}
_MODES = ("implicit", "required", "none")


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds to wait (RFC 5321 section 4.5.3.2)."""

    connect: float = 30.0
    banner: float = 300.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    final: float = 600.0
    quit: float = 5.0


class Relay(msgspec.Struct, frozen=True):
    """One next hop."""

    host: str
    port: int
    tls: str
    """implicit, required or none."""
    user: str = ""
    password: str = ""
    ehlo_name: str = "localhost"
    connections: int = 10
    messages_per_connection: int = 1000
    idle_seconds: float = 30.0
    timeouts: Timeouts = Timeouts()

    def __repr__(self) -> str:
        """Without the password."""
        return f"Relay({self.host}:{self.port}, tls={self.tls}, user={self.user!r})"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def relay_from(settings: RelaySettings) -> Relay:
    """The relay that the settings describe. Raises `ConfigError`."""
    try:
        url = urlsplit(settings.url)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"relay.url: {error}") from error
    if url.scheme not in _PORTS or not url.hostname or url.path.strip("/") or url.query:
        raise ConfigError(
            "relay.url must be smtp://[user:password@]host[:port], or smtps:// for implicit TLS"
        )
    tls = settings.tls or _default_tls(url.scheme, url.hostname)
    if tls not in _MODES:
        raise ConfigError(f"relay.tls must be one of {', '.join(_MODES)}")
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if user and tls == "none" and not _is_loopback(url.hostname):
        raise ConfigError("relay.url has a password and relay.tls is none: use required")
    if settings.connections < 1 or settings.messages_per_connection < 1:
        raise ConfigError("relay.connections and relay.messages_per_connection start at 1")
    return Relay(
        host=url.hostname,
        port=port or _PORTS[url.scheme],
        tls=tls,
        user=user,
        password=password,
        ehlo_name=settings.ehlo_name or socket.getfqdn(),
        connections=settings.connections,
        messages_per_connection=settings.messages_per_connection,
        idle_seconds=settings.idle_seconds,
    )


def _default_tls(scheme: str, host: str) -> str:
    if scheme == "smtps":
        return "implicit"
    return "none" if _is_loopback(host) else "required"
