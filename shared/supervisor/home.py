"""The home directory of `posthaste up`: where everything of one installation stands.

posthaste.toml (settings), key (the first API key), log-key (of addresses in logs),
feedback-key (of return paths and links), console-key (of second factors and forms), up.json (what
runs), lock, log/, redis/, inbox/.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from shared.config import load, variable
from shared.errors import ConfigError
from shared.settings import Settings

_LOG_BYTES = 10 * 1024 * 1024

_TOML = """\
# Settings of this installation; README lists them all, and which of them `posthaste reload` takes.
# Others wait for a restart.
#
# [retry]
# schedule_seconds = [60, 300, 900, 1800, 3600, 3600, 3600, 7200]
# give_up_seconds = 432000
#
# [[relay]]                       # Without one: the inbox of this installation.
# host = "smtp.example.com"
# user = "posthaste"
# password_file = "/etc/posthaste/relay-password"
#
# [[dkim]]                        # `posthaste dkim generate example.com` makes the key.
# domain = "example.com"
# selector = "s1"
# key_file = "/etc/posthaste/s1.example.com.pem"
"""


class Home:
    """Paths and small files of one installation."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.settings = self.directory / "posthaste.toml"
        self.key = self.directory / "key"
        self.log_key = self.directory / "log-key"
        self.feedback_key = self.directory / "feedback-key"
        self.console_key = self.directory / "console-key"
        self.up = self.directory / "up.json"
        self.logs = self.directory / "log"
        self.redis = self.directory / "redis"
        self.inbox = self.directory / "inbox"
        self._lock: IO[str] | None = None

    def prepare(self) -> None:
        """Create what is missing. Raises `ConfigError`."""
        try:
            for folder in (self.directory, self.logs, self.redis, self.inbox):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.settings.exists():
                self.settings.write_text(_TOML, encoding="utf-8")
            for key in (self.log_key, self.feedback_key, self.console_key):
                if not key.exists():
                    self.write_private(key, secrets.token_urlsafe(32) + "\n")
        except OSError as error:
            raise ConfigError(
                f"cannot write to {self.directory}: {error.strerror}; choose another --home"
            ) from error

    def load(self, overrides: Mapping[str, str] | None = None) -> Settings:
        """The settings, with this home's keys where they name none. Raises `ConfigError`."""
        return load(self.settings, overrides={**self.own_keys(), **(overrides or {})})

    def own_keys(self) -> dict[str, str]:
        """The variables that name this home's keys, of sections for which there is no other."""
        try:
            found = tomllib.loads(self.settings.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        names = {}
        for section, key in (("feedback", self.feedback_key), ("console", self.console_key)):
            values, prefix = found.get(section, {}), f"POSTHASTE_{section.upper()}_KEY"
            named = isinstance(values, dict) and (values.get("key") or values.get("key_file"))
            set_outside = any(map(variable, (prefix, f"{prefix}_FILE")))
            if not named and not set_outside and key.exists():
                names[f"{prefix}_FILE"] = str(key)
        return names

    def lock(self) -> None:
        """Keep others out for as long as this process lives. Raises `ConfigError`."""
        self._lock = (self.directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"posthaste already runs in {self.directory}: see `posthaste status --home"
                f" {self.directory}`, stop it with `posthaste down --home {self.directory}`"
            ) from error

    def locked(self) -> bool:
        """Whether a supervisor runs here."""
        path = self.directory / "lock"
        if not path.exists():
            return False
        with path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def open_log(self, name: str) -> IO[bytes]:
        """A log file to append to; one that has grown large is put aside first."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def read_up(self) -> dict[str, Any]:
        """What up.json says; empty when there is none."""
        try:
            found: dict[str, Any] = json.loads(self.up.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def write_up(self, facts: dict[str, Any]) -> None:
        """Replace up.json in one step, readable by its owner only."""
        self.write_private(self.up, json.dumps(facts, indent=2) + "\n")

    @staticmethod
    def write_private(path: Path, text: str) -> None:
        """Replace a file in one step, mode 0600."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
        temporary.replace(path)
