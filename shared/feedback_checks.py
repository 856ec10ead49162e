"""What `[bounces]` and `[unsubscribe]` must be: domains as A-labels, a URL for links, a server.

`checked` gives the settings as they are used. A wrong entry is a `ConfigError` with the remedy.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

import msgspec

from shared.domains import domain_of
from shared.errors import ConfigError
from shared.feedback_settings import BounceSettings, UnsubscribeSettings
from shared.hosts import is_host_name, is_loopback
from shared.settings import Settings

LONGEST_RETURN_DOMAIN = 190
"""Octets: with a local part of 63 and the `@` they are the 254 of RFC 5321 section 4.5.3.1.3."""
LONGEST_URL = 200
"""Characters: with a token behind it, it stands on one line (RFC 5322 section 2.1.1)."""
_COUNTS = ("max_message_bytes", "max_sessions", "max_sessions_per_address")
_LOCAL_PART = re.compile(r"(?!b-)[a-z0-9](?:[a-z0-9._+-]{0,62}[a-z0-9])?\Z", re.IGNORECASE)
_REMEDY = (
    "write 32 random characters into a file (`openssl rand -hex 32`), and name it in"
    " feedback.key_file"
)


def checked(settings: Settings) -> Settings:
    """The same, with domains as A-labels and the URL without a slash at its end. Raises
    `ConfigError`."""
    bounces, unsubscribe = settings.bounces, settings.unsubscribe
    _check_server(bounces)
    if bounces.domains:
        _check_key(settings, "bounces.domains")
        bounces = _domains(bounces)
    if unsubscribe.url:
        _check_key(settings, "unsubscribe.url")
        unsubscribe = UnsubscribeSettings(_url(unsubscribe.url))
    return msgspec.structs.replace(settings, bounces=bounces, unsubscribe=unsubscribe)


def _check_key(settings: Settings, setting: str) -> None:
    if not (settings.feedback.key or settings.feedback.key_file):
        raise ConfigError(f"{setting} needs a key to sign with: {_REMEDY}")


def _check_server(bounces: BounceSettings) -> None:
    for name in _COUNTS:
        if getattr(bounces, name) < 1:
            raise ConfigError(f"bounces.{name} must be 1 or more")
    if bounces.keep_messages < 0:
        raise ConfigError("bounces.keep_messages must be 0 or more")
    if bounces.key_file and not bounces.certificate_file:
        raise ConfigError("bounces.key_file needs the certificate in bounces.certificate_file")
    if not _LOCAL_PART.match(bounces.complaints):
        raise ConfigError(
            "bounces.complaints is the part before the @ only, such as complaints, and not as a"
            " return path begins (b-)"
        )


def _domains(bounces: BounceSettings) -> BounceSettings:
    found: list[str] = []
    for text in bounces.domains:
        try:
            name = domain_of(text)
        except ConfigError as error:
            raise ConfigError(f"bounces.domains: {error}") from error
        if not is_host_name(name):
            raise ConfigError(f"bounces.domains: {text!r} is not a domain, such as example.com")
        if len(name) > LONGEST_RETURN_DOMAIN:
            raise ConfigError(f"bounces.domains: {name} has over {LONGEST_RETURN_DOMAIN} octets")
        if name in found:
            raise ConfigError(f"bounces.domains has {name} twice")
        found.append(name)
    return msgspec.structs.replace(bounces, domains=tuple(found))


def _url(text: str) -> str:
    """Without a slash at its end."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"unsubscribe.url: {error}") from error
    if not _is_web(url) or port == 0:
        raise ConfigError(
            "unsubscribe.url must be https:// and a host, such as https://mail.example.com; http://"
            " is for this machine only, which mail programs elsewhere cannot reach"
        )
    if url.username is not None or "?" in text or "#" in text or not _is_plain(text):
        raise ConfigError(
            "unsubscribe.url is a host, and a path if need be, in ASCII: no user, no query (?), no"
            " fragment (#), no spaces, quotes or brackets"
        )
    if len(text) > LONGEST_URL:
        raise ConfigError(f"unsubscribe.url may have {LONGEST_URL} characters at most")
    return text.rstrip("/")


def _is_web(url: SplitResult) -> bool:
    host = url.hostname or ""
    if url.scheme == "http":
        return is_loopback(host)
    return url.scheme == "https" and (is_host_name(host) or ":" in host)


def _is_plain(text: str) -> bool:
    """Whether it can stand between angle brackets, next to a comma (RFC 2369 section 2)."""
    return text.isascii() and text.isprintable() and not any(each in text for each in " <>,\"'\\")
