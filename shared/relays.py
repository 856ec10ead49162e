"""Relays as they are used: the settings' entries checked, secrets read, defaults filled in.

`relays_from` gives them in order, the first being where mail goes. A wrong entry is a `ConfigError`
that names it and the remedy. Secrets are read here, so only who delivers should call it.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import idna
import msgspec

from shared.config import variable
from shared.errors import ConfigError
from shared.routing import RELAY_HOP
from shared.settings import RelaySettings, TimeoutSettings
from shared.tls import client_context

MODES = ("implicit", "required", "opportunistic", "none")
MECHANISMS = ("plain", "login", "cram-md5", "xoauth2")
DSN_WISHES = ("failure", "failure,delay", "never", "off")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_-]{1,63})*\Z")
_EHLO = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z|\[[0-9A-Fa-f.:IPv]{3,50}\]\Z")
_HEADER = re.compile(r"[!-9;-~]+\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class Relay(RelaySettings, frozen=True):
    """One next hop: an entry whose host, port, TLS mode and password are settled.

    Two that are equal share sessions. `host`, `port`, `tls`, `name`, `user` and `password` are what
    applies; headers in `dkim_skip_headers` are lower case.
    """

    @property
    def signed(self) -> bool:
        """Whether mail to it is signed here."""
        return self.dkim in ("on", True)


def relay_names(entries: Sequence[RelaySettings]) -> tuple[str, ...]:
    """The relays' names, in order; needs no secret. Raises `ConfigError`."""
    names: list[str] = []
    for index, entry in enumerate(entries):
        name = entry.name or (RELAY_HOP if index == 0 else "")
        if not name:
            raise ConfigError(f"relay[{index}] needs a name: only the first one has a default")
        if not _NAME.match(name):
            raise ConfigError(f"relay[{index}].name: lower-case letters, digits, '.', '_' and '-'")
        if name in names:
            raise ConfigError(f"relay[{index}].name: there are two relays named {name}")
        names.append(name)
    if not names:
        raise ConfigError("there is no relay: add [[relay]] with a host to posthaste.toml")
    return tuple(names)


def relays_from(entries: Sequence[RelaySettings]) -> tuple[Relay, ...]:
    """The relays of the settings, in order. Raises `ConfigError`."""
    found = []
    for index, name in enumerate(relay_names(entries)):
        try:
            found.append(_relay(name, entries[index]))
        except ConfigError as error:
            raise ConfigError(f"relay[{index}] ({name}): {error}") from error
    return tuple(found)


def _relay(name: str, entry: RelaySettings) -> Relay:
    host, port, user, url_password, scheme = _place(entry)
    tls = entry.tls or _default_tls(scheme, host)
    if tls not in MODES:
        raise ConfigError(f"tls must be one of {', '.join(MODES)}")
    password = _password(entry, url_password)
    _check_sign_in(entry, tls, user, password)
    _check_numbers(entry)
    _check_texts(entry)
    client_context(True, entry.ca_file, entry.client_certificate, entry.client_key)
    settled = {
        "name": name,
        "url": "",
        "host": host,
        "port": port or _default_port(scheme, tls, host),
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
        return _host(entry.host), entry.port, entry.user, "", ""
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
    return _host(url.hostname), port or 0, user, password, url.scheme


def _host(text: str) -> str:
    bare = text.strip("[]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        name = ""
    name = name.lower().rstrip(".")
    if not _HOST.match(name):
        raise ConfigError(f"host {text!r} is neither a host name nor an address")
    return name


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
        return _secret(entry.password_file, "password_file")
    if entry.password_env:
        value = variable(entry.password_env)
        if not value:
            raise ConfigError(f"password_env: the variable {entry.password_env} is not set")
        return value
    return from_url or entry.password


def _secret(path: str, setting: str) -> str:
    """The first line of a file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{setting}: cannot read {path}: {reason}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{setting}: {path} is empty")
    return lines[0]


def _check_sign_in(entry: RelaySettings, tls: str, user: str, password: str) -> None:
    token = bool(entry.token_file or entry.token_command)
    if entry.auth not in ("", *MECHANISMS):
        raise ConfigError(f"auth must be one of {', '.join(MECHANISMS)}")
    if entry.token_file and entry.token_command:
        raise ConfigError("give token_file or token_command, not both")
    if token != (entry.auth == "xoauth2"):
        raise ConfigError('auth = "xoauth2" goes with a token_file or a token_command')
    if token and password:
        raise ConfigError("a token takes the place of the password: give one of them")
    if bool(user) != (bool(password) or token):
        raise ConfigError("user and its password (or token) go together")
    if _CONTROL.search(user + password):
        raise ConfigError("user and password must not have control characters in them")
    try:
        shlex.split(entry.token_command)
    except ValueError as error:
        raise ConfigError(f"token_command: {error}") from error
    if user and tls == "opportunistic":
        raise ConfigError(
            "opportunistic TLS verifies nothing, so there is no signing in over it:"
            ' use tls = "required"'
        )
    if user and tls == "none" and not entry.insecure_auth:
        raise ConfigError(
            'without TLS the password can be read on the way: use tls = "required",'
            " or say insecure_auth = true"
        )


def _check_numbers(entry: RelaySettings) -> None:
    for name, least in (("connections", 1), ("messages_per_connection", 1)):
        if getattr(entry, name) < least:
            raise ConfigError(f"{name} starts at {least}")
    for name in ("max_age_seconds", "idle_seconds", "min_bytes_per_second"):
        if not getattr(entry, name) > 0:
            raise ConfigError(f"{name} must be more than 0")
    if not entry.rate >= 0:
        raise ConfigError("rate is legs a second; 0 for no limit")
    for field in msgspec.structs.fields(TimeoutSettings):
        if not getattr(entry.timeouts, field.name) > 0:
            raise ConfigError(f"timeouts.{field.name} must be more than 0 seconds")


def _check_texts(entry: RelaySettings) -> None:
    if entry.ehlo_name and not _EHLO.match(entry.ehlo_name):
        raise ConfigError("ehlo_name must be a host name, or an address in brackets")
    if entry.tls_name and entry.tls_name != _host(entry.tls_name):
        raise ConfigError("tls_name must be a host name, lower case")
    if entry.dsn not in DSN_WISHES:
        raise ConfigError(f"dsn must be one of: {'; '.join(DSN_WISHES)}")
    for header in entry.dkim_skip_headers:
        if not _HEADER.match(header):
            raise ConfigError(f"dkim_skip_headers: {header!r} is not a header's name")
        if header.lower() == "from":
            raise ConfigError("dkim_skip_headers: From is always signed (RFC 6376 section 5.4)")
    if entry.client_key and not entry.client_certificate:
        raise ConfigError("client_key needs a client_certificate")
    if entry.source_address:
        try:
            ipaddress.ip_address(entry.source_address)
        except ValueError as error:
            raise ConfigError("source_address must be an IP address of this machine") from error
