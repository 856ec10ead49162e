"""The certificate for STARTTLS, read again when its files have changed."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import structlog

from shared.errors import ConfigError
from shared.feedback_settings import BounceSettings
from shared.tls import server_context

LOOK_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Certificate:
    """See the module."""

    def __init__(self, settings: BounceSettings) -> None:
        """Raises `ConfigError` when there are files, and they cannot be used."""
        self._files = (settings.certificate_file, settings.key_file)
        self._context: ssl.SSLContext | None = None
        self._read_as = self._stamp()
        self._look_at = time.monotonic() + LOOK_SECONDS
        if settings.certificate_file:
            self._context = server_context(*self._files)

    def context(self) -> ssl.SSLContext | None:
        """For a handshake; None: there is no certificate."""
        if self._context is not None and time.monotonic() >= self._look_at:
            self.look()
        return self._context

    def look(self) -> None:
        """Read the files if they are not as they were; what cannot be used changes nothing."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        stamp = self._stamp()
        if stamp == self._read_as or self._context is None:
            return
        self._read_as = stamp
        try:
            self._context = server_context(*self._files)
        except ConfigError as error:
            _log.error("certificate_not_reloaded", reason=error)
        else:
            _log.info("certificate_reloaded")

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        """What differs when a file was written or replaced."""
        return tuple(_seen(Path(each)) for each in self._files if each)


def _seen(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
