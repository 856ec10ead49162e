"""Settings that are right and still risky: passwords in the open, unsigned mail, public metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from shared.config import host_and_port
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.errors import ConfigError
from shared.hosts import address, is_loopback
from shared.outgoing import Outgoing
from shared.settings import Settings

_IN_CONTAINER = (
    "/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io",
)  # fmt: skip
FOR_CLIENTS = frozenset({"web.listen", "bounces.listen"})
"""Listeners that are meant to be reached; all others are for operators."""


async def check_settings(patient: Patient) -> list[Finding]:
    """Looks at the settings only."""
    findings = [*_outgoing(patient), *_shaping(patient), *_listeners(patient.settings)]
    if not any(each.severity in ("warning", "error") for each in findings):
        findings.append(ok("settings.safe", "nothing in the settings is risky"))
    return findings


def _outgoing(patient: Patient) -> Iterator[Finding]:
    outgoing, settings = patient.outgoing, patient.settings
    if not isinstance(outgoing, Outgoing):
        yield outgoing
        return
    for relay in outgoing.relays:
        if relay.user and relay.tls not in ("implicit", "required"):
            far = not is_loopback(relay.host)
            yield Finding(
                f"settings.insecure_auth.{relay.name}", "error" if far else "info",
                f"relay {relay.name} signs in without verified TLS: the password can be read",
                'use tls = "required" and leave insecure_auth out',
            )  # fmt: skip
        elif relay.tls == "none" and not is_loopback(relay.host):
            yield Finding(
                f"settings.plain_text.{relay.name}", "warning",
                f"mail goes to relay {relay.name} in plain text", 'use tls = "required"',
            )  # fmt: skip
    if not outgoing.keys:
        yield Finding(
            "settings.dkim", "warning", "there is no DKIM key: mail goes out unsigned, and much of"
            " it to the spam folder",
            "`posthaste dkim generate DOMAIN` makes one and says how to use it; a relay that signs"
            " itself makes this needless",
        )  # fmt: skip
    elif not settings.require_dkim:
        yield Finding(
            "settings.require_dkim", "info",
            "mail from a domain without a DKIM key is accepted and goes out unsigned",
            "require_dkim = true refuses it instead",
        )  # fmt: skip


def _shaping(patient: Patient) -> Iterator[Finding]:
    """Which file applies: one that lies elsewhere is not read, and nothing else says so."""
    shaping = patient.settings.shaping
    if shaping.path:
        limited = ", ".join(sorted(shaping.route)) or "none"
        entries = len({each[:2] for each in shaping.own})
        found = f"{shaping.path} is read, with {entries} entries; routes with limits: {limited}"
        yield ok("settings.shaping", found)


def _listeners(settings: Settings) -> Iterator[Finding]:
    for field in msgspec.structs.fields(Settings):
        section = getattr(settings, field.name)
        if not isinstance(section, msgspec.Struct):
            continue
        for name in section.__struct_fields__:
            setting = f"{field.name}.{name}"
            if name.endswith("listen") and setting not in FOR_CLIENTS and getattr(section, name):
                yield from _listener(setting, str(getattr(section, name)))


def _listener(setting: str, value: str) -> Iterator[Finding]:
    try:
        host, _ = host_and_port(value, setting)
    except ConfigError as error:
        yield Finding(f"settings.{setting}", "error", str(error), "write it as host:port")
        return
    found = address(host)
    everywhere = host in ("", "*") or (found is not None and found.is_unspecified)
    if everywhere or (found is not None and found.is_global):
        # In a container every address is usual; what matters is which ports are published.
        usual = everywhere and any(Path(each).exists() for each in _IN_CONTAINER)
        yield Finding(
            f"settings.{setting}", "info" if usual else "warning",
            f"{setting} is open on {value}: whoever reaches this machine reads it",
            "listen on 127.0.0.1 or a private address; in a container, do not publish its port",
        )  # fmt: skip
