"""What `[console]` must be. `checked` gives the settings as they are used; a wrong entry is a
`ConfigError` with the remedy."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

import msgspec

from shared.api_keys import OWN_APPLICATION
from shared.console_settings import ConsoleSettings
from shared.domains import domain_of
from shared.errors import ConfigError
from shared.hosts import is_host_name, is_loopback, network
from shared.settings import Settings

_REMEDY = (
    "write 32 random characters into a file (`openssl rand -hex 32`), and name it in"
    " console.key_file"
)
_LEAST_SECONDS = ("idle_seconds", "session_seconds", "confirm_seconds")
_LENGTHS = ("password_min_length", "password_min_length_two_factor")
_USUAL_PORTS = {"http": 80, "https": 443}
_LONGEST_MINIMUM = 64
"""NIST SP 800-63B wants passwords of at least 64 characters to be allowed."""


def checked(settings: Settings) -> Settings:
    """The same, with domains as A-labels and the URL without a slash at its end. Raises
    `ConfigError`."""
    console = settings.console
    _check_numbers(console)
    for text in console.trusted_proxies:
        try:
            network(text)
        except ConfigError as error:
            raise ConfigError(f"console.trusted_proxies: {error}") from error
    url, domains = _url(console.url), _domains(console.from_domains)
    if url and not (console.key or console.key_file):
        raise ConfigError(f"console.url needs a key: {_REMEDY}")
    if console.application in ("", OWN_APPLICATION):
        raise ConfigError(
            f"console.application must be a name, such as console, and not {OWN_APPLICATION}, which"
            " is that of the console's own mail"
        )
    console = msgspec.structs.replace(console, url=url, from_domains=domains)
    return msgspec.structs.replace(settings, console=console)


def _check_numbers(console: ConsoleSettings) -> None:
    for name in _LEAST_SECONDS:
        if getattr(console, name) < 60:
            raise ConfigError(f"console.{name} must be 60 or more")
    if console.idle_seconds > console.session_seconds:
        raise ConfigError("console.idle_seconds must not be more than console.session_seconds")
    for name in _LENGTHS:
        if not 8 <= getattr(console, name) <= _LONGEST_MINIMUM:
            raise ConfigError(f"console.{name} must be 8 to {_LONGEST_MINIMUM}")
    if not 0 <= console.password_classes <= 4:
        raise ConfigError("console.password_classes must be 0 to 4")
    if console.password_max_age_days < 0 or console.drafts_bytes < 0:
        raise ConfigError("console.password_max_age_days and drafts_bytes must be 0 or more")


def _url(text: str) -> str:
    """Without a slash at its end; the console's pages are under /console there."""
    if not text:
        return ""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"console.url: {error}") from error
    if not _is_web(url) or port == 0:
        raise ConfigError(
            "console.url must be https:// and a host, such as https://mail.example.com; http:// is"
            " for this machine only, since browsers elsewhere would send passwords in the open"
        )
    if url.username is not None or url.path.strip("/") or url.query or url.fragment:
        raise ConfigError("console.url is https:// and a host, with a port if need be, only")
    netloc = url.netloc.lower()
    if port == _USUAL_PORTS[url.scheme]:  # Browsers leave it out of `Origin` (RFC 6454 6.1).
        netloc = netloc.removesuffix(f":{port}")
    return f"{url.scheme}://{netloc.removesuffix(':')}"


def _is_web(url: SplitResult) -> bool:
    host = url.hostname or ""
    if url.scheme == "http":
        return is_loopback(host)
    return url.scheme == "https" and (is_host_name(host) or ":" in host or is_loopback(host))


def _domains(texts: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts:
        try:
            name = domain_of(text)
        except ConfigError as error:
            raise ConfigError(f"console.from_domains: {error}") from error
        if not is_host_name(name):
            raise ConfigError(f"console.from_domains: {text!r} is not a domain")
        found.append(name)
    return tuple(found)
