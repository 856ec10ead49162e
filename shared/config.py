"""Settings: defaults, then `posthaste.toml`, then `POSTHASTE_<SECTION>_<NAME>`; built once.

`load(...)` gives a frozen `Settings`. An unknown setting, a wrong type or an unreadable file is a
`ConfigError` that names the setting, where it was set and the nearest name. This file is the only
reader of the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from shared import console_checks, feedback_checks
from shared.classification.file import classification_from
from shared.errors import ConfigError
from shared.hosts import address, network
from shared.model.message import CLASSES
from shared.outgoing_settings import DnsSettings
from shared.setting_names import check_names, section_of, unknown
from shared.settings import Settings
from shared.shaping.file import shaping_from
from shared.toml_file import read_toml

ENVIRONMENT_PREFIX = "POSTHASTE_"
_ADDRESS = re.compile(r"[!#-'*+/-9=?A-Z^-~.-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+\Z")
_DSN = re.compile(r"https?://[^\s:@/]+(:[^\s:@/]*)?@[^\s@/]+(/[^\s@]+)*/[0-9]+\Z")
_LOG_CHOICES = {
    "level": ("debug", "info", "warning", "error", "critical"),
    "format": ("json", "text"),
    "addresses": ("hash", "plain", "off"),
}
_LONGEST_WAIT = 7 * 86_400
_LONGEST_QUESTION = 60.0
_LONGEST_SUPPRESSION = 36_500
MOST_WEIGHT = 100
"""Of an application: one that has more than a hundred times the share of another starves it."""
_QUOTAS = ("quota_per_minute", "quota_per_day", "quota_per_month")
_OWN_FILES = frozenset({"shaping", "classification"})
"""Fields of the settings that stand in a file of their own."""
_REPEATED = ("relay", "route", "dkim")
"""Sections that are lists of tables."""
_FILES = frozenset(
    {
        "key_file", "password_file", "token_file", "ca_file", "client_certificate", "client_key",
        "redis_password_file", "dsn_file", "address_key_file", "shaping_file",
        "classification_file", "previous_key_file", "certificate_file",
    }
)  # fmt: skip


def load(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings; `overrides` are variables that stand over the environment's.

    `path` is the file; without it `POSTHASTE_CONFIG` names one, and without that a
    `posthaste.toml` in the current directory is read when it is there. Raises `ConfigError`.
    """
    variables = dict(os.environ if environment is None else environment) | dict(overrides or {})
    path = path or settings_file(variables)
    values = read_toml(path) if path is not None else {}
    for name in _REPEATED:
        if isinstance(values.get(name), dict):  # `[relay]` is a list of one.
            values[name] = [values[name]]
    for name in _OWN_FILES & values.keys():
        raise ConfigError(f"{name} stands in a file of its own: name it in {name}_file ({path})")
    check_names(values, Settings, str(path), "")
    if path is not None:
        _anchor_files(values, path.absolute().parent)
    _overlay(values, variables)
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{_where(error)} (from {path or 'the environment'})") from error
    _check_values(settings)
    settings = console_checks.checked(feedback_checks.checked(settings))
    shaping = shaping_from(_own_file("shaping", settings.shaping_file, path))
    file = _own_file("classification", settings.classification_file, path)
    classification = classification_from(file, shaping.site.keys())
    return msgspec.structs.replace(settings, shaping=shaping, classification=classification)


def _own_file(name: str, named: str, path: Path | None) -> Path | None:
    """The installation's file of that name; None: only what is shipped applies."""
    if named:
        return Path(named)
    beside = path.with_name(f"{name}.toml") if path is not None else None
    if beside is None or beside.is_char_device():  # /dev/null, where a mount must name something.
        return None
    # What is there but cannot be read is told, instead of every limit being gone with it.
    return beside if os.path.lexists(beside) else None


def settings_file(environment: Mapping[str, str] | None = None) -> Path | None:
    """The file that `load` reads when it is given none."""
    named = (os.environ if environment is None else environment).get("POSTHASTE_CONFIG", "")
    if named:
        return Path(named)
    return Path("posthaste.toml") if Path("posthaste.toml").is_file() else None


def _check_values(settings: Settings) -> None:
    """What types alone do not tell. Raises `ConfigError`."""
    _check_applications(settings)
    for message_class in CLASSES:
        waits = settings.retry.schedule_of(message_class)
        if not waits or not all(0 < wait <= _LONGEST_WAIT for wait in waits):
            raise ConfigError(
                "retry: schedule_seconds needs waits of more than 0 seconds to 7 days"
            )
        if settings.retry.give_up_of(message_class) <= 0:
            raise ConfigError("retry: give_up_seconds must be more than 0")
    for name, choices in _LOG_CHOICES.items():
        if getattr(settings.log, name) not in choices:
            raise ConfigError(f"log.{name} must be one of {', '.join(choices)}")
    if settings.sentry.dsn and (settings.sentry.dsn_file or not _DSN.match(settings.sentry.dsn)):
        raise ConfigError(
            "sentry.dsn must be https://KEY@HOST/PROJECT, as Sentry shows it, or else stand in"
            " sentry.dsn_file"
        )
    if not 0 <= settings.retry.jitter <= 1:
        raise ConfigError("retry.jitter is a share from 0 to 1")
    _check_dns(settings.dns)
    if settings.bounces.suppress not in ("on", "off"):
        raise ConfigError('bounces.suppress must be "on" or "off"')
    if not 0 <= settings.bounces.suppress_days <= _LONGEST_SUPPRESSION:
        raise ConfigError("bounces.suppress_days must be 0 (for good) to 36,500")


