"""Secrets that settings name by file: read here, told in errors by their path only."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from shared.console_settings import ConsoleSettings
from shared.errors import ConfigError
from shared.feedback_settings import FeedbackSettings
from shared.settings import LogSettings, SentrySettings, StoreSettings

LEAST_KEY = 16
LEAST_FEEDBACK_KEY = 32


def read_secret(path: str, setting: str) -> str:
    """The first line of a file. Raises `ConfigError` naming `setting`."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{setting}: cannot read {path}: {reason}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{setting}: {path} is empty")
    return lines[0]


def dsn_of(settings: SentrySettings) -> str:
    """Sentry's DSN, of the setting or of its file. Raises `ConfigError`."""
    return read_secret(settings.dsn_file, "sentry.dsn_file") if settings.dsn_file else settings.dsn


def redis_password_of(settings: StoreSettings) -> str | None:
    """The store's password, of its file; None where the URL says what there is.

    Raises `ConfigError`.
    """
    if not settings.redis_password_file:
        return None
    parts = urlsplit(settings.redis_url)
    if parts.password or "password" in parse_qs(parts.query):
        raise ConfigError(
            "give the password in store.redis_url or in store.redis_password_file, not in both"
        )
    return read_secret(settings.redis_password_file, "store.redis_password_file")


def address_key_of(settings: LogSettings) -> bytes:
    """The key of hashed addresses; empty when none is set. Raises `ConfigError`."""
    if settings.address_key and settings.address_key_file:
        raise ConfigError("give log.address_key or log.address_key_file, not both")
    key = settings.address_key
    if settings.address_key_file:
        key = read_secret(settings.address_key_file, "log.address_key_file")
    if key and len(key) < LEAST_KEY:
        raise ConfigError(f"log.address_key must have {LEAST_KEY} characters or more")
    return key.encode()


def feedback_keys_of(settings: FeedbackSettings) -> tuple[bytes, ...]:
    """The key that signs tokens, and the one before it, if any; empty when there is none.

    Raises `ConfigError`.
    """
    return _keys_of("feedback", settings)


def console_keys_of(settings: ConsoleSettings) -> tuple[bytes, ...]:
    """The key that encrypts seeds and signs forms, and the one before it, if any; empty when there
    is none. Raises `ConfigError`."""
    return _keys_of("console", settings)


def _keys_of(section: str, settings: FeedbackSettings | ConsoleSettings) -> tuple[bytes, ...]:
    if settings.key and settings.key_file:
        raise ConfigError(f"give {section}.key or {section}.key_file, not both")
    keys = {f"{section}.key": settings.key}
    if settings.key_file:
        setting = f"{section}.key_file"
        keys = {setting: read_secret(settings.key_file, setting)}
    if settings.previous_key_file:
        setting = f"{section}.previous_key_file"
        keys[setting] = read_secret(settings.previous_key_file, setting)
    found = [(setting, key) for setting, key in keys.items() if key]
    for setting, key in found:
        if len(key) < LEAST_FEEDBACK_KEY:
            raise ConfigError(f"{setting} must have {LEAST_FEEDBACK_KEY} characters or more")
    if len(found) == 1 and settings.previous_key_file:
        raise ConfigError(f"{section}.previous_key_file needs a {section}.key_file beside it")
    return tuple(key.encode() for _, key in found)
