"""What the checks are given: the settings, what they point to, and the options of the command."""

from __future__ import annotations

import asyncio
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from shared.clock import Clock
from shared.doctor.dns import Names
from shared.doctor.finding import Finding
from shared.errors import ConfigError
from shared.outgoing import Outgoing, unchecked
from shared.settings import Settings


class Options(msgspec.Struct, frozen=True):
    """What the command line says."""

    offline: bool = False
    """Ask nothing beyond the store and this machine."""
    resolver: str = ""
    """host:port of a DNS server; empty: the system's."""
    sources: tuple[str, ...] = ()
    """Addresses that mail leaves from, as others see them."""
    seconds: float = 10.0
    """For each check."""
    smtp_port: int = 25
    """Where mail exchangers listen; another one only in tests."""


class Patient:
    """One installation, seen from this machine."""

    def __init__(
        self, settings: Settings, clock: Clock, options: Options, config: Path | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.options = options
        self.config = config
        """The settings file, if there is one."""
        self.names = Names(options.resolver, options.seconds)
        self.asking: asyncio.Future[list[dict[str, Any]]] | None = None
        """The relays' answers, once somebody wants them."""

    @cached_property
    def outgoing(self) -> Outgoing | Finding:
        """Relays and keys, or what is wrong with their settings."""
        try:
            return unchecked(self.settings)
        except ConfigError as error:
            return Finding(
                "settings.outgoing", "error", f"no worker starts with these settings: {error}",
                "correct the entry of posthaste.toml that is named here",
            )  # fmt: skip
