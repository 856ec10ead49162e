"""Secrets that settings name by file: read here, told in errors by their path only."""

from __future__ import annotations

from pathlib import Path

from shared.errors import ConfigError
from shared.settings import SentrySettings


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