def _check_dns(dns: DnsSettings) -> None:
    """Raises `ConfigError`."""
    for server in dns.servers:
        if address(server) is None:
            raise ConfigError(f"dns.servers: {server!r} is not an address, such as 192.0.2.53")
    if not 0 < dns.port <= 65535:
        raise ConfigError("dns.port must be 1 to 65535")
    if not 0 < dns.timeout_seconds <= _LONGEST_QUESTION:
        raise ConfigError("dns.timeout_seconds must be more than 0, and 60 at most")
    for text in dns.allow_networks:
        try:
            network(text)
        except ConfigError as error:
            raise ConfigError(f"dns.allow_networks: {error}") from error


def _check_applications(settings: Settings) -> None:
    for name, application in settings.application.items():
        if application.return_path and not _ADDRESS.match(application.return_path):
            raise ConfigError(f"application.{name}.return_path must be an address, such as b@x.com")
        if not 1 <= application.weight <= MOST_WEIGHT:
            raise ConfigError(f"application.{name}.weight is a number from 1 to {MOST_WEIGHT}")
        for quota in _QUOTAS:
            if getattr(application, quota) < 0:
                raise ConfigError(f"application.{name}.{quota} must be 0 (no limit) or more")


def _anchor_files(values: dict[str, Any], directory: Path) -> None:
    """Make the files that the settings file names relative to it absolute."""
    for section in [values, *values.values()]:
        for entry in section if isinstance(section, list) else [section]:
            for name in _FILES & entry.keys() if isinstance(entry, dict) else ():
                if isinstance(entry[name], str) and entry[name]:
                    entry[name] = str(directory / entry[name])


def _where(error: msgspec.ValidationError) -> str:
    """msgspec's text with the setting first: `relay.connections: Expected int, got str`."""
    text, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {text}" if place else text


def variable(name: str) -> str | None:
    """An environment variable that a setting names, such as `relay.password_env`."""
    return os.environ.get(name)


def _variables() -> dict[str, tuple[str, ...]]:
    """Environment variable -> path of the setting it sets."""
    names: dict[str, tuple[str, ...]] = {}
    for field in msgspec.structs.fields(Settings):
        if field.name in _OWN_FILES:
            continue
        section = section_of(field.type)
        if section is None:
            names[f"{ENVIRONMENT_PREFIX}{field.name}".upper()] = (field.name,)
        elif get_origin(field.type) is not dict:
            for inner in msgspec.structs.fields(section):
                if section_of(inner.type) is None:
                    names[f"{ENVIRONMENT_PREFIX}{field.name}_{inner.name}".upper()] = (
                        field.name,
                        inner.name,
                    )
    return names


_NOT_SETTINGS = frozenset({"POSTHASTE_CONFIG", "POSTHASTE_HOME"})
_LISTS = frozenset(
    {
        "schedule_seconds", "dkim_skip_headers", "certificates", "applications", "classes", "tags",
        "sender_domains", "recipient_domains", "sites", "relays", "weights", "servers",
        "allow_networks", "domains", "from_domains", "trusted_proxies",
    }
)  # fmt: skip
_REPLACED_BY_URL = (
    "host", "port", "tls", "user", "password", "password_file", "password_env",
)  # fmt: skip


def _overlay(values: dict[str, Any], variables: Mapping[str, str]) -> None:
    """Put the environment's settings over the file's; of a list, over its first entry."""
    known = _variables()
    given = {name: text for name, text in variables.items() if name.startswith(ENVIRONMENT_PREFIX)}
    for name, text in sorted(given.items(), key=lambda item: not item[0].endswith("_URL")):
        if name in _NOT_SETTINGS:
            continue
        if name not in known:
            raise ConfigError(unknown(name, list(known), "the environment"))
        *section, last = known[name]
        target = _target(values, section, name)
        if (*section, last) == ("relay", "url"):
            for replaced in _REPLACED_BY_URL:
                target.pop(replaced, None)
        target[last] = (
            [each.strip() for each in text.split(",") if each.strip()] if last in _LISTS else text
        )


def _target(values: dict[str, Any], section: list[str], name: str) -> dict[str, Any]:
    """The table that a variable sets something in."""
    target: Any = values
    for part in section:
        target = target.setdefault(part, [{}] if part in _REPEATED else {})
        if part in _REPEATED and isinstance(target, list):
            if not target:
                target.append({})
            target = target[0]
    if not isinstance(target, dict):
        raise ConfigError(f"{name} sets {section[0]}.{name}, but {section[0]} is not a table")
    return target


def host_and_port(address: str, setting: str) -> tuple[str, int]:
    """Split `host:port` (`[::1]:port` for IPv6). Raises `ConfigError` naming `setting`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            f"{setting} must be host:port, for example 127.0.0.1:8025; got {address!r}"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
