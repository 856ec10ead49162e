"""Settings: defaults, then `posthaste.toml`, then `POSTHASTE_<SECTION>_<NAME>`; built once.

`load(...)` gives a frozen `Settings`. An unknown setting, a wrong type or an unreadable file is a
`ConfigError` that names the setting, where it was set and the nearest name. This file is the only
reader of the environment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import ConfigError
from shared.model.message import MessageClass

ENVIRONMENT_PREFIX = "POSTHASTE_"


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Redis or Valkey, the spool."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    """`redis://`, `rediss://` or `unix:///path`."""
    timeout_seconds: float = 1.5
    """How long web waits for one answer before it says 503."""
    data_dir: str = ""
    """The store's data directory, when it is on this machine: its free disk is watched."""
    disk_reserve_bytes: int = 256 * 1024 * 1024
    memory_ratio: float = 0.8
    """Nothing is accepted above this share of `maxmemory`."""
    retention_seconds: int = 86_400
    """How long a finished message can still be looked up."""
    retention_messages: int = 1_000_000
    events_max: int = 100_000
    """Events kept while no recorder reads them."""


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ingest tier and its limits."""

    listen: str = "127.0.0.1:8025"
    operator_listen: str = "127.0.0.1:8026"
    """Metrics; never public."""
    processes: int = 2
    threads: int = 16
    max_message_bytes: int = 10 * 1024 * 1024
    max_request_bytes: int = 32 * 1024 * 1024
    max_batch_messages: int = 1000
    max_recipients_per_field: int = 50
    max_header_bytes: int = 64 * 1024
    max_attachments: int = 100
    max_json_depth: int = 25
    max_tags: int = 20
    max_metadata_keys: int = 50
    max_schedule_seconds: int = 90 * 86_400
    key_cache_seconds: float = 2.0
    """How long a revoked key may still be honoured."""


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The delivery tier."""

    legs_in_hand: int = 400
    """Legs one worker process holds at once."""
    quantum: int = 50
    """Legs taken of one destination before the next has its turn."""
    lease_seconds: float = 6.0
    lease_margin_seconds: float = 1.0
    """A transaction does not begin, nor end, this close to the end of its lease."""
    critical_share: float = 0.2
    """Share of the legs in hand, and of a relay's connections, kept for class critical."""
    stop_seconds: float = 20.0
    """How long a stopping worker lets transactions finish."""
    max_crashes: int = 3


class RelaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one relay (smarthost) that mail goes to."""

    url: str = "smtp://127.0.0.1:2525"
    """`smtp://[user:password@]host:port`, or `smtps://` for implicit TLS."""
    tls: str = ""
    """implicit, required or none; empty: none for loopback, else required."""
    ehlo_name: str = ""
    connections: int = 10
    """Open to this relay, for each worker process."""
    messages_per_connection: int = 1000
    idle_seconds: float = 30.0
    per_second: float = 0.0
    """Legs a second over all workers; 0: no limit."""


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a deferred message is tried again."""

    schedule_seconds: tuple[float, ...] = (60, 300, 900, 1800, 3600, 3600, 3600, 7200)
    """Waits after the first, second, ... attempt; the last one repeats."""
    give_up_seconds: int = 5 * 86_400
    jitter: float = 0.1
    """Each wait is stretched by up to this share."""


class InboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The local inbox that captures mail instead of sending it on."""

    smtp_listen: str = "127.0.0.1:2525"
    listen: str = "127.0.0.1:8027"
    directory: str = ".posthaste/inbox"
    max_messages: int = 1000
    max_message_bytes: int = 25 * 1024 * 1024


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    level: str = "info"
    format: str = "json"
    """json or text."""


class SentrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Error reports; off without a DSN."""

    dsn: str = ""
    environment: str = "production"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; one section a field."""

    store: StoreSettings = StoreSettings()
    web: WebSettings = WebSettings()
    worker: WorkerSettings = WorkerSettings()
    relay: RelaySettings = RelaySettings()
    retry: RetrySettings = RetrySettings()
    inbox: InboxSettings = InboxSettings()
    log: LogSettings = LogSettings()
    sentry: SentrySettings = SentrySettings()
    default_class: MessageClass = "transactional"


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    `path` is the file; without it `POSTHASTE_CONFIG` names one, and without that a
    `posthaste.toml` in the current directory is read when it is there. Raises `ConfigError`.
    """
    variables = os.environ if environment is None else environment
    if path is None:
        named = variables.get("POSTHASTE_CONFIG", "")
        path = Path(named) if named else None
        if path is None and Path("posthaste.toml").is_file():
            path = Path("posthaste.toml")
    values = _read_file(path) if path is not None else {}
    _check_names(values, Settings, str(path), "")
    _overlay(values, variables)
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{_where(error)} (from {path or 'the environment'})") from error


def _where(error: msgspec.ValidationError) -> str:
    """msgspec's text with the setting first: `relay.connections: Expected int, got str`."""
    text, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {text}" if place else text


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _check_names(values: Mapping[str, Any], kind: type[Any], source: str, prefix: str) -> None:
    """Raise for a name that `kind` does not have, with the nearest one it does."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in values.items():
        if name not in fields:
            raise ConfigError(
                _unknown(f"{prefix}{name}", [prefix + each for each in fields], source)
            )
        if isinstance(value, dict) and isinstance(fields[name].type, type):
            _check_names(value, fields[name].type, source, f"{prefix}{name}.")


def _unknown(name: str, known: list[str], source: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
    return f"unknown setting {name} in {source}{hint}"


def _variables() -> dict[str, tuple[str, ...]]:
    """Environment variable -> path of the setting it sets."""
    names: dict[str, tuple[str, ...]] = {}
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            for inner in msgspec.structs.fields(field.type):
                names[f"{ENVIRONMENT_PREFIX}{field.name}_{inner.name}".upper()] = (
                    field.name,
                    inner.name,
                )
        else:
            names[f"{ENVIRONMENT_PREFIX}{field.name}".upper()] = (field.name,)
    return names


_NOT_SETTINGS = frozenset({"POSTHASTE_CONFIG", "POSTHASTE_HOME"})


def _overlay(values: dict[str, Any], variables: Mapping[str, str]) -> None:
    """Put the environment's settings over the file's."""
    known = _variables()
    for name, text in variables.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _NOT_SETTINGS:
            continue
        if name not in known:
            raise ConfigError(_unknown(name, list(known), "the environment"))
        *section, last = known[name]
        target = values
        for part in section:
            target = target.setdefault(part, {})
        target[last] = (
            [part.strip() for part in text.split(",")]
            if last.endswith("schedule_seconds")
            else text
        )


def host_and_port(address: str, setting: str) -> tuple[str, int]:
    """Split `host:port` (`[::1]:port` for IPv6). Raises `ConfigError` naming `setting`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            f"{setting} must be host:port, for example 127.0.0.1:8025; got {address!r}"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
