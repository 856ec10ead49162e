"""Files with secrets: there, readable for us, and for nobody who should not."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.settings import Settings

SECRET_FILES = (
    "key_file", "password_file", "token_file", "client_key", "dsn_file", "address_key_file",
    "redis_password_file", "previous_key_file",
)  # fmt: skip

_COMBINED = (("client_certificate", "client_key"), ("certificate_file", "key_file"))
"""Where the key stands beside its certificate, unless it has a file of its own."""


def named_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Each file with a secret that a setting names."""
    for field in msgspec.structs.fields(Settings):
        section = getattr(settings, field.name)
        entries = section if isinstance(section, tuple) else (section,)
        for number, entry in enumerate(entries):
            if not isinstance(entry, msgspec.Struct):
                continue
            place = f"{field.name}[{number}]" if isinstance(section, tuple) else field.name
            for name in SECRET_FILES:
                path = getattr(entry, name, "")
                if path:
                    yield f"{place}.{name}", Path(path)
            for certificate, key in _COMBINED:
                combined = getattr(entry, certificate, "")
                if combined and not getattr(entry, key, ""):
                    yield f"{place}.{certificate}", Path(combined)


def has_secrets_in_it(settings: Settings) -> bool:
    """Whether a secret stands in the settings themselves."""
    inline = [entry.password for entry in settings.relay]
    inline += [settings.sentry.dsn, settings.log.address_key]
    inline += [settings.feedback.key, settings.console.key]
    urls = (settings.store.redis_url, *(entry.url for entry in settings.relay))
    return any(inline) or any("@" in url for url in urls)


async def check_files(patient: Patient) -> list[Finding]:
    """Owner, mode and presence of each."""
    return await asyncio.to_thread(_look, patient)


def _look(patient: Patient) -> list[Finding]:
    files = list(named_files(patient.settings))
    findings = [each for setting, path in files for each in _judge(setting, path, secret=True)]
    config = patient.config
    if config is not None:
        secret = has_secrets_in_it(patient.settings)
        findings += _judge("config", config, secret=secret)
        if secret and not findings:
            findings.append(
                Finding("files.inline", "info", f"{config} or the environment holds a password",
                        "a file of its own (password_file, dsn_file) is easier to keep and change")
            )  # fmt: skip
    if not any(each.severity in ("warning", "error") for each in findings):
        count = len(files) + (config is not None)
        findings.append(ok("files.private", f"{count} files: nobody else reads or changes them"))
    return findings


def _judge(setting: str, path: Path, *, secret: bool) -> list[Finding]:
    identifier = f"files.{setting}"
    try:
        found = path.stat()
        readable = os.access(path, os.R_OK)
    except OSError as error:
        return [
            Finding(identifier, "error", f"{path}: {error.strerror}", "correct its path or owner")
        ]
    if not readable:
        return [
            Finding(identifier, "error", f"{path} is not readable for this user",
                    f"chown it to the user that runs Posthaste: chown USER {path}")
        ]  # fmt: skip
    mode = stat.S_IMODE(found.st_mode)
    remedy = f"chmod {mode & 0o750:o} {path}" if not mode & 0o020 else f"chmod 600 {path}"
    if mode & 0o022:
        who = "everybody" if mode & 0o002 else "its group"
        return [Finding(identifier, "error", f"{path} can be changed by {who}", remedy)]
    if secret and mode & 0o004:
        return [Finding(identifier, "error", f"{path} can be read by everybody", remedy)]
    return []
