"""Relays as they are used: the settings' entries checked, secrets read, defaults filled in.

`relays_from` gives them in order, the first being where mail goes. A wrong entry is a `ConfigError`
that names it and the remedy. Secrets are read here, so only who delivers should call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from shared.config import variable
from shared.errors import ConfigError
from shared.hops import Path
from shared.hosts import host as host_of
from shared.hosts import is_loopback
from shared.outgoing_settings import RelaySettings
from shared.relay_checks import check_numbers, check_place, check_sign_in, check_texts
from shared.routing import own_name, relay_names
from shared.secret_files import read_secret
from shared.settings import Settings
from shared.tls import client_context


class Relay(RelaySettings, frozen=True):
    """One next hop: an entry whose host, port, TLS mode and password are settled.

    Two that are equal share sessions. `host`, `port`, `tls`, `name`, `user` and `password` are what
    applies; headers in `dkim_skip_headers` are lower case.
    """

    @property
    def signed(self) -> bool:
        """Whether mail to it is signed here."""
        return self.dkim in ("on", True)


def relays_from(entries: Sequence[RelaySettings]) -> tuple[Relay, ...]:
    """The relays of the settings, in order. Raises `ConfigError`."""
    found = []
    for index, name in enumerate(relay_names(entries)):
        try:
            found.append(_relay(name, entries[index]))
        except ConfigError as error:
            raise ConfigError(f"relay[{index}] ({name}): {error}") from error
    return tuple(found)


def sources_from(settings: Settings) -> tuple[Relay, ...]:
    """The relays again, as routes with an address, a greeting or limits of their own reach them.

    Each is named by its hop. Raises `ConfigError`.
    """
    entries = dict(zip(relay_names(settings.relay), settings.relay, strict=True))
    found = []
    for route in settings.route:
        own = {
            name: getattr(route, name)
            for name in ("source_address", "ehlo_name")
            if getattr(route, name)
        }
        if route.direct:
            continue  # `shared.direct` has those.
        name = own_name(route, settings.shaping.route)
        for relay in (route.relays or (route.relay,)) if name else ():
            if relay not in entries:
                continue  # `Routes` says so.
            entry = msgspec.structs.replace(entries[relay], **own)
            try:
                found.append(_relay(Path(relay, name).hop, entry))
            except ConfigError as error:
                raise ConfigError(f"route {route.name}: {error}") from error
    return tuple(found)


def _relay(name: str, entry: RelaySettings) -> Relay:
    host, port, user, url_password, scheme = _place(entry)
    tls = entry.tls or _default_tls(scheme, host)
    port = port or _default_port(scheme, tls, host)
    check_place(entry, scheme, host, port, tls)
    password = _password(entry, url_password)
    check_sign_in(entry, tls, user, password)
    check_numbers(entry)
    check_texts(entry)
    client_context(True, entry.ca_file, entry.client_certificate, entry.client_key)
    settled = {
        "name": name,
        "url": "",
        "host": host,
        "port": port,
        "tls": tls,
        "user": user,
        "password": password,
        "dkim_skip_headers": tuple(header.lower() for header in entry.dkim_skip_headers),
    }
    given = {field: getattr(entry, field) for field in entry.__struct_fields__}
    return Relay(**(given | settled))


def _place(entry: RelaySettings) -> tuple[str, int, str, str, str]:
    """Host, port (0 for the default), user, password and scheme, of the URL or the fields."""
    if bool(entry.url) == bool(entry.host):
        raise ConfigError('give it a host, such as host = "smtp.example.com", or a url, not both')
    if entry.host:
        if not 0 <= entry.port <= 65535:
            raise ConfigError("port must be 1 to 65535")
        return host_of(entry.host), entry.port, entry.user, "", ""
    if entry.port or entry.user:
        raise ConfigError("port and user are part of the url: give them there, or give host")
    try:
        url = urlsplit(entry.url)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"url: {error}") from error
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/") or url.query:
        raise ConfigError(
            "url must be smtp://[user:password@]host[:port], or smtps:// for implicit TLS"
        )
    user, password = unquote(url.username or ""), unquote(url.password or "")
    return host_of(url.hostname), port or 0, user, password, url.scheme


def _default_tls(scheme: str, host: str) -> str:
    if scheme == "smtps":
        return "implicit"
    return "none" if is_loopback(host) else "required"


def _default_port(scheme: str, tls: str, host: str) -> int:
    if tls == "implicit":
        return 465
    return 25 if scheme == "smtp" or is_loopback(host) else 587


def _password(entry: RelaySettings, from_url: str) -> str:
    """The one password that is given, in whichever way."""
    ways = [from_url, entry.password, entry.password_file, entry.password_env]
    if sum(map(bool, ways)) > 1:
        raise ConfigError("give the password once: password_file, password_env, password or url")
    if entry.password_file:
        return read_secret(entry.password_file, "password_file")
    if entry.password_env:
        value = variable(entry.password_env)
        if not value:
            raise ConfigError(f"password_env: the variable {entry.password_env} is not set")
        return value
    return from_url or entry.password
