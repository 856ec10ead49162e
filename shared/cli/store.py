"""Which store a command talks to: that of a running installation, or the configured one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from shared.config import load
from shared.errors import ConfigError
from shared.settings import Settings
from shared.supervisor.home import Home

DEFAULT_HOME = Path(".posthaste")


def config_for(home: Path | None) -> Settings:
    """The settings of an installation's home, or the configured ones; contacts nothing."""
    if home is not None:
        return Home(home).load()
    settings = load()
    default = Home(DEFAULT_HOME)
    unset = settings == load(environment={})
    return default.load() if unset and default.settings.is_file() else settings


def settings_for(home: Path | None) -> Settings:
    """The settings, with the store of the installation in `home` if one is named or runs here."""
    if home is None:
        settings = load()
        if settings.store.redis_url != load(environment={}).store.redis_url:
            return settings
        home = DEFAULT_HOME
        if not Home(home).read_up():
            return settings
    facts = Home(home).read_up()
    if not facts.get("redis"):
        raise ConfigError(
            f"nothing runs in {home}: start it with `posthaste up --home {home}`, or leave --home"
            " out to use store.redis_url"
        )
    settings = Home(home).load(console_of(facts))
    store = msgspec.structs.replace(
        settings.store, redis_url=facts["redis"], redis_password_file=""
    )
    return msgspec.structs.replace(settings, store=store)


def console_of(facts: dict[str, Any]) -> dict[str, str]:
    """What `posthaste up` has set by itself about its console, as variables: so a link that a
    command prints leads there."""
    found = {"URL": facts.get("console"), "MAIL_FROM": facts.get("console_mail_from")}
    return {f"POSTHASTE_CONSOLE_{name}": value for name, value in found.items() if value}
